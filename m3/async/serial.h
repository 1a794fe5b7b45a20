// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "m3/async/semaphore.h"

namespace m3 {

/// A mutex for coroutines of one core, in order of arrival.
///   auto turn = co_await serial.enter(ctx);  // until `turn` is destroyed
class Serial : public Semaphore {
 public:
  /// `limit`: how many may wait; more fail with resource_exhausted.
  explicit Serial(std::size_t limit = SIZE_MAX) noexcept : Semaphore(1, limit, "Serial") {}
  bool busy() const noexcept { return free() == 0; }
};

}  // namespace m3
