// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <limits>
#include <random>

#include "m3/testing/catch.h"
#include "m3/wire/deadline_clock.h"

namespace m3 {
namespace {

using std::chrono::milliseconds;

TEST_CASE("wire: a deadline counts from the dialer's hello") {
  DeadlineClock clock(1000);
  CHECK(clock.remaining(500, 1200) == 300);
  CHECK_FALSE(clock.is_late(500, 1499));
  CHECK(clock.is_late(500, 1500));
  CHECK(clock.local(500) == 1500);
}

TEST_CASE("wire: a deadline of zero is the moment of the hello, not an absent one") {
  DeadlineClock clock(1000);
  CHECK(clock.is_late(0, 1000));
  CHECK(clock.is_late(0, 1001));
}

TEST_CASE("wire: the quickest ping of the window sets the offset") {
  DeadlineClock clock(1040);  // the hello took 40 ms longer than it had to
  CHECK(clock.remaining(100, 1040) == 100);
  clock.on_ping(1000, 2000);
  CHECK(clock.remaining(1100, 2040) == 60);
  clock.on_ping(2000, 3500);  // a slow one changes nothing
  CHECK(clock.remaining(1100, 2040) == 60);
}

TEST_CASE("wire: frames that lay in a frozen server's socket are known to be late") {
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

TEST_CASE("wire: a freeze shorter than the window does not empty it, a longer drift does") {
  DeadlineClock clock(0);
  for (int i = 0; i < 63; ++i) clock.on_ping(1000, 6000);
  CHECK(clock.remaining(1000, 1000) == 0);  // the hello, offset 0, is the 64th
  clock.on_ping(1000, 6000);
  CHECK(clock.remaining(1000, 1000) == 5000);  // now it is out
}

TEST_CASE("wire: a dialer whose clock runs fast is followed") {
  DeadlineClock clock(0);
  // 1 % fast: after 1000 s of its own the dialer is 10 s ahead of us.
  for (WireMs t = 1000; t <= 1'000'000; t += 1000) clock.on_ping(t, t - t / 100);
  const WireMs now = 1'000'000 - 10'000;
  CHECK(clock.remaining(1'000'000 + 500, now) == 500);
}

TEST_CASE("wire: a dialer whose clock runs slow is followed within the window") {
  DeadlineClock clock(0);
  for (WireMs t = 1000; t <= 1'000'000; t += 1000) clock.on_ping(t, t + t / 100);
  const WireMs now = 1'000'000 + 10'000;
  const std::int32_t left = clock.remaining(1'000'000 + 500, now);
  CHECK(left <= 500);
  CHECK(left >= 500 - 640);  // 64 pings of 1 s, 1 % each
}

TEST_CASE("wire: both clocks may wrap at any moment") {
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

}  // namespace
}  // namespace m3
