// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/obs/detail/metric_cells.h"

namespace m3 {

/// Names and values that tell series of one metric apart. Bounded sets only: a method, a reason, a
/// plugin; never a player or actor id.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

enum class MetricKind : std::uint8_t { counter, gauge, histogram, summary };

/// Counts how often something happened. A handle: copy it, keep it, use it from any thread. Without
/// a registry, or after its registry is destroyed, it has no effect. add() is a plain store into
/// this thread's own cell.
class Counter {
 public:
  Counter() = default;
  void add(std::uint64_t amount) noexcept { cell_.add(amount); }
  void inc() noexcept { cell_.add(1); }

 private:
  friend class MetricRegistry;
  explicit Counter(obs_detail::CellRef cell) : cell_(cell) {}
  obs_detail::CellRef cell_;
};

/// A level that is the sum of one part per core (connections, queued messages). As cheap as
/// Counter. set() sets this thread's part only.
class CoreGauge {
 public:
  CoreGauge() = default;
  void add(std::int64_t amount) noexcept { cell_.add(static_cast<std::uint64_t>(amount)); }
  void inc() noexcept { add(1); }
  void dec() noexcept { add(-1); }
  void set(std::int64_t value) noexcept { cell_.set(static_cast<std::uint64_t>(value)); }

 private:
  friend class MetricRegistry;
  explicit CoreGauge(obs_detail::CellRef cell) : cell_(cell) {}
  obs_detail::CellRef cell_;
};

/// A level that any thread sets for all (players online, the age of a snapshot). One shared atomic:
/// for values that change less than thousands of times a second.
class Gauge {
 public:
  Gauge() = default;
  void set(double value) noexcept {
    if (value_) value_->store(value, std::memory_order_relaxed);
  }
  void add(double amount) noexcept {
    if (value_) value_->fetch_add(amount, std::memory_order_relaxed);
  }
  void sub(double amount) noexcept { add(-amount); }
  void inc() noexcept { add(1); }
  void dec() noexcept { add(-1); }

 private:
  friend class MetricRegistry;
  explicit Gauge(std::shared_ptr<std::atomic<double>> value) : value_(std::move(value)) {}
  std::shared_ptr<std::atomic<double>> value_;
};

/// Counts observations in fixed buckets. Cheap and exact; can be summed over apps.
class Histogram {
 public:
  Histogram() = default;
  /// `times` observations of that value.
  void observe(double value, std::uint64_t times = 1) noexcept;

 private:
  friend class MetricRegistry;
  obs_detail::CellRef buckets_;  // one per bound, one for the rest, then the sum
  std::shared_ptr<const std::vector<double>> bounds_;
};

/// Quantiles of the observations of the last 5 to 10 minutes, each within 2 % of the value. For
/// values without sensible buckets; cannot be summed over apps. Values below a millionth count as
/// zero. Costs 15 KiB per thread.
class Summary {
 public:
  Summary() = default;
  void observe(double value) noexcept;

 private:
  friend class MetricRegistry;
  obs_detail::CellRef cells_;
};

/// 5 ms to 10 s, in seconds.
std::span<const double> default_buckets();

/// The result of collect(): plain values.
struct MetricSeries {
  MetricLabels labels;
  double value = 0;  ///< counter, gauge
  std::vector<std::pair<double, std::uint64_t>>
      buckets;  ///< histogram: upper bound (the last +inf), cumulative count
  std::vector<std::pair<double, double>>
      quantiles;            ///< summary: quantile, value (NaN without observations)
  double sum = 0;           ///< histogram, summary
  std::uint64_t count = 0;  ///< histogram, summary
};
struct MetricFamily {
  std::string name;
  std::string help;
  MetricKind kind = MetricKind::counter;
  std::vector<MetricSeries> series;
};

struct MetricOptions {
  MetricLabels constant_labels;  ///< on every series; for example the app id
  std::size_t max_series_per_name = 1000;
};

/// The metrics of one app: App owns it and shares it with its cores; several can exist
/// independently in one process. Asking for a handle takes a lock and a look-up: do it once, at
/// construction, and keep the handle. The same name and labels give the same series. Thread-safe.
///
/// A name that Prometheus would refuse, or that already has another kind, returns a handle that
/// does nothing, and logs one error. Label sets beyond the limit share one series labelled "other",
/// which is logged once.
class MetricRegistry {
 public:
  using Clock = std::chrono::steady_clock;

  explicit MetricRegistry(MetricOptions options = {});
  ~MetricRegistry();
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  Counter counter(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  CoreGauge core_gauge(std::string_view name, std::string_view help,
                       const MetricLabels& labels = {});
  Gauge gauge(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  /// `bounds`: increasing upper bounds; those of the first call for a name are used.
  Histogram histogram(std::string_view name, std::string_view help, const MetricLabels& labels = {},
                      std::span<const double> bounds = default_buckets());
  /// Quantiles 0.5, 0.9 and 0.99.
  Summary summary(std::string_view name, std::string_view help, const MetricLabels& labels = {});

  /// A count that is kept elsewhere: `sample` is called when metrics are collected, on any thread.
  void sampled_counter(std::string_view name, std::string_view help,
                       std::function<std::uint64_t()> sample);

  /// Everything, summed over threads, sorted by name and labels. Does not stop the writers. `now`
  /// moves the window of summaries.
  std::vector<MetricFamily> collect(Clock::time_point now = Clock::now());

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
