// SPDX-License-Identifier: BSL-1.0
#include "m3/async/scope.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "death.h"
#include "m3/async/channel.h"
#include "m3/async/serial.h"
#include "m3/async/timer.h"
#include "m3/base/metadata.h"
#include "m3/obs/log.h"
#include "m3/obs/recording_sink.h"
#include "m3/testing/co_test.h"

using namespace std::chrono_literals;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Task;

namespace {

using Names = std::vector<std::string>;

/// Notes that it is destroyed.
struct Mark {
  Mark(Names& list, std::string text) : events(&list), name(std::move(text)) {}
  Mark(Mark&& other) noexcept
      : events(std::exchange(other.events, nullptr)), name(std::move(other.name)) {}
  Mark& operator=(Mark&&) = delete;
  ~Mark() {
    if (events) events->push_back("~" + name);
  }
  Names* events;
  std::string name;
};

/// Runs `body` on virtual time, in a process that it ends.
template <class Body>
std::string last_words_of(Body body) {
  return last_words([&] {
    m3::testing::SimRuntime sim;
    (void)sim.run(body).is_ok();
  });
}

}  // namespace

CO_TEST("scope: work that outlives a call has a context of its own, not the call's") {
  m3::Metadata request;
  m3::Scope scope(ctx.core());
  Names seen;
  auto work = [&](Ctx& own) -> Task<> {
    co_await m3::sleep(own, 1h);
    seen = {own.name(), std::string(own.caller()), own.deadline().is_never() ? "never" : "soon"};
    co_return m3::ok;
  };
  {
    Ctx call(ctx.core(), m3::Deadline(ctx.core().now() + 10ms));
    call.set_incoming(&request);
    call.set_caller("dev.w.player.1", true);
    scope.spawn("background", work);
  }
  co_await scope.drain(ctx);
  CHECK(seen == Names{"background", "", "never"});
}

CO_TEST("scope: a body that is a coroutine keeps its captures until its frame is destroyed") {
  for (bool suspends : {false, true}) {
    Names events;
    m3::Scope scope(ctx.core());
    scope.spawn("work",
                [captured = Mark(events, "captured"), &events, suspends](Ctx& own) -> Task<> {
                  const Mark local(events, "local");
                  if (suspends) co_await m3::sleep(own, 1ms);
                  events.push_back(captured.name);
                  co_return m3::ok;
                });
    co_await scope.drain(ctx);
    CHECK(events == Names{"captured", "~local", "~captured"});
  }
}

CO_TEST("scope: tasks do not share the metadata of their calls") {
  m3::Scope scope(ctx.core());
  int with_metadata = 0;
  for (int i = 0; i < 2; ++i)
    scope.spawn("call", [&](Ctx& own) -> Task<> {
      with_metadata += own.outgoing() != nullptr;
      co_return own.set_outgoing_meta("color", "red");
    });
  co_await scope.drain(ctx);
  CHECK(with_metadata == 0);
}

CO_TEST("scope: a body that throws or returns no Task is a failed task") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  m3::Scope scope(ctx.core());
  scope.spawn("throws", [](Ctx&) -> Task<> { throw std::runtime_error("boom"); });
  scope.spawn("throws at once", [](Ctx& own) {
    if (!own.cancelled()) throw std::runtime_error("bang");
    return Task<>();
  });
  scope.spawn("empty", [](Ctx&) { return Task<>(); });
  co_await scope.drain(ctx);
  CHECK(sink->count("task \"throws\" failed: internal: exception: boom") == 1);
  CHECK(sink->count("task \"throws at once\" failed: internal: exception: bang") == 1);
  CHECK(sink->count("task \"empty\" failed: internal") == 1);
}

CO_TEST("scope: closing ends every task, also those under a child of their context") {
  m3::Scope scope(ctx.core());
  int cancelled = 0;
  for (int i = 0; i < 3; ++i)
    scope.spawn("waits", [&](Ctx& own) -> Task<> {
      auto slept = co_await as_result(m3::within(
          own, 24h, [](Ctx& day) -> Task<> { co_return co_await m3::sleep(day, 48h), m3::ok; }));
      cancelled += own.reason() == m3::CancelReason::shutdown;
      co_return std::move(slept).status();
    });
  co_await scope.close(ctx);
  CHECK(cancelled == 3);
}

CO_TEST("ctx: one that is used again has nothing of its last deadline") {
  m3::Core& core = ctx.core();
  Ctx own(core, m3::Deadline(core.now() + 10ms));
  co_await m3::sleep(own, 1ms);  // its deadline is watched
  own.reset(core, m3::Deadline(core.now() + 1h), nullptr);
  co_await m3::sleep(own, 20ms);
  CHECK_FALSE(own.cancelled());
  own.reset(core, m3::Deadline(core.now() + 10ms), nullptr);  // sooner than the last one
  const auto began = core.now();
  CHECK((co_await as_result(m3::sleep(own, 1h))).code() == Errc::deadline_exceeded);
  CHECK(core.now() - began < 12ms);
}

TEST_CASE("ctx: one that is destroyed while operations wait under it ends the process") {
  const std::string words = last_words_of([](Ctx& ctx) -> Task<> {
    auto call = std::make_unique<Ctx>(ctx.core());
    call->set_name("trade");
    m3::Scope scope(ctx.core());
    scope.spawn("uses another's", [&](Ctx&) -> Task<> {
      co_await m3::sleep(*call, 1h);
      co_return m3::ok;
    });
    call.reset();
    co_return m3::ok;
  });
  CHECK(contains(words, "the Ctx of \"trade\" was destroyed while operations wait under it"));
}

TEST_CASE("ctx: one that is destroyed before its child ends the process") {
  const std::string words = last_words_of([](Ctx& ctx) -> Task<> {
    auto call = std::make_unique<Ctx>(ctx.core());
    const Ctx child(*call, m3::Deadline::never());
    call.reset();
    co_return m3::ok;
  });
  CHECK(contains(words, "a Ctx without a name was destroyed"));
}

TEST_CASE("scope: one that is destroyed with work in it ends the process and names the work") {
  const std::string words = last_words_of([](Ctx& ctx) -> Task<> {
    m3::Scope scope(ctx.core());
    for (int i = 0; i < 2; ++i)
      scope.spawn("heartbeat", [](Ctx& own) -> Task<> {
        co_await m3::sleep(own, 1h);
        co_return m3::ok;
      });
    co_return m3::ok;
  });
  CHECK(contains(words, "a Scope was destroyed with 2 tasks in it, the first is \"heartbeat\""));
}

TEST_CASE("serial, channel, countdown: one that is destroyed with waiters ends the process") {
  const auto wait_on = [](auto made, auto wait) {
    return last_words_of([&](Ctx& ctx) -> Task<> {
      m3::Scope scope(ctx.core());
      auto object = made();
      scope.spawn("waits", [&](Ctx& own) { return wait(own, *object); });
      object.reset();
      co_return m3::ok;
    });
  };
  using Numbers = m3::Channel<int>;
  const std::string channel = wait_on([] { return std::make_unique<Numbers>(1); },
                                      [](Ctx& own, Numbers& numbers) -> Task<> {
                                        co_await numbers.receive(own);
                                        co_return m3::ok;
                                      });
  CHECK(contains(channel, "a Channel was destroyed while coroutines wait on it"));
  const std::string serial = wait_on([] { return std::make_unique<m3::Serial>(); },
                                     [](Ctx& own, m3::Serial& one) -> Task<> {
                                       const auto turn = co_await one.enter(own);
                                       co_await m3::sleep(own, 1h);
                                       co_return m3::ok;
                                     });
  CHECK(contains(serial, "a Serial was destroyed while coroutines wait on it or hold it"));
  const std::string countdown = wait_on(
      [] {
        auto made = std::make_unique<m3::Countdown>();
        made->add();
        return made;
      },
      [](Ctx& own, m3::Countdown& zero) -> Task<> {
        co_await zero.zero(own);
        co_return m3::ok;
      });
  CHECK(contains(countdown, "a Countdown was destroyed while coroutines wait on it"));
}
