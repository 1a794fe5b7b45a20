// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/lifecycle.h"

#include "m3/async/scope.h"
#include "m3/async/timer.h"
#include "m3/testing/co_test.h"

using namespace std::chrono_literals;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Lifecycle;
using m3::Status;
using m3::Task;

namespace {

/// A lifecycle whose steps write down what they did.
struct Diary {
  void add(int stage, const std::string& name) {
    life.add({stage, name, [this, name](Ctx&) { return note(this, "+" + name); },
              [this, name](Ctx&) { return note(this, "-" + name); }});
  }
  static Task<> note(Diary* self, std::string what) {
    self->done.push_back(what);
    if (what == self->fails && self->times-- > 0) co_return Status(self->code, "as asked");
    co_return m3::ok;
  }
  Task<> stop(Ctx& ctx) { return life.stop(ctx, {1s, 10s}); }
  using Names = std::vector<std::string>;
  Lifecycle life;
  Names done;
  std::string fails;
  Errc code = Errc::internal;
  int times = 1;
};

Task<> wait(Ctx& ctx, m3::Nanos time = 1h) {
  co_await m3::sleep(ctx, time);
  co_return m3::ok;
}
/// Waits under a context of its own, which nobody cancels.
Task<> wait_deaf(Ctx& ctx, m3::Nanos time) {
  Ctx own(ctx.core());
  co_await m3::sleep(own, time);
  co_return m3::ok;
}

}  // namespace

CO_TEST("lifecycle: starts by number, stops in reverse, equal numbers in the order given") {
  Diary diary;
  diary.add(50, "b");
  diary.add(10, "a");
  diary.add(50, "c");
  diary.add(60, "d");
  co_await diary.life.start(ctx, 1s);
  CHECK(diary.done == Diary::Names{"+a", "+b", "+c", "+d"});
  diary.done.clear();
  co_await diary.stop(ctx);
  CHECK(diary.done == Diary::Names{"-d", "-c", "-b", "-a"});
  CHECK_FALSE(diary.life.started());
}

CO_TEST("lifecycle: when a step fails, exactly those that were begun are undone, it too") {
  for (const std::string& failing : {"a", "b", "c"}) {
    Diary diary;
    for (const char* name : {"a", "b", "c"}) diary.add(10, name);
    diary.fails = "+" + failing;
    auto started = co_await as_result(diary.life.start(ctx, 1s));
    CHECK(started.code() == Errc::internal);
    CHECK(started.status().text() == "start 10 " + failing + ": as asked");
    co_await diary.stop(ctx);
    Diary::Names expected;
    for (std::string name : {"a", "b", "c"}) {
      expected.push_back("+" + name);
      if (name == failing) break;
    }
    for (std::size_t i = expected.size(); i > 0; --i)
      expected.push_back("-" + expected[i - 1].substr(1));
    CHECK(diary.done == expected);
  }
}

CO_TEST("lifecycle: a step that is interrupted is undone") {
  Diary diary;
  diary.add(10, "a");
  diary.life.add({20, "slow", [](Ctx& own) { return wait(own); },
                  [&](Ctx&) { return Diary::note(&diary, "-slow"); }});
  diary.add(30, "never");
  Ctx own(ctx, m3::Deadline::never());
  m3::Scope scope(ctx.core());
  scope.spawn("interrupt", [&](Ctx& there) -> Task<> {
    co_await m3::sleep(there, 100ms);
    own.cancel(m3::CancelReason::shutdown);
    co_return m3::ok;
  });
  auto started = co_await as_result(diary.life.start(own, 10s));
  CHECK(started.code() == Errc::cancelled);
  co_await scope.drain(ctx);
  co_await diary.stop(ctx);
  CHECK(diary.done == Diary::Names{"+a", "-slow", "-a"});
}

CO_TEST("lifecycle: an unavailable step is retried, and begun once") {
  Diary diary;
  diary.add(10, "a");
  diary.fails = "+a";
  diary.code = Errc::unavailable;
  diary.times = 3;
  co_await diary.life.start(ctx, 10s);
  CHECK(diary.done == Diary::Names{"+a", "+a", "+a", "+a"});
  diary.done.clear();
  co_await diary.stop(ctx);
  CHECK(diary.done == Diary::Names{"-a"});
}

CO_TEST(
    "lifecycle: a step that stays unavailable ends the start with the reason, within its limit") {
  Diary diary;
  diary.add(10, "a");
  diary.fails = "+a";
  diary.code = Errc::unavailable;
  diary.times = 1'000'000;
  const auto began = ctx.core().now();
  auto started = co_await as_result(diary.life.start(ctx, 10s));
  CHECK(started.code() == Errc::deadline_exceeded);
  CHECK(started.status().text() == "start 10 a: not finished within 10s: as asked");
  CHECK(ctx.core().now() - began <= 11s);
  CHECK(diary.done.size() > 10);  // once a second at the least
  co_await diary.stop(ctx);
}

CO_TEST("lifecycle: a step that fails to stop does not keep the others from it") {
  Diary diary;
  for (const char* name : {"a", "b", "c"}) diary.add(10, name);
  co_await diary.life.start(ctx, 1s);
  diary.done.clear();
  diary.fails = "-b";
  auto stopped = co_await as_result(diary.stop(ctx));
  CHECK(stopped.status().text() == "stop 10 b: as asked");
  CHECK(diary.done == Diary::Names{"-c", "-b", "-a"});
}

CO_TEST("lifecycle: a step that takes too long is named, with its limit") {
  Diary diary;
  diary.life.add({50, "slow", [](Ctx& own) { return wait(own); }, nullptr});
  const auto began = ctx.core().now();
  auto started = co_await as_result(diary.life.start(ctx, 3s));
  CHECK(started.code() == Errc::deadline_exceeded);
  CHECK(started.status().text() == "start 50 slow: not finished within 3s");
  CHECK(ctx.core().now() - began < 4s);
}

CO_TEST("lifecycle: a cancelled stop runs every step and waits for none") {
  Diary diary;
  diary.add(10, "a");
  diary.life.add({50, "slow", nullptr, [](Ctx& own) { return wait(own); }});
  co_await diary.life.start(ctx, 1s);
  Ctx own(ctx, m3::Deadline::never());
  own.cancel(m3::CancelReason::shutdown);
  const auto began = ctx.core().now();
  auto stopped = co_await as_result(diary.life.stop(own, {1h, 2h}));
  CHECK(stopped.code() == Errc::cancelled);
  CHECK(ctx.core().now() == began);
  CHECK(diary.done == Diary::Names{"+a", "-a"});
}

CO_TEST("lifecycle: a cancelled step that does not finish is named and left behind") {
  Diary diary;
  diary.add(10, "a");
  diary.life.add({50, "deaf", nullptr, [](Ctx& own) { return wait_deaf(own, 1min); }});
  diary.add(60, "b");
  co_await diary.life.start(ctx, 1s);
  diary.done.clear();
  const auto began = ctx.core().now();
  auto stopped = co_await as_result(diary.life.stop(ctx, {1s, 10s}));
  CHECK(stopped.status().text() == "stop 50 deaf: was cancelled but does not finish");
  CHECK(ctx.core().now() - began < 4s);
  CHECK(diary.life.left_behind() == Diary::Names{"stop 50 deaf"});
  CHECK(diary.done == Diary::Names{"-b", "-a"});
  co_await m3::sleep(ctx, 2min);  // it ends after all, and finds all that it needs
}

CO_TEST("lifecycle: all steps together have a limit") {
  Diary diary;
  for (int i = 0; i < 10; ++i)
    diary.life.add({10 + i, "slow", nullptr, [](Ctx& own) { return wait(own, 50s); }});
  co_await diary.life.start(ctx, 1s);
  const auto began = ctx.core().now();
  auto stopped = co_await as_result(diary.life.stop(ctx, {1min, 2min}));
  CHECK(stopped.code() == Errc::deadline_exceeded);
  CHECK(ctx.core().now() - began < 121s);
}

TEST_CASE("lifecycle: a step on each core is undone where it was begun") {
  m3::testing::SimRuntime two(2);
  Lifecycle life;
  std::vector<std::string> done;
  const auto outcome = two.run([&](Ctx& first) -> Task<> {
    m3::Steps steps(two.runtime(), "gate.tcp", 40);
    steps.add_on_each_core(
        40, "table",
        [&](Ctx& there) -> Task<> {
          done.push_back("+" + std::to_string(there.core().index()));
          if (there.core().index() == 1) co_return Status(Errc::internal, "no");
          co_return m3::ok;
        },
        [&](Ctx& there) -> Task<> {
          done.push_back("-" + std::to_string(there.core().index()));
          co_return m3::ok;
        });
    life.add(std::move(steps).take());
    auto started = co_await as_result(life.start(first, 1s));
    CHECK(started.status().text() == "start 40 gate.tcp table: no");
    co_await life.stop(first, {1s, 2s});
    co_return m3::ok;
  });
  CHECK(outcome.is_ok());
  CHECK(done == Diary::Names{"+0", "+1", "-1", "-0"});
}

TEST_CASE("lifecycle: a retried step on each core begins once on each") {
  m3::testing::SimRuntime two(2);
  Lifecycle life;
  std::vector<std::string> done;
  int refusals = 2;
  const auto outcome = two.run([&](Ctx& first) -> Task<> {
    m3::Steps steps(two.runtime(), "gate.tcp", 40);
    steps.add_on_each_core(
        40, "table",
        [&](Ctx& there) -> Task<> {
          done.push_back("+" + std::to_string(there.core().index()));
          if (there.core().index() == 1 && refusals-- > 0)
            co_return Status(Errc::unavailable, "not yet");
          co_return m3::ok;
        },
        [&](Ctx& there) -> Task<> {
          done.push_back("-" + std::to_string(there.core().index()));
          co_return m3::ok;
        });
    life.add(std::move(steps).take());
    co_await life.start(first, 10s);
    co_await life.stop(first, {1s, 2s});
    co_return m3::ok;
  });
  CHECK(outcome.is_ok());
  CHECK(done == Diary::Names{"+0", "+1", "+1", "+1", "-1", "-0"});
}
