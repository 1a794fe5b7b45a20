// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "m3/async/clock.h"
#include "m3/net/out_queue.h"
#include "m3/wire/wire_limits.h"

namespace m3 {

/// How an app's connections and calls behave. The same on every core.
struct RpcConfig {
  WireLimits limits;
  OutLimits out;
  std::string token;           ///< cluster credential; empty = none required
  std::string second_token;    ///< accepted in addition, while `token` is being changed
  std::string operator_token;  ///< required to change the app's state; empty: not required
  Nanos default_timeout = std::chrono::seconds(5);  ///< of a call whose method and context set none
  Nanos connect_timeout = std::chrono::seconds(2);
  Nanos ping_interval = std::chrono::milliseconds(900);  ///< while calls are in flight
  Nanos idle_ping_interval = std::chrono::seconds(15);   ///< else
  Nanos ping_timeout = std::chrono::milliseconds(1700);  ///< a ping unanswered for this long: the
                                                         ///< link is dead
  Nanos idle_close = std::chrono::minutes(10);           ///< a connection without calls is closed
  std::size_t max_connections = 10000;                   ///< accepted, per core
  /// Memory for one connection's calls: requests in progress, and answers that the peer has not
  /// read yet. Above it, calls are refused, and answers become resource_exhausted.
  std::size_t connection_memory = 32u << 20;
  std::size_t core_memory = 512u << 20;  ///< the same for all connections of a core together
  Nanos overload_wait = std::chrono::milliseconds(2);  ///< on a saturated core; 0: any time
  std::size_t max_waiting_for_connect = 10000;         ///< calls that wait for one connection
  unsigned max_attempts = 3;                           ///< of one call, on different instances
  double retry_budget = 0.1;  ///< retries of calls that were sent, for each call made
  unsigned eject_after = 5;   ///< this many errors or refusals, minus the good answers between them
  Nanos eject_for = std::chrono::seconds(10);  ///< at most: the pause doubles from 1 s to this
};

}  // namespace m3
