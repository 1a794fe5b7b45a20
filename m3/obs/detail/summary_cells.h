// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace m3::obs_detail {

// A summary counts into buckets that grow with the value: 32 for each power of two from 2^-20 to
// 2^40, so the middle of a bucket is within 1.6 % of everything in it. Bucket 0 is for what is
// smaller.
inline constexpr std::uint32_t kSummarySteps = 32;
inline constexpr int kSummaryLowest = -20;
inline constexpr int kSummaryHighest = 40;
inline constexpr std::uint32_t kSummaryBuckets =
    1 + kSummarySteps * (kSummaryHighest - kSummaryLowest);
inline constexpr std::uint32_t kSummarySumCell = kSummaryBuckets;
inline constexpr std::uint32_t kSummaryCells = kSummaryBuckets + 1;

std::uint32_t summary_bucket(double value) noexcept;
double summary_value(std::uint32_t bucket) noexcept;

/// Remembers the counts of 5 to 10 minutes ago, so that quantiles are of what happened since.
class SummaryWindow {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::minutes kStep{5};

  void move_to(Time now, const std::vector<std::uint64_t>& counts);
  /// NaN when nothing was observed in the window.
  double quantile(double quantile, const std::vector<std::uint64_t>& counts) const;

 private:
  std::vector<std::uint64_t> base_;  // empty: zeros
  std::vector<std::uint64_t> next_;
  Time next_time_{};
  bool started_ = false;
};

}  // namespace m3::obs_detail
