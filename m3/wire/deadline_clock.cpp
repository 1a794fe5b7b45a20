// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/deadline_clock.h"

#include <algorithm>

namespace m3 {

void DeadlineClock::on_ping(WireMs sent, WireMs now) {
  window_[next_] = now - sent;
  next_ = static_cast<std::uint8_t>((next_ + 1) % kWindow);
  count_ = static_cast<std::uint8_t>(std::min<std::size_t>(count_ + std::size_t{1}, kWindow));
  // Least modulo 2^32: by the distance to any one of them.
  const WireMs base = window_[0];
  std::int32_t least = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    least = std::min(least, wire_ms_until(window_[i], base));
  }
  offset_ = base + static_cast<WireMs>(least);
}

}  // namespace m3
