// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <utility>

#include "m3/async/backoff.h"
#include "m3/base/status.h"

namespace m3 {

/// The pauses between two attempts while Consul is unavailable.
inline constexpr BackoffConfig kConsulBackoff{.least = std::chrono::milliseconds(50),
                                              .first = std::chrono::milliseconds(200),
                                              .most = std::chrono::seconds(2)};

/// An overloaded agent counts as unavailable for a moment.
inline Status consul_away(Status status) {
  return status == Errc::resource_exhausted ? Status(Errc::unavailable, status.text())
                                            : std::move(status);
}

}  // namespace m3
