// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace m3 {

/// Holds back repetitions of the same thing, by key: for each, `burst` events per `window` may
/// pass. Against floods there is log::warn_limited, which needs only the call.
///   if (auto dropped = limit.pass(peer, now))
///     log::warn("bad frame from {} ({} more not logged)", peer, *dropped);
/// Not thread-safe: each core has its own. Remembers at most `max_keys`; keys beyond share one
/// allowance.
class LogLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  LogLimit(std::uint32_t burst, std::chrono::nanoseconds window, std::size_t max_keys = 1024)
      : burst_(burst), window_(window), max_keys_(max_keys) {}

  /// Empty: do not log. Else how many events of this key were held back since the last one that
  /// passed.
  std::optional<std::uint64_t> pass(std::string_view key, Time now);

 private:
  struct Bucket {
    Time begin;
    std::uint32_t passed = 0;
    std::uint64_t dropped = 0;
  };
  Bucket& bucket(std::string_view key, Time now);

  std::uint32_t burst_;
  std::chrono::nanoseconds window_;
  std::size_t max_keys_;
  std::unordered_map<std::string, Bucket> buckets_;
  Bucket others_;
};

}  // namespace m3
