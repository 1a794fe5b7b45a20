// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <limits>
#include <random>

#include "m3/async/backoff.h"
#include "m3/testing/catch.h"

namespace m3 {
namespace {

using std::chrono::milliseconds;

TEST_CASE("async: backoff doubles its ceiling up to the maximum and starts over after reset") {
  BackoffConfig config;
  config.least = milliseconds(10);
  config.first = milliseconds(100);
  config.most = milliseconds(1000);
  Backoff backoff(config);
  const std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();
  for (int expected : {100, 200, 400, 800, 1000, 1000}) {
    CHECK(backoff.next(highest) == milliseconds(expected));
  }
  CHECK(backoff.next(0) == milliseconds(10));
  CHECK(backoff.attempts() == 7);
  backoff.reset();
  CHECK(backoff.next(highest) == milliseconds(100));
}

TEST_CASE("async: backoff spreads evenly between its bounds") {
  std::mt19937_64 random(7);
  Backoff backoff;
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    backoff.reset();
    const auto wait = backoff.next(random());
    REQUIRE(wait >= milliseconds(10));
    REQUIRE(wait <= milliseconds(100));
    sum += static_cast<double>(wait.count());
  }
  CHECK(sum / 10'000 == Approx(55).margin(1.5));
}

TEST_CASE("async: backoff brings a contradictory config in order") {
  BackoffConfig config;
  config.least = milliseconds(500);
  config.first = milliseconds(100);
  config.most = milliseconds(50);
  Backoff backoff(config);
  for (std::uint64_t random : {std::uint64_t{0}, std::numeric_limits<std::uint64_t>::max()}) {
    CHECK(backoff.next(random) == milliseconds(50));
  }
  config.least = config.first = config.most = milliseconds(-5);
  Backoff least(config);
  CHECK(least.next(1) <= milliseconds(1));
}

}  // namespace
}  // namespace m3
