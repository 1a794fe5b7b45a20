// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "m3/async/clock.h"

namespace m3::async_detail {

/// One timeout. Lives in its owner (no allocation); cancelled when its owner is destroyed.
/// Core-local. `on_timer` runs once, from the core's loop, after the node left the wheel.
class TimerNode {
 public:
  TimerNode() noexcept = default;  ///< for the wheel's own list heads
  explicit TimerNode(void (*on_timer)(TimerNode&)) noexcept : on_timer_(on_timer) {}
  TimerNode(const TimerNode&) = delete;
  TimerNode& operator=(const TimerNode&) = delete;
  ~TimerNode() { cancel(); }

  bool armed() const noexcept { return next_ != nullptr; }
  void cancel() noexcept;

 private:
  friend class TimerWheel;
  void link_before(TimerNode& head) noexcept;

  TimerNode* prev_ = nullptr;
  TimerNode* next_ = nullptr;
  std::uint64_t tick_ = 0;
  void (*on_timer_)(TimerNode&) = nullptr;
};

/// Hierarchical timing wheel (Varghese & Lauck 1987, scheme 7): O(1) add and cancel, 1 ms ticks,
/// levels of 256 and 3 × 64 slots (18 h; later expiries go round again). A timer fires in the
/// first advance() at or after its time, never before it.
class TimerWheel {
 public:
  static constexpr Nanos kTick = std::chrono::milliseconds(1);

  explicit TimerWheel(TimePoint start);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();

  /// Re-arms a node that is armed. A time in the past fires in the next advance().
  void add(TimerNode& node, TimePoint at);
  /// Fires what is due. Callbacks may add and cancel nodes.
  void advance(TimePoint now);
  /// No timer fires before this; TimePoint::max() when the wheel is empty. May be early: a
  /// cancelled timer's time, or the moment a far slot must be sorted into nearer ones. O(1).
  TimePoint next_event() const {
    return soonest_ == UINT64_MAX ? TimePoint::max()
                                  : start_ + kTick * static_cast<std::int64_t>(soonest_);
  }

 private:
  static constexpr unsigned kLevels = 4;
  static constexpr std::array<unsigned, kLevels> kBits = {8, 6, 6, 6};
  static constexpr std::array<unsigned, kLevels> kShift = {0, 8, 14, 20};
  static constexpr std::array<unsigned, kLevels> kFirst = {0, 256, 320, 384};
  static constexpr unsigned kSlots = 448;

  std::uint64_t tick_of(TimePoint at) const;  // rounded up
  void place(TimerNode& node);
  void fire_slot(unsigned slot);
  void cascade(unsigned level);
  /// The first tick after `now_` at which something must be done; UINT64_MAX if none.
  std::uint64_t next_tick();
  bool occupied(unsigned slot) const { return slots_[slot].next_ != &slots_[slot]; }

  TimePoint start_;
  std::uint64_t now_ = 0;
  std::uint64_t soonest_ = UINT64_MAX;
  std::array<std::uint64_t, kSlots / 64> maybe_used_{};  // a clear bit: the slot is empty
  std::array<TimerNode, kSlots> slots_;
};

}  // namespace m3::async_detail
