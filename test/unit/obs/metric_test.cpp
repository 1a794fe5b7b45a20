// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/metric.h"

#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "m3/obs/prometheus.h"
#include "m3/obs/recording_sink.h"
#include "m3/testing/catch.h"

using namespace std::chrono_literals;
using m3::MetricFamily;
using m3::MetricLabels;
using m3::MetricRegistry;
using m3::MetricSeries;

namespace {

MetricSeries only(MetricRegistry& registry, const std::string& name,
                  MetricRegistry::Clock::time_point now = {}) {
  auto families = registry.collect(now);
  for (const MetricFamily& family : families)
    if (family.name == name) {
      REQUIRE(family.series.size() == 1);
      return family.series.front();
    }
  FAIL("no metric " << name);
  return {};
}

}  // namespace

TEST_CASE("obs: a counter sums what all threads added, also those that ended") {
  MetricRegistry registry;
  auto counter = registry.counter("m3_test_events_total", "events");
  counter.inc();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([counter]() mutable {
      for (int i = 0; i < 10000; ++i) counter.add(2);
    });
  for (auto& thread : threads) thread.join();
  CHECK(only(registry, "m3_test_events_total").value == 80001);
  std::thread([counter]() mutable { counter.inc(); }).join();
  CHECK(only(registry, "m3_test_events_total").value == 80002);
}

TEST_CASE("obs: collecting while threads count loses nothing") {
  MetricRegistry registry;
  auto counter = registry.counter("m3_test_events_total", "events");
  std::thread writer([counter]() mutable {
    for (int i = 0; i < 100000; ++i) counter.inc();
  });
  double last = 0;
  for (int i = 0; i < 100; ++i) {
    double value = only(registry, "m3_test_events_total").value;
    CHECK(value >= last);
    last = value;
  }
  writer.join();
  CHECK(only(registry, "m3_test_events_total").value == 100000);
}

TEST_CASE("obs: the same name and labels are the same series, in whatever order") {
  MetricRegistry registry;
  registry.counter("c_total", "", {{"a", "1"}, {"b", "2"}}).inc();
  registry.counter("c_total", "", {{"b", "2"}, {"a", "1"}}).inc();
  CHECK(only(registry, "c_total").value == 2);
  registry.counter("c_total", "", {{"a", "1"}, {"b", "3"}}).inc();
  CHECK(registry.collect().front().series.size() == 2);
}

TEST_CASE("obs: two registries in one process and on one thread do not mix") {
  MetricRegistry first({.constant_labels = {{"app", "one"}}});
  std::optional<MetricRegistry> second(std::in_place);
  auto a = first.counter("c_total", "");
  auto b = second->counter("c_total", "");
  for (int i = 0; i < 10; ++i) {
    a.inc();
    b.add(10);
  }
  CHECK(only(first, "c_total").value == 10);
  CHECK(only(first, "c_total").labels == MetricLabels{{"app", "one"}});
  CHECK(only(*second, "c_total").value == 100);
  second.reset();
  b.inc();  // counts for nobody
  std::thread([b]() mutable { b.inc(); }).join();
  MetricRegistry third;
  auto c = third.counter("c_total", "");
  CHECK(only(third, "c_total").value == 0);
  c.inc();
  a.inc();
  CHECK(only(third, "c_total").value == 1);
  CHECK(only(first, "c_total").value == 11);
}

TEST_CASE("obs: a handle without a registry does nothing") {
  m3::Counter().inc();
  m3::CoreGauge().set(1);
  m3::Gauge().set(1);
  m3::Histogram().observe(1);
  m3::Summary().observe(1);
  SUCCEED();
}

TEST_CASE("obs: a core gauge sums each thread's part, a gauge has one value") {
  MetricRegistry registry;
  auto parts = registry.core_gauge("m3_test_connections", "");
  auto level = registry.gauge("m3_test_players", "");
  parts.set(5);
  parts.dec();
  level.set(2.5);
  std::thread([&] {
    parts.add(-10);
    level.add(1);
  }).join();
  CHECK(only(registry, "m3_test_connections").value == -6);
  CHECK(only(registry, "m3_test_players").value == 3.5);
  level.sub(0.5);
  CHECK(only(registry, "m3_test_players").value == 3);
}

TEST_CASE("obs: a histogram counts into buckets, bounds included") {
  MetricRegistry registry;
  const std::vector<double> bounds{1, 2, 5};
  auto histogram = registry.histogram("h_seconds", "", {}, bounds);
  for (double value : {0.5, 1.0, 1.5, 5.0, 6.0, std::numeric_limits<double>::quiet_NaN()})
    histogram.observe(value);
  auto series = only(registry, "h_seconds");
  CHECK(series.count == 5);
  CHECK(series.sum == 14);
  REQUIRE(series.buckets.size() == 4);
  CHECK(series.buckets[0] == std::pair<double, std::uint64_t>(1, 2));
  CHECK(series.buckets[1].second == 3);
  CHECK(series.buckets[2].second == 4);
  CHECK(std::isinf(series.buckets[3].first));
  CHECK(series.buckets[3].second == 5);
}

TEST_CASE("obs: a summary's quantiles are within two percent of the value") {
  MetricRegistry registry;
  auto summary = registry.summary("s_seconds", "");
  std::mt19937 random(1);
  std::vector<double> values;
  std::lognormal_distribution<double> spread(-4, 2);
  for (int i = 0; i < 10000; ++i) values.push_back(spread(random));
  for (double value : values) summary.observe(value);
  std::sort(values.begin(), values.end());
  auto series = only(registry, "s_seconds");
  CHECK(series.count == 10000);
  REQUIRE(series.quantiles.size() == 3);
  for (auto [quantile, value] : series.quantiles) {
    double exact = values[static_cast<std::size_t>(quantile * 10000) - 1];
    CHECK(std::abs(value - exact) <= 0.02 * exact);
  }
}

TEST_CASE("obs: a summary takes any number") {
  MetricRegistry registry;
  auto summary = registry.summary("s", "");
  for (double value :
       {0.0, -1.0, 1e300, std::numeric_limits<double>::infinity(), 1e-300,
        std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::quiet_NaN()})
    summary.observe(value);
  CHECK(only(registry, "s").count == 6);
}

TEST_CASE("obs: a summary forgets what is older than ten minutes") {
  MetricRegistry registry;
  auto summary = registry.summary("s", "");
  MetricRegistry::Clock::time_point now{1h};
  auto median = [&] { return only(registry, "s", now).quantiles.front().second; };
  CHECK(std::isnan(median()));
  for (int i = 0; i < 100; ++i) summary.observe(1);
  CHECK(std::abs(median() - 1) < 0.02);
  now += 5min;
  CHECK(std::abs(median() - 1) < 0.02);
  summary.observe(100);
  now += 5min;
  CHECK(std::abs(median() - 100) < 2);
  now += 5min;
  CHECK(std::isnan(median()));
  CHECK(only(registry, "s", now).count == 101);
}

TEST_CASE("obs: a metric that cannot be is refused in the log and counts nothing") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink installed(sink);
  MetricRegistry registry({.constant_labels = {{"app", "x"}}});
  registry.counter("taken", "");
  registry.gauge("taken", "").set(5);
  registry.core_gauge("1st", "").inc();
  registry.counter("has-dash", "").inc();
  registry.counter("l", "", {{"le gal", "x"}}).inc();
  registry.counter("l", "", {{"a", "x"}, {"a", "y"}}).inc();
  registry.counter("l", "", {{"app", "y"}}).inc();
  registry.histogram("h", "", {{"le", "1"}}).observe(1);
  registry.histogram("h", "", {}, std::vector<double>{2, 1}).observe(1);
  CHECK(sink->count("metric refused") == 8);
  CHECK(sink->events().front().plus.at("reason") ==
        "it is already a counter and cannot be a gauge");
  CHECK(registry.collect().size() == 1);
  CHECK(only(registry, "taken").value == 0);
}

TEST_CASE("obs: label sets beyond the limit share one series and are logged once") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink installed(sink);
  MetricRegistry registry({.constant_labels = {}, .max_series_per_name = 3});
  for (int i = 0; i < 10; ++i)
    registry.counter("c_total", "", {{"player", std::to_string(i)}}).inc();
  auto series = registry.collect().front().series;
  REQUIRE(series.size() == 4);
  CHECK(series.back().labels == MetricLabels{{"player", "other"}});
  CHECK(series.back().value == 7);
  CHECK(sink->count("too many series") == 1);
}

TEST_CASE("obs: a registry that is full says so instead of writing elsewhere") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink installed(sink);
  MetricRegistry registry;
  for (int i = 0; i < 140; ++i) registry.summary("s", "", {{"n", std::to_string(i)}}).observe(1);
  CHECK(sink->count("metric refused") == 12);
  auto families = registry.collect();
  for (const auto& series : families.front().series) CHECK(series.count == 1);
}

TEST_CASE("obs: the Prometheus text is what promtool accepts") {
  MetricRegistry registry({.constant_labels = {{"app", "d.w.f.1"}}});
  registry.counter("m3_rpc_calls_total", "Calls\nby method \\", {{"method", "/a.B/\"C\"\n"}})
      .add(3);
  registry.gauge("m3_app_ratio", "").set(0.25);
  const std::vector<double> bounds{0.5};
  registry.histogram("m3_rpc_seconds", "Time", {}, bounds).observe(2);
  registry.summary("m3_z_size", "Size");
  CHECK(m3::render_prometheus(registry.collect()) ==
        "# TYPE m3_app_ratio gauge\n"
        "m3_app_ratio{app=\"d.w.f.1\"} 0.25\n"
        "# HELP m3_rpc_calls_total Calls\\nby method \\\\\n"
        "# TYPE m3_rpc_calls_total counter\n"
        "m3_rpc_calls_total{app=\"d.w.f.1\",method=\"/a.B/\\\"C\\\"\\n\"} 3\n"
        "# HELP m3_rpc_seconds Time\n"
        "# TYPE m3_rpc_seconds histogram\n"
        "m3_rpc_seconds_bucket{app=\"d.w.f.1\",le=\"0.5\"} 0\n"
        "m3_rpc_seconds_bucket{app=\"d.w.f.1\",le=\"+Inf\"} 1\n"
        "m3_rpc_seconds_sum{app=\"d.w.f.1\"} 2\n"
        "m3_rpc_seconds_count{app=\"d.w.f.1\"} 1\n"
        "# HELP m3_z_size Size\n"
        "# TYPE m3_z_size summary\n"
        "m3_z_size{app=\"d.w.f.1\",quantile=\"0.5\"} NaN\n"
        "m3_z_size{app=\"d.w.f.1\",quantile=\"0.9\"} NaN\n"
        "m3_z_size{app=\"d.w.f.1\",quantile=\"0.99\"} NaN\n"
        "m3_z_size_sum{app=\"d.w.f.1\"} 0\n"
        "m3_z_size_count{app=\"d.w.f.1\"} 0\n");
}

TEST_CASE("obs: a sampled counter is asked when metrics are collected") {
  MetricRegistry registry({.constant_labels = {{"app", "a"}}});
  std::atomic<std::uint64_t> count = 3;
  registry.sampled_counter("kept_elsewhere_total", "help", [&] { return count.load(); });
  CHECK(only(registry, "kept_elsewhere_total").value == 3);
  count = 5;
  const auto family = registry.collect().front();
  CHECK(family.kind == m3::MetricKind::counter);
  CHECK(family.series.front().value == 5);
  CHECK(family.series.front().labels == MetricLabels{{"app", "a"}});
}
