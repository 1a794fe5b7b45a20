// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/deadline_clock.h"

#include <algorithm>

namespace m3 {

void DeadlineClock::on_ping(WireMs sent, WireMs now) {
  const WireMs behind = now - sent;
  if (pings_ == kPingsOfGroup) {
    current_ = static_cast<std::uint8_t>((current_ + 1) % kGroups);
    groups_ = static_cast<std::uint8_t>(std::min<std::size_t>(groups_ + std::size_t{1}, kGroups));
    pings_ = 0;
  }
  WireMs& of_group = least_[current_];
  if (pings_++ == 0 || wire_ms_until(behind, of_group) < 0) of_group = behind;
  // Least modulo 2^32: by the distance to any one of them.
  const WireMs base = least_[0];
  std::int32_t least = 0;
  for (std::size_t i = 0; i < groups_; ++i) least = std::min(least, wire_ms_until(least_[i], base));
  offset_ = base + static_cast<WireMs>(least);
}

}  // namespace m3
