// SPDX-License-Identifier: BSL-1.0
#include "m3/async/task.h"

#include <string>
#include <vector>

#include "m3/async/timer.h"
#include "m3/async/when.h"
#include "m3/testing/co_test.h"

using namespace std::chrono_literals;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::Task;

namespace {

std::vector<std::string> events;

struct Guard {
  explicit Guard(std::string text) : name(std::move(text)) {}
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() { events.push_back("~" + name); }
  std::string name;
};

Task<int> leaf(Ctx& ctx, bool suspends, Errc error) {
  Guard guard("leaf");
  if (suspends) co_await m3::yield(ctx);
  if (error != Errc::ok) co_return Status(error, "leaf failed");
  co_return 7;
}

Task<int> middle(Ctx& ctx, bool suspends, Errc error) {
  Guard guard("middle");
  const int value = co_await leaf(ctx, suspends, error);
  events.push_back("middle goes on");
  co_return value + 1;
}

Task<int> top(Ctx& ctx, bool suspends, Errc error) {
  Guard guard("top");
  const int value = co_await middle(ctx, suspends, error);
  co_return value + 1;
}

Task<int> deep(Ctx& ctx, int depth, bool suspends) {
  Guard guard("");
  if (depth == 0) {
    if (suspends) co_await m3::yield(ctx);
    co_return Status(Errc::aborted, "at the bottom");
  }
  co_return 1 + co_await deep(ctx, depth - 1, suspends);
}

Task<int> one() { co_return 1; }

Task<> throws() {
  throw std::runtime_error("boom");
  co_return m3::ok;
}

struct NoDefault {
  explicit NoDefault(int n) : number(n) {}
  int number;
};
Task<NoDefault> no_default() { co_return NoDefault(3); }
Task<std::vector<int>> braced() { co_return {1, 2, 3}; }
Task<int> from_result(m3::Result<int> result) { co_return result; }

}  // namespace

CO_TEST("task: a value is returned through every frame, suspended or not") {
  for (bool suspends : {false, true}) {
    events.clear();
    const int value = co_await top(ctx, suspends, Errc::ok);
    CHECK(value == 9);
    CHECK(events == std::vector<std::string>{"~leaf", "middle goes on", "~middle", "~top"});
  }
}

CO_TEST("task: an error ends every frame up to the one that looks, innermost first") {
  for (bool suspends : {false, true}) {
    events.clear();
    auto result = co_await as_result(top(ctx, suspends, Errc::not_found));
    events.push_back("looked");
    CHECK(result.code() == Errc::not_found);
    CHECK(result.status().text() == "leaf failed");
    CHECK(events == std::vector<std::string>{"~leaf", "~middle", "~top", "looked"});
  }
}

CO_TEST("task: an error climbs 10,000 frames without resuming one of them") {
  for (bool suspends : {false, true}) {
    events.clear();
    auto result = co_await as_result(deep(ctx, 10000, suspends));
    CHECK(result.code() == Errc::aborted);
    CHECK(events.size() == 10001);
  }
}

CO_TEST("task: a loop of awaits that do not suspend does not grow the stack") {
  int sum = 0;
  for (int i = 0; i < 300000; ++i) sum += co_await one();
  CHECK(sum == 300000);
}

CO_TEST("task: as_result of a success has its value") {
  auto result = co_await as_result(top(ctx, true, Errc::ok));
  CO_REQUIRE(result.is_ok());
  CHECK(*result == 9);
}

CO_TEST("task: an exception becomes an internal error") {
  auto result = co_await as_result(throws());
  CHECK(result.code() == Errc::internal);
  CHECK(result.status().text() == "exception: boom");
}

CO_TEST("task: results need no default constructor, may be braced, and may be Results") {
  const auto made = co_await no_default();
  CHECK(made.number == 3);
  const auto list = co_await braced();
  CHECK(list.size() == 3);
  auto good = co_await as_result(from_result(5));
  CHECK(*good == 5);
  auto bad = co_await as_result(from_result(Status(Errc::moved, "elsewhere")));
  CHECK(bad.code() == Errc::moved);
}

CO_TEST("task: one that never ran is destroyed without running") {
  events.clear();
  {
    [[maybe_unused]] auto task = top(ctx, false, Errc::ok);
  }
  CHECK(events.empty());
  co_return;
}

CO_TEST("task: a leaf operation's error can be looked at") {
  Ctx soon(ctx, m3::Deadline(ctx.core().now() + 5ms));
  auto result = co_await as_result(m3::sleep(soon, 1s));
  CHECK(result.code() == Errc::deadline_exceeded);
}

CO_TEST("task: one that was moved from, or never made, is an internal error when it is awaited") {
  auto awaits = [](Task<int> none) -> Task<int> { co_return co_await std::move(none); };
  const auto awaited = co_await as_result(awaits(Task<int>()));
  CHECK(awaited.code() == Errc::internal);
  const auto looked = co_await as_result(Task<int>());
  CHECK(looked.code() == Errc::internal);
  const auto together = co_await as_result(m3::when_all(ctx.core(), Task<>(), Task<int>()));
  CHECK(together.code() == Errc::internal);
}
