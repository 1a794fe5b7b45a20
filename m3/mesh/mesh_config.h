// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

#include "m3/async/clock.h"

namespace m3 {

struct MeshConfig {
  Nanos wait_for_route{0};  ///< how long a call waits for an instance when none is known
  Nanos first_answer = std::chrono::seconds(2);  ///< ... and for the router's first answer
  Nanos probe_timeout = std::chrono::seconds(1);
  /// Unhealthy instances get no routed calls, unless more than this share is unhealthy.
  unsigned max_sick_percent = 50;
};

}  // namespace m3
