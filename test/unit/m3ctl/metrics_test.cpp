// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/metrics.h"

#include <string>

#include "m3/testing/catch.h"

using m3ctl::Pace;
using m3ctl::PaceMeter;
using namespace std::chrono_literals;

namespace {

const std::chrono::steady_clock::time_point kBegin{};

/// Two methods; `fast` calls took less than 1 ms, the others less than 10 ms.
std::string text(int fast, int slow) {
  const auto line = [](const char* name, const char* labels, int value) {
    return std::string(name) + "{method=\"" + labels + "} " + std::to_string(value) + "\n";
  };
  return "# TYPE m3_rpc_requests_total counter\n" + line("m3_rpc_requests_total", "a\"", fast) +
         line("m3_rpc_requests_total", "b\"", slow) + "m3_rpc_requests_total_created 77\n" +
         line("m3_rpc_handler_seconds_bucket", "a\",le=\"0.001\"", fast) +
         line("m3_rpc_handler_seconds_bucket", "a\",le=\"0.01\"", fast + slow) +
         line("m3_rpc_handler_seconds_bucket", "a\",le=\"+Inf\"", fast + slow);
}

}  // namespace

TEST_CASE("m3ctl: the first look has no pace, the second that of the time between") {
  PaceMeter meter;
  const Pace first = meter.update(text(1000, 0), kBegin);
  CHECK_FALSE(first.calls_per_second);
  CHECK_FALSE(first.p99_seconds);
  const Pace second = meter.update(text(1090, 10), kBegin + 2s);
  REQUIRE(second.calls_per_second);
  CHECK(*second.calls_per_second == Approx(50));
  REQUIRE(second.p99_seconds);
  CHECK(*second.p99_seconds == Approx(0.001 + 0.009 * 0.9));
}

TEST_CASE("m3ctl: without calls there is no latency, nor without a histogram") {
  PaceMeter meter;
  meter.update(text(5, 5), kBegin);
  const Pace idle = meter.update(text(5, 5), kBegin + 1s);
  CHECK(*idle.calls_per_second == 0);
  CHECK_FALSE(idle.p99_seconds);
  PaceMeter plain;
  plain.update("m3_rpc_requests_total 1\r\n", kBegin);
  const Pace counted = plain.update("m3_rpc_requests_total 3\r\n", kBegin + 1s);
  CHECK(*counted.calls_per_second == Approx(2));
  CHECK_FALSE(counted.p99_seconds);
}

TEST_CASE(
    "m3ctl: a count that decreased is not a rate, and after reset() the next value is the first") {
  PaceMeter meter;
  meter.update(text(100, 0), kBegin);
  CHECK(*meter.update(text(1, 0), kBegin + 1s).calls_per_second == 0);
  meter.reset();
  CHECK_FALSE(meter.update(text(500, 0), kBegin + 2s).calls_per_second);
}
