// SPDX-License-Identifier: BSL-1.0
// What befalls the way between a caller and one of two instances: a hostile proxy is in it.
#include <fmt/format.h>

#include "m3/testing/chaos_proxy.h"
#include "support/filters.h"
#include "support/instance.h"

using namespace fault;
using m3::testing::ChaosProxy;

namespace {

/// Two instances, the first behind a proxy, and the load on both.
struct Town {
  explicit Town(Load::Options options = {}) : one(kOne), two(kTwo) {
    auto made = ChaosProxy::start(one.address());
    REQUIRE(made.is_ok());
    proxy = *std::move(made);
    options.config = static_peers({peer(kOne, proxy->address()), peer(kTwo, two.address())});
    options.timeouts = {1s, 20s};  // those end at their deadline, these when pings fail
    options.work_ms = 5;
    load = std::make_unique<Load>(std::move(options));
    REQUIRE(warm_up(*load));
  }
  Instance one;
  Instance two;
  std::unique_ptr<ChaosProxy> proxy;
  std::unique_ptr<Load> load;
};

/// How long the calls hung that had time enough and failed.
Nanos longest_hang(const std::vector<Call>& calls, TimePoint at) {
  Nanos longest{0};
  for (const Call& call : calls)
    if (call.failed() && call.deadline - call.begun > 10s)
      longest = std::max(longest, Nanos(call.ended - std::max(call.begun, at)));
  return longest;
}

bool only_as_lost(const std::vector<Call>& calls) {
  return count_if(calls, [](const Call& call) {
           return call.failed() && call.code != m3::Errc::unavailable &&
                  call.code != m3::Errc::deadline_exceeded;
         }) == 0;
}

void partition(const std::string& name, ChaosProxy::Way way) {
  Row row(name);
  INFO("again: " << row.replay());
  Town town;
  const Held before = held_here();
  const TimePoint at = now();
  town.proxy->stall(true, way);
  let_run(short_or_long(5s, 10s));
  const TimePoint healed = now();
  const auto hurt = town.load->calls();
  town.proxy->stall(false, way);

  row.within_mark("calls that could not be answered ended after", longest_hang(hurt, at), 3s);
  row.within_mark("no call failed any more after", last_after(hurt, at, failed), 3s);
  row.holds("they are unavailable or deadline_exceeded: " + failures(hurt), only_as_lost(hurt));
  row.holds("the other instance served meanwhile", count_if(hurt, [&](const Call& call) {
                                                     return call.begun > at + 3s && call.by == kTwo;
                                                   }) > 100);
  const TimePoint used = town.load->answered_by(kOne, healed);
  row.within_mark("used again by itself after it healed", used - healed, 5s);
  REQUIRE(town.load->more_calls(200));
  REQUIRE(town.load->stop());
  row.holds("no call failed after it healed",
            count_if(town.load->calls(), failed_after(healed)) == 0);
  check_calls(row, *town.load, {kOne, kTwo});
  check_baseline(row, "the caller", before, held_here);
}

}  // namespace

TEST_CASE("fault: half-open TCP, the peer's machine is gone") {
  Row row("fault: half-open TCP, the peer's machine is gone");
  INFO("again: " << row.replay());
  Town town;
  const TimePoint at = now();
  town.proxy->black_hole(true);
  let_run(short_or_long(6s, 30s));
  const auto hurt = town.load->calls();
  row.within_mark("noticed after", longest_hang(hurt, at), 3s);
  row.within_mark("no call failed any more after", last_after(hurt, at, failed), 3s);
  row.holds("they are unavailable or deadline_exceeded: " + failures(hurt), only_as_lost(hurt));
  const TimePoint back = now();
  town.proxy->behave();
  town.proxy->cut_all();  // what fell into the hole is lost
  row.within_mark("used again after the machine is back", town.load->answered_by(kOne, back) - back,
                  5s);
  REQUIRE(town.load->stop());
  check_calls(row, *town.load, {kOne, kTwo});
}

TEST_CASE("fault: partition between caller and service, both ways") {
  partition("fault: partition between caller and service, both ways", ChaosProxy::Way::both);
}

TEST_CASE("fault: partition between caller and service, requests lost") {
  partition("fault: partition between caller and service, requests lost",
            ChaosProxy::Way::to_server);
}

TEST_CASE("fault: partition between caller and service, answers lost") {
  partition("fault: partition between caller and service, answers lost",
            ChaosProxy::Way::to_client);
}
