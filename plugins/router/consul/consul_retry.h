// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <utility>

#include "m3/async/backoff.h"
#include "m3/base/status.h"

namespace m3 {

/// Between two attempts at what Consul must do, while it is away.
inline constexpr BackoffConfig kConsulBackoff{.least = std::chrono::milliseconds(50),
                                              .first = std::chrono::milliseconds(200),
                                              .most = std::chrono::seconds(2)};

/// An agent that has too much to do is one that is away for a moment.
inline Status consul_away(Status status) {
  return status == Errc::resource_exhausted ? Status(Errc::unavailable, status.text())
                                            : std::move(status);
}

}  // namespace m3
