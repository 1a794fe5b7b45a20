// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/detail/summary_cells.h"

#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace m3::obs_detail {

std::uint32_t summary_bucket(double value) noexcept {
  if (!(value >= std::ldexp(1.0, kSummaryLowest))) return 0;
  auto bits = std::bit_cast<std::uint64_t>(value);
  int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1023;
  if (exponent >= kSummaryHighest) return kSummaryBuckets - 1;
  auto step = static_cast<std::uint32_t>(bits >> 47 & (kSummarySteps - 1));
  return 1 + static_cast<std::uint32_t>(exponent - kSummaryLowest) * kSummarySteps + step;
}

double summary_value(std::uint32_t bucket) noexcept {
  if (bucket == 0) return 0;
  std::uint32_t step = (bucket - 1) % kSummarySteps;
  int exponent = static_cast<int>((bucket - 1) / kSummarySteps) + kSummaryLowest;
  return std::ldexp(1 + (step + 0.5) / kSummarySteps, exponent);
}

void SummaryWindow::move_to(Time now, const std::vector<std::uint64_t>& counts) {
  if (!std::exchange(started_, true)) next_time_ = now;
  if (now - next_time_ < kStep) return;
  if (now - next_time_ < 2 * kStep)
    base_ = std::move(next_);
  else
    base_ = counts;  // not read for so long: start again
  next_ = counts;
  next_time_ = now;
}

double SummaryWindow::quantile(double quantile, const std::vector<std::uint64_t>& counts) const {
  auto in_window = [&](std::size_t i) { return counts[i] - (base_.empty() ? 0 : base_[i]); };
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) total += in_window(i);
  if (total == 0) return std::numeric_limits<double>::quiet_NaN();
  auto rank = static_cast<std::uint64_t>(std::ceil(quantile * static_cast<double>(total)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    seen += in_window(i);
    if (seen >= rank) return summary_value(static_cast<std::uint32_t>(i));
  }
  return summary_value(kSummaryBuckets - 1);
}

}  // namespace m3::obs_detail
