// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <thread>

namespace m3::testing {

/// Polls a condition that another process or thread brings about, every few milliseconds. False: it
/// has not become true within `limit`. For a thread that is not a core; on virtual time there is
/// nothing to poll for.
template <class Done>
bool eventually(Done done, std::chrono::nanoseconds limit = std::chrono::seconds(30)) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  return true;
}

}  // namespace m3::testing
