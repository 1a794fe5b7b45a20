// SPDX-License-Identifier: BSL-1.0
// Instances that fail in the small: how often they are asked all the same.
#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "m3/testing/chaos_proxy.h"
#include "support/filters.h"
#include "support/instance.h"

using namespace fault;
using m3::testing::ChaosProxy;

namespace {

/// A caller that was idle so far may try again that often at once.
constexpr double kFirstRetries = 10;
/// One that is left out is tried with a single call each time, after pauses that grow from 1 s.
constexpr std::uint64_t kTrials = 5;

void check_attempts(Row& row, double attempts, double calls, Load& load) {
  // The test's own questions count as calls, too.
  const auto made = static_cast<double>(load.metric("m3_rpc_calls_total"));
  const double most = calls + 0.1 * made + kFirstRetries;
  row.holds(fmt::format("{} attempts for {} calls: at most 1.1 of each call, and {}", attempts,
                        calls, kFirstRetries),
            attempts <= most);
}

std::uint64_t started(Load& load, const std::vector<std::string>& ids) {
  std::uint64_t sum = 0;
  for (const std::string& id : ids) sum += load.count(id).started();
  return sum;
}

}  // namespace

TEST_CASE("fault: one of two instances refuses every call") {
  Row row("fault: one of two instances refuses every call");
  INFO("again: " << row.replay());
  const Instance one(kOne);
  const Instance two(kTwo);
  Load::Options options;
  options.config = static_router({&one, &two});
  Load load(std::move(options));
  REQUIRE(warm_up(load));
  const std::uint64_t before = load.count(kOne).started();
  load.behave(kOne, BehaveReq::REFUSE);
  const TimePoint at = now();
  REQUIRE(load.more_calls(static_cast<std::size_t>(short_or_long(600, 6000))));
  REQUIRE(load.stop());
  const Nanos lasted = now() - at;
  const auto calls = load.calls();
  row.holds("no call failed, the other instance took them: " + failures(calls),
            count_if(calls, failed) == 0);
  check_attempts(row, static_cast<double>(started(load, {kOne, kTwo})),
                 static_cast<double>(calls.size()), load);
  row.note(fmt::format("ejected {} times in {}", load.metric("m3_rpc_ejected_total"), ms(lasted)));
  row.holds("it was ejected", load.metric("m3_rpc_ejected_total") >= 1);
  // Five refusals in a row, what was under way by then, and one for each trial.
  const std::uint64_t asked = load.count(kOne).started() - before;
  row.holds(fmt::format("it was asked {} times in {}", asked, ms(lasted)), asked <= 40);
  check_calls(row, load, {});
}

TEST_CASE("fault: every instance refuses every call") {
  Row row("fault: every instance refuses every call");
  INFO("again: " << row.replay());
  const Instance one(kOne);
  const Instance two(kTwo);
  Load::Options options;
  options.config = static_router({&one, &two});
  Load load(std::move(options));
  REQUIRE(warm_up(load));
  for (const auto& id : {kOne, kTwo}) load.behave(id, BehaveReq::REFUSE);
  const TimePoint at = now();
  REQUIRE(load.more_calls(static_cast<std::size_t>(short_or_long(600, 6000))));
  REQUIRE(load.stop());
  const auto calls = load.calls();
  row.holds("every call failed with unavailable, as not executed",
            count_if(calls, [&](const Call& call) {
              return call.begun > at && (call.code != m3::Errc::unavailable || call.maybe_executed);
            }) == 0);
  check_attempts(row, static_cast<double>(started(load, {kOne, kTwo})),
                 static_cast<double>(calls.size()), load);
  row.holds("retries were denied", load.metric("m3_rpc_retries_denied_total") > 0);
  for (const auto& id : {kOne, kTwo}) load.behave(id, BehaveReq::WELL);
  check_calls(row, load, {});
}

TEST_CASE("fault: three of four instances fail every call") {
  Row row("fault: three of four instances fail every call");
  INFO("again: " << row.replay());
  std::vector<std::unique_ptr<Instance>> all;
  std::vector<const Instance*> listed;
  for (int i = 1; i <= 4; ++i) {
    all.push_back(std::make_unique<Instance>("dev.w.fault." + std::to_string(i)));
    listed.push_back(all.back().get());
  }
  Load::Options options;
  options.config = static_router(listed);
  Load load(std::move(options));
  const TimePoint begin = now();
  for (const auto& one : all) REQUIRE(load.answered_by(one->id(), begin) != TimePoint::max());
  for (int i = 0; i < 3; ++i) load.behave(all[static_cast<std::size_t>(i)]->id(), BehaveReq::FAIL);
  const TimePoint at = now();
  REQUIRE(eventually([&] { return load.metric("m3_rpc_ejected_total") >= 2; }));
  row.within_mark("half of them ejected after", now() - at, 1s);
  REQUIRE(load.more_calls(50));  // what was under way
  std::vector<std::uint64_t> before;
  for (const auto& one : all) before.push_back(load.count(one->id()).started());
  REQUIRE(load.more_calls(300));
  int without = 0;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (load.count(all[i]->id()).started() <= before[i] + kTrials) ++without;
  const bool soon = now() - at < 9s;
  if (soon) {
    row.holds(fmt::format("{} of 4 get at most {} calls: never more than half", without, kTrials),
              without == 2);
    row.holds("two were ejected, not three", load.metric("m3_rpc_ejected_total") == 2);
  } else {
    row.note("this machine was too slow to see who gets few calls");
  }
  REQUIRE(load.stop());
  check_attempts(
      row,
      static_cast<double>(started(load, {all[0]->id(), all[1]->id(), all[2]->id(), all[3]->id()})),
      static_cast<double>(load.calls().size()), load);
  check_calls(row, load, {});
}

TEST_CASE("fault: the connection to one of two instances is cut again and again") {
  Row row("fault: the connection to one of two instances is cut again and again");
  INFO("again: " << row.replay());
  const Instance one(kOne);
  const Instance two(kTwo);
  auto proxy = ChaosProxy::start(one.address());
  REQUIRE(proxy.is_ok());
  Load::Options options;
  options.config = static_peers({peer(kOne, (*proxy)->address()), peer(kTwo, two.address())});
  options.idempotent = true;  // or a call that was cut off may not be sent again
  options.work_ms = 20;
  Load load(std::move(options));
  REQUIRE(warm_up(load));
  const std::size_t before = load.calls().size();
  const auto wanted = static_cast<std::size_t>(short_or_long(600, 6000));
  while (load.calls().size() < before + wanted) {
    (*proxy)->cut_all();
    REQUIRE(load.more_calls(10));
  }
  REQUIRE(load.stop());
  const auto calls = load.calls();
  const std::uint64_t retries = load.metric("m3_rpc_retries_total");
  row.holds(fmt::format("{} retries", retries), retries > 0);
  check_attempts(row, static_cast<double>(started(load, {kOne, kTwo})),
                 static_cast<double>(calls.size()), load);
  row.holds("what failed is unavailable: " + failures(calls),
            count_if(calls, [](const Call& call) {
              return call.failed() && call.code != m3::Errc::unavailable;
            }) == 0);
  check_calls(row, load, {});
}
