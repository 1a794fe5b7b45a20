// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <set>

#include "m3/base/result.h"

namespace m3ctl {

/// Whether somebody could listen there, on 127.0.0.1, now.
bool is_free(std::uint16_t port);

/// Hands out ports of 127.0.0.1 that nobody listens on now, in TCP and UDP, each once. They lie
/// below those that the kernel gives to outgoing connections, so that none of these takes one
/// before the process it is for has started.
class PortFinder {
 public:
  PortFinder();
  /// Never hands out this one.
  void take(std::uint16_t port) { taken_.insert(port); }
  m3::Result<std::uint16_t> next();

 private:
  std::set<std::uint16_t> taken_;
  unsigned at_;
};

}  // namespace m3ctl
