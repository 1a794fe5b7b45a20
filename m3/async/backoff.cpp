// SPDX-License-Identifier: BSL-1.0
#include "m3/async/backoff.h"

#include <algorithm>
#include <limits>

namespace m3 {

using std::chrono::milliseconds;

Backoff::Backoff(BackoffConfig config) : config_(config) {
  config_.most = std::max(config_.most, milliseconds(1));
  config_.least = std::clamp(config_.least, milliseconds(0), config_.most);
  config_.first = std::clamp(config_.first, std::max(config_.least, milliseconds(1)), config_.most);
}

milliseconds Backoff::ceiling() const {
  milliseconds now = config_.first;
  for (std::uint32_t i = 0; i < attempts_ && now < config_.most; ++i) now *= 2;
  return std::min(now, config_.most);
}

milliseconds Backoff::next(std::uint64_t random) {
  const auto span = static_cast<std::uint64_t>((ceiling() - config_.least).count()) + 1;
  if (attempts_ < std::numeric_limits<std::uint32_t>::max()) ++attempts_;
  // The high half of random × span: uniform enough without a division.
  const auto offset =
      static_cast<std::uint64_t>((static_cast<unsigned __int128>(random) * span) >> 64);
  return config_.least + milliseconds(offset);
}

}  // namespace m3
