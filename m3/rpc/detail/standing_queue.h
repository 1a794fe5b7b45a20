// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

#include "m3/async/clock.h"

namespace m3::rpc_detail {

/// Distinguishes a standing queue from a hiccup: only when each request has waited too long for a
/// while, those that did are refused, and then for as long as there are such (Nichols and Jacobson,
/// "Controlling Queue Delay", ACM Queue 10-5, 2012: good queue, bad queue).
class StandingQueue {
 public:
  static constexpr Nanos kStanding = std::chrono::milliseconds(20);
  static constexpr Nanos kRefusing = std::chrono::milliseconds(100);

  /// It is a request's turn, and it has `waited` too long, or not. True: refuse it.
  bool refuses(bool waited, TimePoint now) noexcept {
    if (now >= refuses_until_) {
      if (!waited) since_ = TimePoint();
      if (waited && since_ == TimePoint()) since_ = now;
      if (!waited || now - since_ < kStanding) return false;
    }
    if (waited) refuses_until_ = now + kRefusing;
    return waited;
  }
  void clear() noexcept { since_ = refuses_until_ = TimePoint(); }

 private:
  TimePoint since_{};  // each request since then has waited too long
  TimePoint refuses_until_{};
};

}  // namespace m3::rpc_detail
