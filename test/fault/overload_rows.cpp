// SPDX-License-Identifier: BSL-1.0
// More work than one core can do.
#include <fmt/format.h>

#include <algorithm>

#include "support/filters.h"
#include "support/instance.h"

using namespace fault;

namespace {

/// So long that the caller, who shares the machine, is never what limits the calls.
constexpr unsigned kBurnUs = 2000;

/// 5 ms with handlers of 200 µs: what waits behind a few long ones waits longer.
constexpr Nanos kRefusedWithin = 10ms;

/// Calls that were answered in time, for each second between the two.
double goodput(const std::vector<Call>& calls, TimePoint from, TimePoint to) {
  const std::size_t answered = count_if(calls, [&](const Call& call) {
    return call.ends && !call.failed() && call.ended >= from && call.ended < to;
  });
  return static_cast<double>(answered) / std::chrono::duration<double>(to - from).count();
}

Load::Options load_on(const Instance& one) {
  Load::Options options;
  options.config = static_router({&one});
  options.burn_us = kBurnUs;
  options.timeouts = {500ms};
  options.per_second = 100;
  return options;
}

/// With `times` as many calls as one core can do.
double goodput_at(double times, Nanos span, Load& load) {
  load.set_pace(times * 1e6 / kBurnUs);
  let_run(1s);
  const TimePoint at = now();
  let_run(span);
  return goodput(load.calls(), at, now());
}

/// How long the calls took that began between the two and failed.
Nanos p99_of_failures(const std::vector<Call>& calls, TimePoint from, TimePoint to) {
  std::vector<Nanos> took;
  for (const Call& call : calls)
    if (call.failed() && call.begun >= from && call.begun < to) took.push_back(call.took());
  if (took.empty()) return Nanos(0);
  const auto at = took.begin() + static_cast<std::ptrdiff_t>(took.size() * 99 / 100);
  std::nth_element(took.begin(), at, took.end());
  return *at;
}

/// What an instance without the rule answers in a second when a little more is asked for.
double peak_of(Row& row) {
  const Instance one(kOne, "[rpc]\noverload_wait = \"0s\"\n");
  Load load(load_on(one));
  REQUIRE(load.answered_by(kOne, now()) != TimePoint::max());
  const double peak = goodput_at(1.2, 2s, load);
  row.note(fmt::format("{:.0f} calls/s are the most", peak));
  REQUIRE(load.stop());
  return peak;
}

}  // namespace

TEST_CASE("fault: three times as many calls as the instance can answer") {
  Row row("fault: three times as many calls as the instance can answer");
  INFO("again: " << row.replay());
  const double peak = peak_of(row);
  const Instance one(kOne);
  Load load(load_on(one));
  REQUIRE(load.answered_by(kOne, now()) != TimePoint::max());
  const double little_more = goodput_at(1.2, 3s, load);
  row.holds(fmt::format("{:.0f} calls/s answered of 1.2 times as many: 90 %", little_more),
            little_more >= 0.9 * peak);
  load.set_pace(3e6 / kBurnUs);
  let_run(1s);
  const TimePoint at = now();
  let_run(short_or_long(5s, 60s));
  const TimePoint over = now();
  load.set_pace(0.2e6 / kBurnUs);
  const auto during = load.calls();
  const double kept = goodput(during, at, over);
  row.holds(fmt::format("{:.0f} calls/s answered in time, of {:.0f} at most: 80 %", kept, peak),
            kept >= 0.8 * peak);
  row.within_mark("of the calls that failed, 99 of 100 had failed within",
                  p99_of_failures(during, at, over), kRefusedWithin);
  row.holds("no connection was taken for dead",
            load.metric("m3_rpc_connections_broken_total") == 0);
  REQUIRE(load.more_calls(static_cast<std::size_t>(100)));
  REQUIRE(load.stop());
  const auto calls = load.calls();
  row.within_mark("the last call that failed began after the load went down by",
                  last_after(calls, over, failed), 5s);
  // Every call of these is near its deadline when it is its turn: what the machine does between the
  // look at the clock and the handler shows.
  row.within_mark("no handler began later than its deadline by",
                  Nanos(std::max<std::int64_t>(load.count(kOne).latest_ns(), 0)), 1ms);
  check_calls(row, load, {});
}
