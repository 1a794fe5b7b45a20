// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/metric.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>

#include "m3/obs/detail/summary_cells.h"
#include "m3/obs/log.h"

namespace m3 {
namespace {

using obs_detail::CellRef;
using obs_detail::CellStore;
using obs_detail::SummaryWindow;

constexpr std::array<double, 11> kDefaultBuckets{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
constexpr std::array<double, 3> kQuantiles{0.5, 0.9, 0.99};

enum class Storage : std::uint8_t { counter, core_gauge, gauge, histogram, summary, sampled };
constexpr std::array<const char*, 6> kStorageNames{"counter",   "core gauge", "gauge",
                                                   "histogram", "summary",    "sampled counter"};
constexpr std::array<MetricKind, 6> kKinds{MetricKind::counter, MetricKind::gauge,
                                           MetricKind::gauge,   MetricKind::histogram,
                                           MetricKind::summary, MetricKind::counter};

struct Series {
  std::uint32_t index = 0;                     // of the first cell; not for gauge
  std::shared_ptr<std::atomic<double>> level;  // gauge
  SummaryWindow window;                        // summary
  std::function<std::uint64_t()> sample;       // sampled
};

struct Family {
  std::string help;
  Storage storage = Storage::counter;
  std::shared_ptr<const std::vector<double>> bounds;  // histogram
  std::map<MetricLabels, Series> series;
  bool over_limit = false;
};

bool is_name(std::string_view name, bool colon_allowed) {
  auto good = [&](char c, bool first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (c == ':' && colon_allowed) || (!first && c >= '0' && c <= '9');
  };
  if (name.empty() || !good(name.front(), true)) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return good(c, false); });
}

/// Empty, or the error in the labels.
std::string wrong_label(const MetricLabels& labels, const MetricLabels& constant, Storage storage) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::string& name = labels[i].first;
    if (!is_name(name, false) || name.starts_with("__"))
      return fmt::format("\"{}\" is not a label name", name);
    if ((storage == Storage::histogram && name == "le") ||
        (storage == Storage::summary && name == "quantile"))
      return fmt::format("the label \"{}\" is reserved for this kind of metric", name);
    auto same = [&](const auto& other) { return other.first == name; };
    if (std::count_if(labels.begin(), labels.end(), same) > 1)
      return fmt::format("the label \"{}\" is given twice", name);
    if (std::any_of(constant.begin(), constant.end(), same))
      return fmt::format("the label \"{}\" is already on every series", name);
  }
  return "";
}

std::string wrong_bounds(std::span<const double> bounds) {
  if (bounds.empty()) return "a histogram needs buckets";
  if (bounds.size() > 200) return "a histogram has at most 200 buckets";
  for (std::size_t i = 0; i < bounds.size(); ++i)
    if (!std::isfinite(bounds[i]) || (i > 0 && bounds[i] <= bounds[i - 1]))
      return "bucket bounds must be finite and increasing";
  return "";
}

std::uint32_t cells_of(const Family& family) {
  switch (family.storage) {
    case Storage::gauge:
    case Storage::sampled:
      return 0;
    case Storage::histogram:
      return static_cast<std::uint32_t>(family.bounds->size()) + 2;
    case Storage::summary:
      return obs_detail::kSummaryCells;
    default:
      return 1;
  }
}

}  // namespace

std::span<const double> default_buckets() { return kDefaultBuckets; }

struct MetricRegistry::Impl {
  struct Wanted {
    std::string_view name;
    std::string_view help;
    const MetricLabels& labels;
    Storage storage;
    std::span<const double> bounds{};
    std::function<std::uint64_t()> sample{};
  };
  struct Found {
    const Family* family = nullptr;
    const Series* series = nullptr;
  };

  /// The existing one or a new one; empty, with the reason in `problem`, when it is refused.
  /// `problem` alone is a warning.
  Found get(const Wanted& wanted, std::string& problem);
  Family* family_of(const Wanted& wanted, std::string& problem);
  std::optional<Found> logged_get(const Wanted& wanted);
  MetricSeries read(const Family& family, const MetricLabels& labels, Series& series,
                    Clock::time_point now);
  void read_histogram(const Family& family, std::uint32_t index, MetricSeries& out);

  MetricOptions options;
  std::shared_ptr<CellStore> store = std::make_shared<CellStore>();
  std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;  // nodes keep their addresses
};

Family* MetricRegistry::Impl::family_of(const Wanted& wanted, std::string& problem) {
  if (auto found = families.find(wanted.name); found != families.end()) {
    if (found->second.storage == wanted.storage) return &found->second;
    problem = fmt::format("it is already a {} and cannot be a {}",
                          kStorageNames[static_cast<std::size_t>(found->second.storage)],
                          kStorageNames[static_cast<std::size_t>(wanted.storage)]);
    return nullptr;
  }
  if (!is_name(wanted.name, true)) {
    problem = "a name has letters, digits and '_' and does not begin with a digit";
    return nullptr;
  }
  if (wanted.storage == Storage::histogram) problem = wrong_bounds(wanted.bounds);
  if (!problem.empty()) return nullptr;
  Family& family = families[std::string(wanted.name)];
  family.help = wanted.help;
  family.storage = wanted.storage;
  if (wanted.storage == Storage::histogram)
    family.bounds =
        std::make_shared<std::vector<double>>(wanted.bounds.begin(), wanted.bounds.end());
  return &family;
}

MetricRegistry::Impl::Found MetricRegistry::Impl::get(const Wanted& wanted, std::string& problem) {
  problem = wrong_label(wanted.labels, options.constant_labels, wanted.storage);
  if (!problem.empty()) return {};
  std::lock_guard lock(mutex);
  Family* family = family_of(wanted, problem);
  if (!family) return {};
  MetricLabels labels = wanted.labels;
  std::sort(labels.begin(), labels.end());
  if (auto found = family->series.find(labels); found != family->series.end())
    return {family, &found->second};
  if (family->series.size() >= options.max_series_per_name) {
    if (!std::exchange(family->over_limit, true))
      problem = fmt::format("it has {} label sets; more are counted together as \"other\"",
                            family->series.size());
    for (auto& label : labels) label.second = "other";
    if (auto found = family->series.find(labels); found != family->series.end())
      return {family, &found->second};
  }
  Series series;
  if (std::uint32_t cells = cells_of(*family); cells > 0) series.index = store->allocate(cells);
  if (series.index == CellStore::kNoCells) {
    problem = "this registry is full";
    return {};
  }
  if (family->storage == Storage::gauge) series.level = std::make_shared<std::atomic<double>>(0);
  series.sample = wanted.sample;
  return {family, &family->series.emplace(std::move(labels), std::move(series)).first->second};
}

std::optional<MetricRegistry::Impl::Found> MetricRegistry::Impl::logged_get(const Wanted& wanted) {
  std::string problem;
  Found found = get(wanted, problem);
  if (!found.series) {
    log::error_p({{"metric", wanted.name}, {"reason", problem}},
                 "metric refused, its values are lost");
    return std::nullopt;
  }
  if (!problem.empty())
    log::warn_p({{"metric", wanted.name}, {"reason", problem}}, "metric has too many series");
  return found;
}

MetricRegistry::MetricRegistry(MetricOptions options) : impl_(std::make_unique<Impl>()) {
  std::sort(options.constant_labels.begin(), options.constant_labels.end());
  impl_->options = std::move(options);
}
MetricRegistry::~MetricRegistry() = default;

Counter MetricRegistry::counter(std::string_view name, std::string_view help,
                                const MetricLabels& labels) {
  auto found = impl_->logged_get({name, help, labels, Storage::counter});
  return found ? Counter(CellRef(impl_->store, found->series->index)) : Counter();
}

CoreGauge MetricRegistry::core_gauge(std::string_view name, std::string_view help,
                                     const MetricLabels& labels) {
  auto found = impl_->logged_get({name, help, labels, Storage::core_gauge});
  return found ? CoreGauge(CellRef(impl_->store, found->series->index)) : CoreGauge();
}

Gauge MetricRegistry::gauge(std::string_view name, std::string_view help,
                            const MetricLabels& labels) {
  auto found = impl_->logged_get({name, help, labels, Storage::gauge});
  return found ? Gauge(found->series->level) : Gauge();
}

Histogram MetricRegistry::histogram(std::string_view name, std::string_view help,
                                    const MetricLabels& labels, std::span<const double> bounds) {
  Histogram out;
  if (auto found = impl_->logged_get({name, help, labels, Storage::histogram, bounds})) {
    out.buckets_ = CellRef(impl_->store, found->series->index);
    out.bounds_ = found->family->bounds;
  }
  return out;
}

Summary MetricRegistry::summary(std::string_view name, std::string_view help,
                                const MetricLabels& labels) {
  Summary out;
  if (auto found = impl_->logged_get({name, help, labels, Storage::summary}))
    out.cells_ = CellRef(impl_->store, found->series->index);
  return out;
}

void MetricRegistry::sampled_counter(std::string_view name, std::string_view help,
                                     std::function<std::uint64_t()> sample) {
  impl_->logged_get({name, help, {}, Storage::sampled, {}, std::move(sample)});
}

void Histogram::observe(double value, std::uint64_t times) noexcept {
  if (!bounds_ || std::isnan(value)) return;
  auto bucket = std::lower_bound(bounds_->begin(), bounds_->end(), value) - bounds_->begin();
  buckets_.add_at(static_cast<std::uint32_t>(bucket), times);
  buckets_.add_double_at(static_cast<std::uint32_t>(bounds_->size()) + 1,
                         value * static_cast<double>(times));
}

void Summary::observe(double value) noexcept {
  if (std::isnan(value)) return;
  cells_.add_at(obs_detail::summary_bucket(value), 1);
  cells_.add_double_at(obs_detail::kSummarySumCell, value);
}

void MetricRegistry::Impl::read_histogram(const Family& family, std::uint32_t index,
                                          MetricSeries& out) {
  for (double bound : *family.bounds) {
    out.count += store->sum(index++);
    out.buckets.emplace_back(bound, out.count);
  }
  out.count += store->sum(index++);
  out.buckets.emplace_back(std::numeric_limits<double>::infinity(), out.count);
  out.sum = store->sum_double(index);
}

MetricSeries MetricRegistry::Impl::read(const Family& family, const MetricLabels& labels,
                                        Series& series, Clock::time_point now) {
  MetricSeries out;
  out.labels = options.constant_labels;
  out.labels.insert(out.labels.end(), labels.begin(), labels.end());
  switch (family.storage) {
    case Storage::counter:
      out.value = static_cast<double>(store->sum(series.index));
      break;
    case Storage::core_gauge:
      out.value = static_cast<double>(static_cast<std::int64_t>(store->sum(series.index)));
      break;
    case Storage::gauge:
      out.value = series.level->load(std::memory_order_relaxed);
      break;
    case Storage::sampled:
      out.value = static_cast<double>(series.sample());
      break;
    case Storage::histogram:
      read_histogram(family, series.index, out);
      break;
    case Storage::summary: {
      std::vector<std::uint64_t> counts(obs_detail::kSummaryBuckets);
      for (std::uint32_t i = 0; i < counts.size(); ++i) counts[i] = store->sum(series.index + i);
      for (std::uint64_t count : counts) out.count += count;
      out.sum = store->sum_double(series.index + obs_detail::kSummarySumCell);
      series.window.move_to(now, counts);
      for (double quantile : kQuantiles)
        out.quantiles.emplace_back(quantile, series.window.quantile(quantile, counts));
      break;
    }
  }
  return out;
}

std::vector<MetricFamily> MetricRegistry::collect(Clock::time_point now) {
  std::lock_guard lock(impl_->mutex);
  std::vector<MetricFamily> out;
  for (auto& [name, family] : impl_->families) {
    MetricFamily& made = out.emplace_back();
    made.name = name;
    made.help = family.help;
    made.kind = kKinds[static_cast<std::size_t>(family.storage)];
    for (auto& [labels, series] : family.series)
      made.series.push_back(impl_->read(family, labels, series, now));
  }
  return out;
}

}  // namespace m3
