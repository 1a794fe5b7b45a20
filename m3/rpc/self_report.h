// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace m3 {

/// What an instance reported about itself over its connection.
struct SelfReport {
  std::uint64_t generation = 0;  ///< 0: not reported
  bool leaving = false;          ///< it accepts only calls that name it
  bool sick = false;             ///< its own health check fails
};

}  // namespace m3
