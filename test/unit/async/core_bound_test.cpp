// SPDX-License-Identifier: BSL-1.0
#include "m3/async/core_bound.h"

#include <functional>
#include <string>

#include "death.h"
#include "m3/async/channel.h"
#include "m3/async/runtime.h"
#include "m3/async/scope.h"
#include "m3/async/serial.h"
#include "m3/async/timer.h"
#include "m3/async/when.h"
#include "m3/testing/sim.h"

using namespace std::chrono_literals;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::Task;

namespace {

/// Core-local objects that core 0 has used. A case brings them to core 1.
struct Objects {
  explicit Objects(m3::Core& core) : scope(core) {
    (void)channel.try_send(1).is_ok();
    countdown.add();
  }
  m3::Channel<int> channel{4};
  m3::Serial serial;
  m3::Countdown countdown;
  m3::Scope scope;
};

using Use = std::function<Task<>(Ctx& home, Ctx& there, Objects& objects)>;

/// How `use` fails on core 1.
Status used_abroad(const Use& use) {
  m3::testing::SimRuntime two(2);
  return two
      .run([&](Ctx& home) -> Task<> {
        Objects objects(home.core());
        const auto turn = co_await objects.serial.enter(home);
        Status status = (co_await as_result(m3::run_on(home, two.core(1), [&](Ctx& there) {
                          return use(home, there, objects);
                        }))).status();
        objects.countdown.done();
        co_return status;
      })
      .status();
}

bool refused(const Use& use, const std::string& what) {
  const Status status = used_abroad(use);
  INFO(status.to_string());
  CHECK(status == Errc::failed_precondition);
  CHECK(contains(status.text(), "this " + what + " belongs to core 0 and was used on core 1: "));
  return status == Errc::failed_precondition && contains(status.text(), what);
}

bool ends_process(const Use& use, const std::string& what) {
  const std::string words = last_words([&] { (void)used_abroad(use).is_ok(); });
  INFO(words);
  return contains(words, "this " + what + " belongs to core 0 and was used on core 1: ");
}

/// An operation as a Task: `done(op)` for what gives a value that nobody wants.
template <class Op>
Task<> done(Op op) {
  co_return (co_await as_result(std::move(op))).status();
}

}  // namespace

TEST_CASE("core affinity: an operation on another core fails and says whose the object is") {
  CHECK(
      refused([](Ctx&, Ctx& there, Objects& o) { return done(o.serial.enter(there)); }, "Serial"));
  CHECK(refused([](Ctx&, Ctx& there, Objects& o) { return done(o.channel.send(there, 2)); },
                "Channel"));
  CHECK(refused([](Ctx&, Ctx& there, Objects& o) { return done(o.channel.receive(there)); },
                "Channel"));
  CHECK(refused([](Ctx&, Ctx&, Objects& o) -> Task<> { co_return o.channel.try_send(2); },
                "Channel"));
  CHECK(refused([](Ctx&, Ctx& there, Objects& o) { return done(o.countdown.zero(there)); },
                "Countdown"));
  CHECK(refused([](Ctx&, Ctx& there, Objects& o) { return o.scope.close(there); }, "Scope"));
  CHECK(refused([](Ctx&, Ctx& there, Objects& o) { return o.scope.drain(there); }, "Scope"));
}

TEST_CASE("core affinity: operations on a captured context fail") {
  const std::string what = "Ctx";
  CHECK(refused([](Ctx& home, Ctx&, Objects&) { return done(m3::sleep(home, 1ms)); }, what));
  CHECK(refused([](Ctx& home, Ctx&, Objects&) { return done(m3::yield(home)); }, what));
  CHECK(refused([](Ctx& home, Ctx&, Objects& o) { return done(o.channel.receive(home)); }, what));
  CHECK(refused(
      [](Ctx& home, Ctx&, Objects&) {
        return m3::within(home, 1s, [](Ctx& soon) { return done(m3::sleep(soon, 1ms)); });
      },
      what));
  CHECK(refused(
      [](Ctx& home, Ctx&, Objects&) -> Task<> {
        Ctx child(home, m3::Deadline::never());
        co_await m3::sleep(child, 1ms);
        co_return m3::ok;
      },
      what));
  CHECK(refused(
      [](Ctx& home, Ctx&, Objects&) {
        return done(m3::when_any(home, [](Ctx& c) { return done(m3::sleep(c, 1ms)); }));
      },
      what));
  CHECK(refused(
      [](Ctx& home, Ctx&, Objects&) -> Task<> { co_return home.set_outgoing_meta("a", "b"); },
      what));
  CHECK(refused(
      [](Ctx& home, Ctx&, Objects&) -> Task<> { co_return home.set_reply_meta("a", "b"); }, what));
  CHECK(
      refused([](Ctx& home, Ctx& there,
                 Objects&) { return done(m3::when_all(home.core(), done(m3::sleep(there, 1ms)))); },
              "Core of when_all"));
}

TEST_CASE("core affinity: operations that cannot fail end the process") {
  CHECK(ends_process([](Ctx&, Ctx&, Objects& o) -> Task<> { co_return o.channel.close(), m3::ok; },
                     "Channel"));
  CHECK(ends_process(
      [](Ctx&, Ctx&, Objects& o) -> Task<> { co_return (void) o.channel.try_receive(), m3::ok; },
      "Channel"));
  CHECK(ends_process([](Ctx&, Ctx&, Objects& o) -> Task<> { co_return o.countdown.add(), m3::ok; },
                     "Countdown"));
  CHECK(ends_process([](Ctx&, Ctx&, Objects& o) -> Task<> { co_return o.countdown.done(), m3::ok; },
                     "Countdown"));
  CHECK(ends_process(
      [](Ctx&, Ctx&, Objects& o) -> Task<> {
        o.scope.spawn("abroad", [](Ctx&) -> Task<> { co_return m3::ok; });
        co_return m3::ok;
      },
      "Scope"));
  CHECK(ends_process(
      [](Ctx& home, Ctx&, Objects&) -> Task<> {
        home.cancel(m3::CancelReason::superseded);
        co_return m3::ok;
      },
      "Ctx"));
}

TEST_CASE("core affinity: a turn that is given back on another core ends the process") {
  const std::string words = last_words([] {
    m3::testing::SimRuntime two(2);
    (void)two
        .run([&](Ctx& home) -> Task<> {
          m3::Serial serial;
          auto turn = co_await serial.enter(home);
          co_await m3::run_on(home, two.core(1), [&](Ctx&) -> Task<> {
            turn.release();
            co_return m3::ok;
          });
          co_return m3::ok;
        })
        .is_ok();
  });
  CHECK(contains(words, "this Serial belongs to core 0 and was used on core 1: "));
}

TEST_CASE("core affinity: a core of another runtime is named as such") {
  m3::testing::SimRuntime one, other;
  m3::Serial serial;
  const auto enter = [&](Ctx& ctx) { return done(serial.enter(ctx)); };
  CHECK(one.run(enter).is_ok());
  const Status abroad = other.run(enter).status();
  CHECK(abroad == Errc::failed_precondition);
  CHECK(contains(abroad.text(), "belongs to core 0 and was used on a core of another runtime"));
}

TEST_CASE("core affinity: a thread that is not a core may prepare an object and look after it") {
  m3::Channel<int> channel(2);
  m3::Countdown countdown;
  CHECK(channel.try_send(1).is_ok());
  countdown.add();
  m3::testing::SimRuntime two(2);
  const auto outcome = two.run([&](Ctx& ctx) -> Task<> {
    co_await m3::run_on(ctx, two.core(1), [&](Ctx& there) -> Task<> {
      const int value = co_await channel.receive(there);
      CHECK(value == 1);
      countdown.done();
      co_return m3::ok;
    });
    co_return m3::ok;
  });
  CHECK(outcome.is_ok());
  CHECK(countdown.count() == 0);
  channel.close();
}

TEST_CASE("core affinity: a helper thread is not a core and must not use a core's objects") {
  m3::RuntimeConfig config;
  config.cores = 1;
  m3::Runtime runtime(config);
  runtime.start();
  m3::Channel<int> channel(2);
  const auto outcome = runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<> {
    CHECK(channel.try_send(1).is_ok());
    co_await m3::run_blocking(ctx, runtime, [&] { return channel.try_send(2); });
    co_return m3::ok;
  });
  CHECK(outcome.code() == Errc::failed_precondition);
  CHECK(contains(outcome.status().text(), "was used on a helper thread of m3::run_blocking"));
}
