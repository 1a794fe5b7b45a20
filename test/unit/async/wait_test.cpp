// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <deque>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "m3/async/channel.h"
#include "m3/async/countdown.h"
#include "m3/async/scope.h"
#include "m3/async/serial.h"
#include "m3/async/timer.h"
#include "m3/async/when.h"
#include "m3/obs/log.h"
#include "m3/obs/recording_sink.h"
#include "m3/testing/co_test.h"

using namespace std::chrono_literals;
using m3::as_result;
using m3::CancelReason;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::Task;

namespace {

Task<int> after(Ctx& ctx, m3::Nanos wait, int value) {
  co_await m3::sleep(ctx, wait);
  co_return value;
}

Task<int> failing_after(Ctx& ctx, m3::Nanos wait, Errc code) {
  co_await m3::sleep(ctx, wait);
  co_return Status(code, "as told");
}

Task<> push(Ctx& ctx, m3::Channel<int>& channel, int from, int to) {
  for (int i = from; i < to; ++i) co_await channel.send(ctx, i);
  co_return m3::ok;
}

Task<> note_after(Ctx& ctx, m3::Nanos wait, std::vector<int>& out, int value) {
  co_await m3::sleep(ctx, wait);
  out.push_back(value);
  co_return m3::ok;
}

Task<> hold_serial(Ctx& ctx, m3::Serial& serial, std::vector<int>& out, int id) {
  auto turn = co_await serial.enter(ctx);
  out.push_back(id);
  co_await m3::sleep(ctx, 1ms);
  out.push_back(-id);
  co_return m3::ok;
}

}  // namespace

CO_TEST("sleep: the longest there is lasts until it is cancelled") {
  const auto began = ctx.core().now();
  auto slept = co_await as_result(m3::within(ctx, 24h, [](Ctx& day) -> Task<> {
    co_await m3::sleep(day, m3::Nanos::max());
    co_return m3::ok;
  }));
  CHECK(slept.code() == Errc::deadline_exceeded);
  CHECK(ctx.core().now() - began >= 24h);
}

CO_TEST("within: the remaining time of a context without a deadline is not a deadline") {
  Ctx free(ctx.core());
  auto worked = co_await as_result(m3::within(free, free.remaining(), [](Ctx& soon) -> Task<bool> {
    co_await m3::sleep(soon, 1h);
    co_return soon.deadline().is_never();
  }));
  CHECK(worked.is_ok());
  if (worked.is_ok()) CHECK(*worked);
}

CO_TEST("sleep: lasts as long as asked on the virtual clock") {
  const auto began = ctx.core().now();
  co_await m3::sleep(ctx, 90min);
  const auto took = ctx.core().now() - began;
  CHECK(took >= 90min);
  CHECK(took < 90min + 2ms);
}

CO_TEST("sleep: lasts as long as asked after work in the same turn, too") {
  const auto work = [&] { sim.clock().advance(80ms); };  // the turn began before it
  work();
  auto began = ctx.core().read_clock();
  co_await m3::sleep(ctx, 50ms);
  CHECK(ctx.core().read_clock() - began >= 50ms);
  work();
  const auto slept = co_await as_result(m3::within(ctx, 50ms, [](Ctx& soon) -> Task<> {
    co_await m3::sleep(soon, 20ms);
    co_return m3::ok;
  }));
  CHECK(slept.is_ok());
  Ctx soon(ctx, m3::Deadline(ctx.core().read_clock() + 100ms));
  work();
  CHECK(soon.remaining() == 20ms);
  work();
  CHECK(soon.remaining() == 0ms);
}

CO_TEST("within: a deadline ends the work it was given for, and no more") {
  auto late =
      co_await as_result(m3::within(ctx, 10ms, [](Ctx& soon) { return after(soon, 1s, 1); }));
  CHECK(late.code() == Errc::deadline_exceeded);
  const int value = co_await m3::within(ctx, 1s, [](Ctx& soon) { return after(soon, 10ms, 2); });
  CHECK(value == 2);
  CHECK_FALSE(ctx.cancelled());
}

CO_TEST("ctx: deadlines only shrink, and a child ends with its parent") {
  Ctx parent(ctx, m3::Deadline(ctx.core().now() + 10ms));
  Ctx child(parent, m3::Deadline(ctx.core().now() + 1h));
  CHECK(child.deadline() == parent.deadline());
  auto result = co_await as_result(m3::sleep(child, 1s));
  CHECK(result.code() == Errc::deadline_exceeded);
  CHECK(parent.reason() == CancelReason::deadline);
}

CO_TEST("ctx: an event that is logged with it carries the trace of its request") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  m3::Metadata request;
  request.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  Ctx call(ctx.core());
  call.set_incoming(&request);
  Ctx inner(call, m3::Deadline::never());
  m3::log::info(inner, "bought {}", 3);
  m3::log::warn_p(call, {{"gold", 7}}, "too dear");
  m3::log::info(ctx, "no trace");
  request.traceparent = "nonsense";
  m3::log::info(call, "no trace either");
  const auto events = sink->events();
  CHECK(events.size() == 4);
  CHECK(events[0].text == "bought 3");
  CHECK(events[0].trace_id == "4bf92f3577b34da6a3ce929d0e0e4736");
  CHECK(events[1].trace_id == "4bf92f3577b34da6a3ce929d0e0e4736");
  CHECK(events[1].plus.at("gold") == "7");
  CHECK(events[2].trace_id.empty());
  CHECK(events[3].trace_id.empty());
  co_return;
}

CO_TEST("ctx: cancelling reaches a waiting operation, with the reason") {
  m3::Scope scope(ctx.core());
  Ctx work(ctx, m3::Deadline::never());
  std::vector<int> out;
  scope.spawn("cancel soon", [&](Ctx& c) -> Task<> {
    co_await m3::sleep(c, 5ms);
    work.cancel(CancelReason::overload);
    co_return m3::ok;
  });
  auto result = co_await as_result(m3::sleep(work, 1h));
  CHECK(result.code() == Errc::resource_exhausted);
  auto again = co_await as_result(m3::sleep(work, 1ms));
  CHECK(again.code() == Errc::resource_exhausted);
  co_await scope.close(ctx);
}

CO_TEST("channel: values arrive in order, and a full channel makes the sender wait") {
  m3::Channel<int> channel(2);
  m3::Scope scope(ctx.core());
  scope.spawn("push", [&](Ctx& c) { return push(c, channel, 0, 10); });
  CHECK(channel.size() == 2);
  for (int i = 0; i < 10; ++i) {
    const int value = co_await channel.receive(ctx);
    CHECK(value == i);
  }
  co_await scope.close(ctx);
}

CO_TEST("channel: try_send fails at once when it is full") {
  m3::Channel<int> channel(1);
  CHECK(channel.try_send(1).is_ok());
  CHECK(channel.try_send(2) == Errc::resource_exhausted);
  const int value = co_await channel.receive(ctx);
  CHECK(value == 1);
  CHECK_FALSE(channel.try_receive().has_value());
}

CO_TEST("channel: closing wakes receivers after the remaining values, and senders at once") {
  m3::Channel<int> channel(1);
  CHECK(channel.try_send(1).is_ok());
  channel.close();
  auto left = co_await as_result(channel.receive(ctx));
  CHECK(left.is_ok());
  auto none = co_await as_result(channel.receive(ctx));
  CHECK(none.code() == Errc::cancelled);
  auto refused = co_await as_result(channel.send(ctx, 2));
  CHECK(refused.code() == Errc::cancelled);
}

CO_TEST("channel: a receiver that gave up does not swallow a value") {
  m3::Channel<int> channel(1);
  auto gave_up = co_await as_result(m3::within(
      ctx, 5ms, [&](Ctx& soon) -> Task<int> { co_return co_await channel.receive(soon); }));
  CHECK(gave_up.code() == Errc::deadline_exceeded);
  CHECK(channel.try_send(4).is_ok());
  const int value = co_await channel.receive(ctx);
  CHECK(value == 4);
}

CO_TEST("serial: one at a time, in order of arrival") {
  m3::Serial serial;
  m3::Scope scope(ctx.core());
  std::vector<int> out;
  for (int id = 1; id <= 3; ++id)
    scope.spawn("hold", [&, id](Ctx& c) { return hold_serial(c, serial, out, id); });
  co_await scope.drain(ctx);
  CHECK(out == std::vector<int>{1, -1, 2, -2, 3, -3});
  CHECK_FALSE(serial.busy());
}

CO_TEST("semaphore: a limited number at a time, in order of arrival") {
  m3::Semaphore semaphore(2);
  m3::Scope scope(ctx.core());
  std::vector<int> entered;
  std::size_t inside = 0, most = 0;
  for (int id = 1; id <= 6; ++id)
    scope.spawn("hold", [&, id](Ctx& c) -> Task<> {
      const m3::Semaphore::Hold place = co_await semaphore.enter(c);
      entered.push_back(id);
      most = std::max(most, ++inside);
      co_await m3::sleep(c, 1ms);
      --inside;
      co_return m3::ok;
    });
  CHECK(semaphore.free() == 0);
  CHECK(semaphore.waiting() == 4);
  co_await scope.drain(ctx);
  CHECK(entered == std::vector<int>{1, 2, 3, 4, 5, 6});
  CHECK(most == 2);
  CHECK(semaphore.free() == 2);
}

CO_TEST("serial: one that gives up waiting leaves the queue, and a limit refuses more") {
  m3::Serial serial(1);
  auto first = co_await serial.enter(ctx);
  m3::Scope scope(ctx.core());
  std::vector<int> out;
  scope.spawn("hold", [&](Ctx& c) { return hold_serial(c, serial, out, 1); });
  auto refused = co_await as_result(serial.enter(ctx));
  CHECK(refused.code() == Errc::resource_exhausted);
  co_await scope.close(ctx);
  CHECK(serial.waiting() == 0);
  first.release();
  CHECK_FALSE(serial.busy());
  CHECK(out.empty());
}

CO_TEST("scope: close cancels running tasks and waits for them") {
  m3::Scope scope(ctx.core());
  std::vector<int> out;
  scope.spawn("never", [&](Ctx& c) { return note_after(c, 24h, out, 1); });
  scope.spawn("done", [&](Ctx& c) { return note_after(c, 0ms, out, 2); });
  CHECK(scope.size() == 2);
  co_await m3::sleep(ctx, 2ms);
  CHECK(scope.size() == 1);
  co_await scope.close(ctx);
  CHECK(scope.size() == 0);
  CHECK(out == std::vector<int>{2});
}

CO_TEST("scope: a task spawned while it closes, or after, is not started") {
  m3::Scope scope(ctx.core());
  bool begun = false;
  const auto refused = [&](Ctx&) -> Task<> {
    begun = true;
    co_return m3::ok;
  };
  scope.spawn("ends last", [&](Ctx& own) -> Task<> {
    (void)co_await as_result(m3::sleep(own, 24h));
    scope.spawn("refused", refused);
    co_return m3::ok;
  });
  co_await scope.close(ctx);
  scope.spawn("refused", refused);
  CHECK_FALSE(begun);
}

CO_TEST("countdown: all waiters continue at zero, and one that gives up is removed") {
  m3::Countdown countdown;
  co_await countdown.zero(ctx);
  countdown.add();
  countdown.add();
  std::vector<int> out;
  m3::Scope scope(ctx.core());
  auto wait = [](Ctx& c, m3::Countdown& zero, std::vector<int>& done, int id) -> Task<> {
    co_await zero.zero(c);
    done.push_back(id);
    co_return m3::ok;
  };
  Ctx soon(ctx, m3::Deadline(ctx.core().now() + 5ms));
  auto gave_up = co_await as_result(countdown.zero(soon));
  CHECK(gave_up.code() == Errc::deadline_exceeded);
  scope.spawn("first", [&](Ctx& c) { return wait(c, countdown, out, 1); });
  scope.spawn("second", [&](Ctx& c) { return wait(c, countdown, out, 2); });
  countdown.done();
  co_await m3::sleep(ctx, 1ms);
  CHECK(out.empty());
  countdown.done();
  co_await scope.drain(ctx);
  CHECK(out == std::vector<int>{1, 2});
}

CO_TEST("when_all: returns every value, in the time of the slowest") {
  const auto began = ctx.core().now();
  auto [a, b] = co_await m3::when_all(ctx.core(), after(ctx, 10ms, 1), after(ctx, 20ms, 2));
  CHECK(a == 1);
  CHECK(b == 2);
  CHECK(ctx.core().now() - began < 25ms);
}

CO_TEST("when_all: fails with the first error written, after all have ended") {
  std::vector<int> out;
  std::vector<Task<>> tasks;
  tasks.push_back(note_after(ctx, 30ms, out, 1));
  tasks.push_back([](Ctx& c) -> Task<> {
    co_await failing_after(c, 5ms, Errc::aborted);
    co_return m3::ok;
  }(ctx));
  auto result = co_await as_result(m3::when_all(ctx.core(), std::move(tasks)));
  CHECK(result.code() == Errc::aborted);
  CHECK(out == std::vector<int>{1});
}

CO_TEST("when_any: the first wins and the others are cancelled") {
  const auto began = ctx.core().now();
  auto first = co_await m3::when_any(
      ctx, [](Ctx& c) { return after(c, 1h, 1); }, [](Ctx& c) { return after(c, 10ms, 2); });
  CHECK(first.index == 1);
  CHECK(*first.result == 2);
  CHECK(ctx.core().now() - began < 15ms);
  CHECK_FALSE(ctx.cancelled());
}

CO_TEST("when_any: one that fails first has ended first") {
  auto first = co_await m3::when_any(
      ctx, [](Ctx& c) { return after(c, 1h, 1); },
      [](Ctx& c) { return failing_after(c, 1ms, Errc::unavailable); });
  CHECK(first.index == 1);
  CHECK(first.result.code() == Errc::unavailable);
}

TEST_CASE("run_on: the body runs on the other core and its outcome is returned") {
  m3::testing::SimRuntime two(2);
  auto outcome = two.run([&](Ctx& home) -> Task<unsigned> {
    const unsigned there = co_await m3::run_on(home, two.core(1), [](Ctx& far) -> Task<unsigned> {
      co_await m3::sleep(far, 3ms);
      co_return far.core().index();
    });
    CHECK(&m3::Core::current() == &two.core(0));
    co_return there;
  });
  CHECK(outcome.is_ok());
  CHECK(*outcome == 1);
}

TEST_CASE("run_on: a deadline here ends the work there") {
  m3::testing::SimRuntime two(2);
  bool ended = false;
  auto outcome = two.run([&](Ctx& home) -> Task<> {
    co_await m3::within(home, 5ms, [&](Ctx& soon) -> Task<> {
      co_await m3::run_on(soon, two.core(1), [&](Ctx& far) -> Task<> {
        auto slept = co_await as_result(m3::sleep(far, 1h));
        ended = slept.code() == Errc::deadline_exceeded;
        co_return std::move(slept).status();
      });
      co_return m3::ok;
    });
    co_return m3::ok;
  });
  CHECK(outcome.code() == Errc::deadline_exceeded);
  CHECK(ended);
}

TEST_CASE("run_on: the other side has the call's facts") {
  m3::testing::SimRuntime two(2);
  m3::Metadata request;
  request.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  REQUIRE(request.set("color", "red").is_ok());
  alignas(8) char somebody[8];
  auto* host = reinterpret_cast<m3::Host*>(somebody);  // async never looks at it
  const auto outcome = two.run([&](Ctx& ctx) -> Task<> {
    Ctx call(ctx.core(), m3::Deadline(ctx.core().now() + 1s), host);
    call.set_name("/echo.Echo/Say");
    call.set_incoming(&request);
    call.set_caller("dev.w.player.1", true);
    Ctx child(call, m3::Deadline::never());
    co_await m3::run_on(child, two.core(1), [&](Ctx& there) -> Task<> {
      CHECK(there.core().index() == 1);
      CHECK(there.caller() == "dev.w.player.1");
      CHECK(there.meta("color") == "red");
      CHECK(there.traceparent() == request.traceparent);
      CHECK(there.name() == std::string("/echo.Echo/Say"));
      CHECK(there.host() == host);
      CHECK(there.deadline() == call.deadline());
      co_return m3::ok;
    });
    Ctx local(ctx.core());
    local.set_caller("dev.w.local.1");
    co_await m3::run_on(local, two.core(1), [&](Ctx& there) -> Task<> {
      CHECK(there.caller() == "dev.w.local.1");
      co_return m3::ok;
    });
    co_return m3::ok;
  });
  CHECK(outcome.is_ok());
}

TEST_CASE("timer wheel: every timer fires once, never early, at most a tick late") {
  std::mt19937_64 random(7);
  const m3::TimePoint start(m3::Nanos(123456789));
  m3::async_detail::TimerWheel wheel(start);
  struct Timer final : m3::async_detail::TimerNode {
    Timer() : TimerNode([](TimerNode& n) { ++static_cast<Timer&>(n).fired; }) {}
    int fired = 0;
    m3::TimePoint due;
    bool cancelled = false;
  };
  std::vector<Timer> timers(2000);
  const m3::Nanos spans[] = {5ms, 300ms, 20s, 30min, 40h};
  for (std::size_t i = 0; i < timers.size(); ++i) {
    const auto span = static_cast<std::uint64_t>(spans[i % 5].count());
    timers[i].due = start + m3::Nanos(random() % span);
    wheel.add(timers[i], timers[i].due);
  }
  for (std::size_t i = 0; i < timers.size(); i += 7) {
    timers[i].cancel();
    timers[i].cancelled = true;
  }
  m3::TimePoint now = start;
  int wrong = 0;
  while (wheel.next_event() != m3::TimePoint::max()) {
    now = std::max(now, wheel.next_event());
    wheel.advance(now);
    for (const Timer& timer : timers) {
      const bool due = timer.due <= now - m3::Nanos(1ms);
      if (timer.cancelled ? timer.fired != 0
                          : (timer.fired > 1 || (due && timer.fired == 0) ||
                             (timer.fired == 1 && timer.due > now)))
        ++wrong;
    }
  }
  CHECK(wrong == 0);
  int fired = 0;
  for (const Timer& timer : timers) fired += timer.fired;
  CHECK(fired == 2000 - 286);
}

CO_TEST("when_any: a body that throws before it returns a Task has failed like the others") {
  bool cancelled = false;
  auto waits = [&cancelled](Ctx& inner) -> Task<int> {
    auto slept = co_await as_result(m3::sleep(inner, 1h));
    cancelled = slept.code() == Errc::cancelled;
    co_return 1;
  };
  auto throws = [](Ctx&) -> Task<int> { throw std::runtime_error("no body"); };
  const auto first = co_await m3::when_any(ctx, waits, throws);
  CHECK(first.index == 1);
  CHECK(first.result.status().text() == "exception: no body");
  CHECK(cancelled);
}

CO_TEST("core: timers fire between pieces of long work") {
  struct Fires final : m3::async_detail::TimerNode {
    explicit Fires(std::vector<int>& list)
        : TimerNode([](TimerNode& node) { static_cast<Fires&>(node).out.push_back(-1); }),
          out(list) {}
    std::vector<int>& out;
  };
  m3::Scope scope(ctx.core());
  std::vector<int> order;
  auto grind = [](Ctx& own, m3::testing::SimRuntime& time, std::vector<int>& out, int i) -> Task<> {
    co_await m3::yield(own);
    time.clock().advance(1ms);
    out.push_back(i);
    co_return m3::ok;
  };
  Fires timer(order);
  ctx.core().timers().add(timer, ctx.core().now() + 2ms);
  for (int i = 0; i < 20; ++i)
    scope.spawn("grind", [&, i](Ctx& own) { return grind(own, sim, order, i); });
  co_await scope.drain(ctx);
  const auto when = std::find(order.begin(), order.end(), -1) - order.begin();
  CHECK(when >= 2);
  CHECK(when <= 5);
  std::erase(order, -1);
  CHECK(std::is_sorted(order.begin(), order.end()));
  co_await scope.close(ctx);
}

CO_TEST("core: it is saturated while it has no time to spare, however much it had before") {
  struct Work final : m3::async_detail::Runnable {
    explicit Work(m3::testing::SimClock& time)
        : Runnable([](Runnable& r) { static_cast<Work&>(r).clock.advance(5ms); }), clock(time) {}
    m3::testing::SimClock& clock;
  };
  Work work(sim.clock());
  for (int round = 0; round < 2; ++round) {
    co_await m3::sleep(ctx, 10s);
    CHECK_FALSE(ctx.core().saturated());
    for (int i = 0; i < 60; ++i) {
      ctx.core().ready(work);
      co_await m3::sleep(ctx, 1ms);  // over before the core could sleep
    }
    CHECK(ctx.core().saturated());
  }
}

CO_TEST("core: messages of another core keep their order when a turn's slice ends between them") {
  m3::testing::SimRuntime two(2);
  std::vector<int> order;
  struct Message final : m3::async_detail::Runnable {
    Message(std::vector<int>& list, m3::testing::SimRuntime& time, int which)
        : Runnable([](Runnable& r) {
            auto& self = static_cast<Message&>(r);
            self.runtime.clock().advance(400us);
            self.out.push_back(self.number);
          }),
          out(list),
          runtime(time),
          number(which) {}
    std::vector<int>& out;
    m3::testing::SimRuntime& runtime;
    int number;
  };
  std::deque<Message> messages;
  for (int i = 0; i < 30; ++i) messages.emplace_back(order, two, i);
  for (int i = 0; i < 15; ++i) two.core(1).post(messages[static_cast<std::size_t>(i)]);
  CHECK(two.core(1).step());
  CHECK(order.size() < 15);
  for (int i = 15; i < 30; ++i) two.core(1).post(messages[static_cast<std::size_t>(i)]);
  two.settle();
  CHECK(order.size() == 30);
  CHECK(std::is_sorted(order.begin(), order.end()));
  co_await m3::yield(ctx);
}
