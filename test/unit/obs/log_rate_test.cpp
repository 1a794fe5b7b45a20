// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/detail/log_rate.h"

#include <memory>
#include <thread>
#include <vector>

#include "m3/obs/log.h"
#include "m3/obs/recording_sink.h"
#include "m3/testing/catch.h"

using namespace std::chrono_literals;
using m3::obs_detail::LogRate;
namespace log_front = m3::log;

namespace {

struct FakeCtx {};
m3::LogContext log_context(const FakeCtx&) { return {"d.w.ctx.1", nullptr}; }

int count_passed(LogRate& rate, int tries, LogRate::Time now) {
  int passed = 0;
  for (int i = 0; i < tries; ++i) passed += rate.pass(now) ? 1 : 0;
  return passed;
}

}  // namespace

TEST_CASE("obs: no second, wherever it begins, has more than ten events of a kind") {
  LogRate rate;
  const LogRate::Time start{100s};
  std::vector<LogRate::Time> passed;
  for (auto at = start; at < start + 5s; at += 7ms)
    if (rate.pass(at)) passed.push_back(at);
  CHECK(passed.size() == 50);
  for (std::size_t i = LogRate::kMost; i < passed.size(); ++i)
    CHECK(passed[i] - passed[i - LogRate::kMost] >= 1s);
}

TEST_CASE("obs: the first event that passes says how many were held back") {
  LogRate rate;
  const LogRate::Time now{100s};
  CHECK(count_passed(rate, 133, now) == 10);
  CHECK_FALSE(rate.pass(now + 999ms));
  CHECK(rate.pass(now + 1s) == 124U);
  CHECK(rate.pass(now + 1s) == 0U);
}

TEST_CASE("obs: a kind that rested may log ten times at once") {
  LogRate rate;
  CHECK(count_passed(rate, 20, LogRate::Time{1s}) == 10);
  CHECK(count_passed(rate, 20, LogRate::Time{1h}) == 10);
}

TEST_CASE("obs: several threads share the rate of a kind") {
  LogRate rate;
  std::atomic<int> passed = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] { passed += count_passed(rate, 1000, LogRate::Time{100s}); });
  for (auto& thread : threads) thread.join();
  CHECK(passed == 10);
  CHECK(rate.pass(LogRate::Time{101s}) == 3990U);
}

TEST_CASE("obs: a limited event is cut and says how long it was") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink installed(sink);
  log_front::warn_limited("short {}", 1);
  log_front::error_limited(FakeCtx{}, "from {}: {}", "peer", std::string(95'000'000, 'x'));
  log_front::info_limited("é{}", std::string(399, 'y') + "é");
  const auto events = sink->events();
  REQUIRE(events.size() == 3);
  CHECK(events[0].text == "short 1");
  CHECK(events[0].level == m3::LogLevel::warn);
  CHECK(events[1].text == "from peer: " + std::string(389, 'x') + "… (95000011 bytes)");
  CHECK(events[1].app == "d.w.ctx.1");
  CHECK(events[2].text == "é" + std::string(398, 'y') + "… (403 bytes)");
}

TEST_CASE("obs: each place in the source is limited by itself, and counted") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink installed(sink);
  const std::uint64_t before = log_front::held_back();
  for (int i = 0; i < 1000; ++i) log_front::warn_limited("noisy {}", i);
  log_front::warn_limited("quiet");
  CHECK(sink->count("noisy") == 10);
  CHECK(sink->count("quiet") == 1);
  CHECK(log_front::held_back() - before == 990);
}

TEST_CASE("obs: a limited event below the level is not counted as held back") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink installed(sink, m3::LogLevel::error);
  const std::uint64_t before = log_front::held_back();
  for (int i = 0; i < 100; ++i) log_front::warn_limited("noisy {}", i);
  CHECK(sink->events().empty());
  CHECK(log_front::held_back() == before);
}
