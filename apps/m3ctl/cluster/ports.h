// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <set>

#include "m3/base/result.h"

namespace m3ctl {

/// Whether a program could listen there, on 127.0.0.1, now.
bool is_free(std::uint16_t port);

/// Returns ports of 127.0.0.1 that are free now, in TCP and UDP, each once. They are below those
/// that the kernel uses for outgoing connections, so that none of these takes one before its
/// process has started.
class PortFinder {
 public:
  PortFinder();
  /// Never returns this port.
  void take(std::uint16_t port) { taken_.insert(port); }
  m3::Result<std::uint16_t> next();

 private:
  std::set<std::uint16_t> taken_;
  unsigned at_;
};

}  // namespace m3ctl
