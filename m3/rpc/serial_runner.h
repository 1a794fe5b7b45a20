// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string_view>

#include "m3/async/core.h"
#include "m3/async/serial.h"
#include "m3/obs/metric.h"
#include "m3/rpc/service.h"

namespace m3 {

class SerialTurn;

/// How much may wait for the turn of a serial service.
struct SerialLimits {
  std::size_t max_waiting = 10'000;          ///< calls; more are refused at once
  Nanos max_wait = std::chrono::seconds(5);  ///< a call that has waited so long is refused
};

/// Runs the handlers of a service one at a time, on one core, in order of arrival. While a handler
/// waits for the answer of another app, or in yield_turn(), the next one runs; whatever else it
/// waits for (a timer, a channel, a database), it keeps its turn. So its own fields need no lock,
/// but may have changed after it has called another app.
///
/// A call is refused (resource_exhausted, not executed) when too many wait, or when it has waited
/// too long; one whose deadline passes while it waits does not run (deadline_exceeded, not
/// executed).
class SerialRunner final : public CallRunner {
 public:
  /// `home`: where the handlers run. `service`: the label of its metrics.
  SerialRunner(Core& home, SerialLimits limits, std::string_view service, MetricRegistry& metrics);

  Task<> run(Ctx& ctx, IncomingCall& call) override;
  /// `body` on its core and in turn, without a limit: for hooks.
  Task<> in_turn(Ctx& ctx, std::function<Task<>(Ctx&)> body);

 private:
  Task<> run_here(Ctx& ctx, IncomingCall& call);
  static Task<> run_with(SerialTurn& turn, Ctx& ctx, const std::function<Task<>(Ctx&)>& body);
  Task<Serial::Hold> enter(Ctx& ctx);

  Core& home_;
  const SerialLimits limits_;
  const std::string_view service_;
  Serial serial_;
  Histogram waited_;
  Counter refused_;
};

}  // namespace m3
