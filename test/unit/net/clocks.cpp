// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <limits>
#include <random>

#include "m3/net/backoff.h"
#include "m3/net/deadline_clock.h"
#include "m3/testing/catch.h"

namespace m3 {
namespace {

using std::chrono::milliseconds;

TEST_CASE("net: a deadline counts from the dialer's hello") {
  DeadlineClock clock(1000);
  CHECK(clock.remaining(500, 1200) == 300);
  CHECK_FALSE(clock.is_late(500, 1499));
  CHECK(clock.is_late(500, 1500));
  CHECK(clock.local(500) == 1500);
}

TEST_CASE("net: a deadline of zero is the moment of the hello, not an absent one") {
  DeadlineClock clock(1000);
  CHECK(clock.is_late(0, 1000));
  CHECK(clock.is_late(0, 1001));
}

TEST_CASE("net: the quickest ping of the window sets the offset") {
  DeadlineClock clock(1040);  // the hello took 40 ms longer than it had to
  CHECK(clock.remaining(100, 1040) == 100);
  clock.on_ping(1000, 2000);
  CHECK(clock.remaining(1100, 2040) == 60);
  clock.on_ping(2000, 3500);  // a slow one changes nothing
  CHECK(clock.remaining(1100, 2040) == 60);
}

TEST_CASE("net: frames that lay in a frozen server's socket are known to be late") {
  DeadlineClock clock(50'000);
  for (WireMs t = 1000; t <= 10'000; t += 1000) clock.on_ping(t, 50'000 + t);
  // Frozen for 30 s; then 30 pings and the calls between them are read at once.
  const WireMs woke = 50'000 + 40'000;
  for (WireMs t = 11'000; t <= 40'000; t += 1000) {
    clock.on_ping(t, woke);
    const bool deadline_passed = t + 500 <= 40'000;
    CHECK(clock.is_late(t + 500, woke) == deadline_passed);
  }
}

TEST_CASE("net: a freeze shorter than the window does not empty it, a longer drift does") {
  DeadlineClock clock(0);
  for (int i = 0; i < 63; ++i) clock.on_ping(1000, 6000);
  CHECK(clock.remaining(1000, 1000) == 0);  // the hello, offset 0, is the 64th
  clock.on_ping(1000, 6000);
  CHECK(clock.remaining(1000, 1000) == 5000);  // now it is out
}

TEST_CASE("net: a dialer whose clock runs fast is followed") {
  DeadlineClock clock(0);
  // 1 % fast: after 1000 s of its own the dialer is 10 s ahead of us.
  for (WireMs t = 1000; t <= 1'000'000; t += 1000) clock.on_ping(t, t - t / 100);
  const WireMs now = 1'000'000 - 10'000;
  CHECK(clock.remaining(1'000'000 + 500, now) == 500);
}

TEST_CASE("net: a dialer whose clock runs slow is followed within the window") {
  DeadlineClock clock(0);
  for (WireMs t = 1000; t <= 1'000'000; t += 1000) clock.on_ping(t, t + t / 100);
  const WireMs now = 1'000'000 + 10'000;
  const std::int32_t left = clock.remaining(1'000'000 + 500, now);
  CHECK(left <= 500);
  CHECK(left >= 500 - 640);  // 64 pings of 1 s, 1 % each
}

TEST_CASE("net: both clocks may wrap at any moment") {
  const WireMs start = GENERATE(0u, 0x7fff'ff00u, 0x8000'0000u, 0xffff'ff00u, 0xffff'ffffu);
  const WireMs sent = GENERATE(0u, 0x7fff'ffffu, 0xffff'fff0u);
  DeadlineClock clock(start);
  // The connection lives on until its clock says `sent`, then pings and calls.
  for (int i = 0; i < 64; ++i) clock.on_ping(sent, start + sent + 3);
  const WireMs now = start + sent + 3;
  CHECK(clock.remaining(sent + 250, now) == 250);
  CHECK_FALSE(clock.is_late(sent + kFarthestDeadlineMs, now));
  CHECK(clock.is_late(sent, now));
  CHECK(clock.is_late(sent - kFarthestDeadlineMs, now));
}

TEST_CASE("net: backoff doubles its ceiling up to the most and starts over when told") {
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

TEST_CASE("net: backoff spreads evenly between its bounds") {
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

TEST_CASE("net: backoff brings a contradictory config in order") {
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
