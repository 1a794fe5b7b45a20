// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/log_limit.h"

#include <utility>

namespace m3 {

LogLimit::Bucket& LogLimit::bucket(std::string_view key, Time now) {
  std::string name(key);
  if (auto found = buckets_.find(name); found != buckets_.end()) return found->second;
  if (buckets_.size() >= max_keys_)
    std::erase_if(buckets_, [&](const auto& entry) { return now - entry.second.begin >= window_; });
  if (buckets_.size() >= max_keys_) return others_;
  return buckets_.emplace(std::move(name), Bucket{now}).first->second;
}

std::optional<std::uint64_t> LogLimit::pass(std::string_view key, Time now) {
  Bucket& at = bucket(key, now);
  if (now - at.begin >= window_) {
    at.begin = now;
    at.passed = 0;
  }
  if (at.passed >= burst_) {
    ++at.dropped;
    return std::nullopt;
  }
  ++at.passed;
  return std::exchange(at.dropped, 0);
}

}  // namespace m3
