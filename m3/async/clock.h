// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

namespace m3 {

/// Monotonic time. All of m3 reads it from its Core, so that tests run on a virtual clock.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
using Nanos = std::chrono::nanoseconds;

/// The source of a Runtime's time. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

/// CLOCK_MONOTONIC.
class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
};

/// `time` + `duration`, at most TimePoint::max().
constexpr TimePoint later(TimePoint time, Nanos duration) noexcept {
  return duration > TimePoint::max() - time && duration > Nanos(0) ? TimePoint::max()
                                                                   : time + duration;
}

/// The moment by which something must have ended. A value; `never()` is later than all others.
class Deadline {
 public:
  constexpr Deadline() noexcept = default;
  constexpr explicit Deadline(TimePoint at) noexcept : at_(at) {}
  static constexpr Deadline never() noexcept { return {}; }

  constexpr bool is_never() const noexcept { return at_ == TimePoint::max(); }
  constexpr TimePoint at() const noexcept { return at_; }
  constexpr bool passed(TimePoint now) const noexcept { return now >= at_; }
  /// Time left; zero when it has passed; Nanos::max() for never().
  constexpr Nanos remaining(TimePoint now) const noexcept {
    if (is_never()) return Nanos::max();
    return at_ > now ? at_ - now : Nanos(0);
  }
  /// The earlier of the two: deadlines only shrink.
  constexpr Deadline sooner(Deadline other) const noexcept {
    return at_ < other.at_ ? *this : other;
  }
  friend constexpr auto operator<=>(const Deadline&, const Deadline&) = default;

 private:
  TimePoint at_ = TimePoint::max();
};

}  // namespace m3
