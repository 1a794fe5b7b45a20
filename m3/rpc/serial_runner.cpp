// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/serial_runner.h"

#include <chrono>
#include <string>
#include <utility>

#include "m3/async/runtime.h"
#include "m3/async/serial_turn.h"

namespace m3 {

SerialRunner::SerialRunner(Core& home, SerialLimits limits, std::string_view service,
                           MetricRegistry& metrics)
    : home_(home),
      limits_(limits),
      service_(service),
      waited_(metrics.histogram("m3_rpc_serial_wait_seconds",
                                "How long calls waited for the turn of their serial service",
                                {{"service", std::string(service)}})),
      refused_(metrics.counter("m3_rpc_serial_refused_total",
                               "Calls of a serial service that were refused because too many "
                               "waited, or because they had waited too long",
                               {{"service", std::string(service)}})) {}

Task<> SerialRunner::run(Ctx& ctx, IncomingCall& call) {
  if (&ctx.core() == &home_) {
    co_await run_here(ctx, call);
  } else {
    co_await run_on(ctx, home_, [&](Ctx& there) { return run_here(there, call); });
  }
  co_return ok;
}

Task<> SerialRunner::run_here(Ctx& ctx, IncomingCall& call) {
  SerialTurn turn(serial_, co_await enter(ctx), home_);
  co_await run_with(turn, ctx, [&](Ctx& own) { return call.handle(own); });
  co_return ok;
}

Task<> SerialRunner::in_turn(Ctx& ctx, std::function<Task<>(Ctx&)> body) {
  co_await run_on(ctx, home_, [&](Ctx& there) -> Task<> {
    SerialTurn turn(serial_, co_await serial_.enter(there), home_);
    co_await run_with(turn, there, body);
    co_return ok;
  });
  co_return ok;
}

Task<> SerialRunner::run_with(SerialTurn& turn, Ctx& ctx, const std::function<Task<>(Ctx&)>& body) {
  Ctx own(ctx, ctx.deadline());
  own.set_turn(&turn);
  co_await body(own);
  co_return ok;
}

Task<Serial::Hold> SerialRunner::enter(Ctx& ctx) {
  if (serial_.waiting() >= limits_.max_waiting) {
    refused_.inc();
    co_return Status(
        Errc::resource_exhausted,
        std::to_string(serial_.waiting()) + " calls wait for " + std::string(service_) + " already")
        .not_executed();
  }
  const TimePoint begin = home_.read_clock();
  const Deadline patience(begin + limits_.max_wait);
  Result<Serial::Hold> hold = Status();
  {
    Ctx waits(ctx, patience);
    hold = co_await as_result(serial_.enter(waits));
  }
  const TimePoint now = home_.read_clock();
  waited_.observe(std::chrono::duration<double>(now - begin).count());
  if (hold.is_ok() && !ctx.cancelled() && !ctx.deadline().passed(now)) co_return *std::move(hold);
  if (ctx.cancelled()) co_return ctx.status().not_executed();
  if (ctx.deadline().passed(now))
    co_return Status(Errc::deadline_exceeded,
                     "its deadline passed while it waited for " + std::string(service_))
        .not_executed();
  refused_.inc();
  co_return Status(Errc::resource_exhausted,
                   "it waited too long for " + std::string(service_) + " (serial.max_wait)")
      .not_executed();
}

}  // namespace m3
