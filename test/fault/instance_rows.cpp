// SPDX-License-Identifier: BSL-1.0
// What befalls an instance: killed, told to leave, frozen. Two of them stand behind each load.
#include <fmt/format.h>

#include "support/filters.h"
#include "support/instance.h"
#include "support/load.h"

using namespace fault;

TEST_CASE("fault: kill -9 of a stateless instance under load") {
  Row row("fault: kill -9 of a stateless instance under load");
  INFO("again: " << row.replay());
  Instance one(kOne);
  Instance two(kTwo);
  Load::Options options;
  options.config = static_router({&one, &two});
  options.work_ms = 20;  // so that calls are in flight
  Load load(std::move(options));
  REQUIRE(warm_up(load));
  const Held before = held_here();

  const TimePoint at = now();
  one.kill9();
  one.wait();
  const TimePoint dead = now();
  REQUIRE(load.more_calls(400));
  const std::size_t in_flight =
      count_if(load.calls(), [&](const Call& call) { return call.failed() && call.begun <= dead; });
  const auto hurt = load.calls();
  row.note(fmt::format("{} calls in flight failed", in_flight));
  row.within_mark("new calls avoid it after", last_after(hurt, at, failed), 1s);
  row.holds("every call that failed is unavailable", count_if(hurt, [](const Call& call) {
                                                       return call.failed() &&
                                                              call.code != m3::Errc::unavailable;
                                                     }) == 0);
  row.holds("only calls in flight failed", count_if(hurt, failed_after(dead)) == 0);

  const TimePoint back = now();
  const Instance again(kOne, "", one.address().to_string());
  const TimePoint started = now();
  const TimePoint used = load.answered_by(kOne, back);
  row.within_mark("used again after its restart", used - started, 3s);
  REQUIRE(load.stop());
  check_calls(row, load, {kOne, kTwo});
  check_baseline(row, "the caller", before, held_here);
}

TEST_CASE("fault: SIGTERM of a stateless instance under load") {
  Row row("fault: SIGTERM of a stateless instance under load");
  INFO("again: " << row.replay());
  Instance one(kOne);
  Instance two(kTwo);
  Load::Options options;
  options.config = static_router({&one, &two});
  options.work_ms = 20;
  Load load(std::move(options));
  REQUIRE(warm_up(load));

  const TimePoint at = now();
  one.terminate();
  CHECK(one.wait() == 0);
  row.note("it left after " + ms(now() - at));
  REQUIRE(load.more_calls(200));
  const auto calls = load.calls();
  row.within_mark("no more traffic after", last_after(calls, at, by(kOne)), 1s);
  row.holds("no call failed: " + failures(calls), count_if(calls, failed) == 0);

  const TimePoint back = now();
  const Instance again(kOne, "", one.address().to_string());
  const TimePoint started = now();
  row.within_mark("used again after its restart", load.answered_by(kOne, back) - started, 3s);
  REQUIRE(load.stop());
  row.holds("no call failed afterwards", count_if(load.calls(), failed) == 0);
  check_calls(row, load, {kOne, kTwo});
}

TEST_CASE("fault: a peer frozen, then continued") {
  Row row("fault: a peer frozen, then continued");
  INFO("again: " << row.replay());
  Instance one(kOne);
  Instance two(kTwo);
  Load::Options options;
  options.config = static_router({&one, &two});
  options.timeouts = {1s, 20s};  // those end at their deadline, these when pings fail
  options.work_ms = 5;
  Load load(std::move(options));
  REQUIRE(warm_up(load));
  const Held before = held_by(load, kOne);
  const Nanos frozen_for = short_or_long(5s, 30s);
  const TimePoint start = now();
  let_run(5s);

  const TimePoint at = now();
  one.freeze();
  let_run(frozen_for);
  const auto hurt = load.calls();
  const TimePoint thawed = now();
  one.thaw();

  Nanos noticed{0};
  for (const Call& call : hurt)
    if (call.failed() && call.deadline - call.begun > 10s)
      noticed = std::max(noticed, Nanos(call.ended - std::max(call.begun, at)));
  row.within_mark("calls without a near deadline ended with unavailable after", noticed, 3s);
  row.within_mark("no call failed any more after", last_after(hurt, at, failed), 3s);
  row.holds("every call that failed is unavailable or deadline_exceeded: " + failures(hurt),
            count_if(hurt, [](const Call& call) {
              return call.failed() && call.code != m3::Errc::unavailable &&
                     call.code != m3::Errc::deadline_exceeded;
            }) == 0);
  const Nanos p99_before = p99(hurt, start, at, by(kTwo));
  const Nanos p99_during = p99(hurt, at, thawed, by(kTwo));
  row.note("p99 of the others: " + ms(p99_before) + " before, " + ms(p99_during) + " during");
  row.within_mark("their p99, in units of the one before (at least 1 ms)",
                  static_cast<double>(p99_during.count()) /
                      static_cast<double>(std::max<Nanos>(p99_before, 1ms).count()),
                  2.0);
  row.note("used again " + ms(load.answered_by(kOne, thawed) - thawed) + " after it was continued");
  REQUIRE(load.more_calls(200));
  REQUIRE(load.stop());
  row.holds("no call that began after it was continued failed",
            count_if(load.calls(), failed_after(thawed)) == 0);
  check_calls(row, load, {kOne, kTwo});
  check_baseline(row, kOne, before, [&] { return held_by(load, kOne); });
}

TEST_CASE("fault: SIGTERM with a handler that does not end") {
  Row row("fault: SIGTERM with a handler that does not end");
  INFO("again: " << row.replay());
  Instance one(kOne, "stop_timeout = \"1s\"\ndrain_wait = \"0s\"\n");
  const Instance two(kTwo);
  Load::Options options;
  options.config = static_router({&one, &two});
  Load load(std::move(options));
  REQUIRE(warm_up(load));
  load.behave(kOne, BehaveReq::HANG);
  REQUIRE(load.more_calls(50));
  const TimePoint at = now();
  one.terminate();
  row.holds("it ends with an error", one.wait() == 1);
  row.within_mark("it is gone, 1 s for its handlers and 2 s for those cancelled", now() - at, 4s);
  row.holds("the log names the handler",
            one.output().find("/fault.Fault/Work was cancelled but has not finished after") !=
                std::string::npos);
  REQUIRE(load.more_calls(100));
  REQUIRE(load.stop());
  check_calls(row, load, {kTwo});
}
