// SPDX-License-Identifier: BSL-1.0
#include "m3/app/lifecycle.h"

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
struct Steps {
  void add(int stage, const std::string& name) {
    life.add(
        stage, name, [this, name](Ctx&) { return note(this, "+" + name); },
        [this, name](Ctx&) { return note(this, "-" + name); });
  }
  static Task<> note(Steps* self, std::string what) {
    self->done.push_back(what);
    if (what == self->fails) co_return Status(Errc::unavailable, "as asked");
    co_return m3::ok;
  }
  static Task<> wait(Ctx& ctx) {
    co_await m3::sleep(ctx, 1h);
    co_return m3::ok;
  }
  using Names = std::vector<std::string>;
  Lifecycle life;
  Names done;
  std::string fails;
};

}  // namespace

CO_TEST("lifecycle: starts by number, stops in reverse, equal numbers in the order given") {
  Steps steps;
  steps.add(50, "b");
  steps.add(10, "a");
  steps.add(50, "c");
  steps.add(60, "d");
  co_await steps.life.start(ctx, 1s);
  CHECK(steps.done == Steps::Names{"+a", "+b", "+c", "+d"});
  steps.done.clear();
  co_await steps.life.stop(ctx, 1s);
  CHECK(steps.done == Steps::Names{"-d", "-c", "-b", "-a"});
  CHECK_FALSE(steps.life.started());
}

CO_TEST("lifecycle: when a step fails, exactly those that started are stopped") {
  for (const std::string& failing : {"a", "b", "c"}) {
    Steps steps;
    for (const char* name : {"a", "b", "c"}) steps.add(10, name);
    steps.fails = "+" + failing;
    auto started = co_await as_result(steps.life.start(ctx, 1s));
    CHECK(started.code() == Errc::unavailable);
    CHECK(started.status().text() == "start 10 " + failing + ": as asked");
    co_await steps.life.stop(ctx, 1s);
    Steps::Names expected;
    for (std::string name : {"a", "b", "c"}) {
      expected.push_back("+" + name);
      if (name == failing) break;
    }
    for (std::size_t i = expected.size() - 1; i > 0; --i)
      expected.push_back("-" + expected[i - 1].substr(1));
    CHECK(steps.done == expected);
  }
}

CO_TEST("lifecycle: a step that fails to stop does not keep the others from it") {
  Steps steps;
  for (const char* name : {"a", "b", "c"}) steps.add(10, name);
  co_await steps.life.start(ctx, 1s);
  steps.done.clear();
  steps.fails = "-b";
  auto stopped = co_await as_result(steps.life.stop(ctx, 1s));
  CHECK(stopped.status().text() == "stop 10 b: as asked");
  CHECK(steps.done == Steps::Names{"-c", "-b", "-a"});
}

CO_TEST("lifecycle: a step that takes too long is named, with its limit") {
  Steps steps;
  steps.life.add(50, "slow", [](Ctx& own) { return Steps::wait(own); }, nullptr);
  const auto began = ctx.core().now();
  auto started = co_await as_result(steps.life.start(ctx, 3s));
  CHECK(started.code() == Errc::deadline_exceeded);
  CHECK(started.status().text() == "start 50 slow: not done in 3s");
  CHECK(ctx.core().now() - began < 4s);
}

CO_TEST("lifecycle: a cancelled stop runs every step and waits for none") {
  Steps steps;
  steps.add(10, "a");
  steps.life.add(50, "slow", nullptr, [](Ctx& own) { return Steps::wait(own); });
  co_await steps.life.start(ctx, 1s);
  Ctx own(ctx, m3::Deadline::never());
  own.cancel(m3::CancelReason::shutdown);
  const auto began = ctx.core().now();
  auto stopped = co_await as_result(steps.life.stop(own, 1h));
  CHECK(stopped.code() == Errc::cancelled);
  CHECK(ctx.core().now() == began);
  CHECK(steps.done == Steps::Names{"+a", "-a"});
}
