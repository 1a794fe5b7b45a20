// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <cstdint>

namespace bench {

/// The count of heap allocations of this process (malloc, calloc, realloc, operator new), kept by
/// allocations.cpp which stands in front of the C library's allocator.
/// Exact for a single-threaded program; concurrent threads may lose counts (a locked add per
/// allocation would slow down what is being measured).
struct Allocations {
  /// False where the allocator is not ours to wrap (sanitizers, other C libraries).
  static bool counted();
  static std::uint64_t now();
  /// True in a sanitizer build: nothing measured in it says anything about speed.
  static bool sanitized();
  /// Lets the counter live at `*place` from now on, so that another process can read it.
  static void keep_at(std::atomic<std::uint64_t>* place);
};

}  // namespace bench
