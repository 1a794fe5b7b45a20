// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "m3/async/core.h"
#include "m3/async/serial_turn.h"
#include "m3/obs/metric.h"
#include "m3/rpc/service.h"

namespace m3 {

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
  ~SerialRunner();

  Task<> run(Ctx& ctx, IncomingCall& call) override;
  /// `body` on its core and in turn, without a limit: for hooks. When ctx is over already, `body`
  /// runs where it is, as any other service's hook does.
  Task<> in_turn(Ctx& ctx, std::function<Task<>(Ctx&)> body);

 private:
  using Body = std::function<Task<>(Ctx&)>;
  Task<> run_here(Ctx& ctx, IncomingCall& call);
  Task<> run_in_turn(Ctx& ctx, Serial::Hold hold, const Body& body);
  Task<Serial::Hold> enter(Ctx& ctx);
  Task<Serial::Hold> wait_for_turn(Ctx& ctx);

  Core& home_;
  const SerialLimits limits_;
  const std::string_view service_;
  Histogram waited_;
  Counter refused_;
  // Of the home core:
  Serial serial_;
  std::size_t waiting_ = 0;  // calls that have not begun
  /// Kept for the next calls: what escapes from a handler may refer to its turn for ever.
  std::vector<std::unique_ptr<SerialTurn>> idle_turns_;
};

}  // namespace m3
