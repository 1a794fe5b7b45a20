// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace m3 {

/// What an instance said of itself over its connection.
struct SelfReport {
  std::uint64_t generation = 0;  ///< 0: it did not say
  bool leaving = false;          ///< it takes only calls that name it
  bool sick = false;             ///< its own health check fails
};

}  // namespace m3
