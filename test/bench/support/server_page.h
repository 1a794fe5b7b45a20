// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <cstdint>
#include <string>

namespace bench {

/// What a server shows the client while both run: a page of shared memory that costs the server
/// nothing to publish and is read by the client at both edges of its measured window.
struct ServerPage {
  std::atomic<std::uint64_t> allocations{0};
  std::atomic<bool> allocations_counted{false};

  /// Called once by a server, before it listens: makes the page, moves the allocation counter
  /// into it. The page lives as long as the process. nullptr when the kernel has no memfd.
  static ServerPage* publish(std::string& path);
  /// Called by a client with the path the server printed; nullptr when it cannot be opened.
  static const ServerPage* open(const std::string& path);
};

/// Prints the line a harness waits for: {"program": …, "port": …, "pid": …, "page": …}.
void print_ready(const char* program, int port, const std::string& page);

}  // namespace bench
