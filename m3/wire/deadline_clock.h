// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace m3 {

/// Milliseconds on some clock, modulo 2^32: wraps after 49 days, compared by wire_ms_until().
using WireMs = std::uint32_t;

/// Deadlines further away than this (12 days) are brought down to it by the caller, so that no
/// comparison is ever near the half of 2^32.
inline constexpr WireMs kFarthestDeadlineMs = 1u << 30;

/// From `now` to `then`; negative when `then` has passed. Correct while they are less than 24 days
/// apart.
constexpr std::int32_t wire_ms_until(WireMs then, WireMs now) {
  return static_cast<std::int32_t>(then - now);
}

/// The acceptor's estimate of its dialer's clock: converts a deadline in a frame to local time.
///
/// The dialer's clock is 0 when it sends its hello. Every ping has its send time; the least
/// (received − sent) over the last 64 or so is the offset between the clocks plus the shortest
/// delay. A frame that lay in the socket while this process was frozen is therefore known to be
/// late, which no clock that starts at reception would see. A window, because clocks drift and
/// machines sleep; counted in pings, so that a freeze does not empty it.
///
/// `now` is this side's monotonic clock in milliseconds, cut to 32 bits; with any origin.
class DeadlineClock {
 public:
  /// Pings are forgotten eight at a time: the least is that of the last 57 to 64.
  static constexpr std::size_t kGroups = 8;
  static constexpr std::size_t kPingsOfGroup = 8;

  /// The first hello came at `now`; it counts as the first ping, sent at 0.
  explicit DeadlineClock(WireMs now) : offset_(now) { least_[0] = now; }

  /// A ping of the dialer, with its deadline field.
  void on_ping(WireMs sent, WireMs now);

  /// True from the moment of the deadline on: the handler must not start.
  bool is_late(WireMs deadline, WireMs now) const { return remaining(deadline, now) <= 0; }
  /// Milliseconds left; 0 or negative when late.
  std::int32_t remaining(WireMs deadline, WireMs now) const {
    return wire_ms_until(deadline + offset_, now);
  }
  /// The deadline on this side's clock.
  WireMs local(WireMs deadline) const { return deadline + offset_; }

 private:
  WireMs offset_;
  std::array<WireMs, kGroups> least_{};  // received − sent: the least of each group, a ring
  std::uint8_t groups_ = 1;              // that have pings
  std::uint8_t current_ = 0;
  std::uint8_t pings_ = 1;  // of the current group
};

}  // namespace m3
