// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <source_location>

namespace m3::obs_detail {

/// Limits how often one kind of event is logged: kMost times in any second. Constant time, no
/// allocation, and no lock while it holds events back. Any thread.
class LogRate {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kMost = 10;
  static constexpr std::chrono::seconds kWindow{1};

  LogRate() noexcept { reset(); }
  LogRate(const LogRate&) = delete;
  LogRate& operator=(const LogRate&) = delete;

  /// Empty: do not log. Else how many events were held back since the last one that passed.
  std::optional<std::uint64_t> pass(Time now) noexcept;
  void reset() noexcept;

 private:
  using Ticks = Time::rep;
  static constexpr Ticks kLongAgo = std::numeric_limits<Ticks>::min();

  std::atomic<Ticks> closed_until_{kLongAgo};
  std::atomic<std::uint64_t> held_back_{0};
  std::mutex mutex_;
  std::array<Ticks, kMost> open_again_{};  // a second after each of the last events that passed
  std::size_t oldest_ = 0;
};

/// The kind of an event is the place in the source that logs it.
std::optional<std::uint64_t> pass_limit(const std::source_location& where) noexcept;
/// Events of all kinds that were held back since the process started.
std::uint64_t held_back() noexcept;
/// Resets all limits, so that a test does not depend on the previous one.
void reset_limits() noexcept;

}  // namespace m3::obs_detail
