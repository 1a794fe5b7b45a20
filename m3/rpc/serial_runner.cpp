// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/serial_runner.h"

#include <chrono>
#include <string>
#include <utility>

#include "m3/async/runtime.h"

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

SerialRunner::~SerialRunner() = default;

Task<> SerialRunner::run(Ctx& ctx, IncomingCall& call) {
  if (&ctx.core() == &home_) {
    co_await run_here(ctx, call);
  } else {
    co_await run_on(ctx, home_, [&](Ctx& there) { return run_here(there, call); });
  }
  co_return ok;
}

Task<> SerialRunner::run_here(Ctx& ctx, IncomingCall& call) {
  Serial::Hold hold = co_await enter(ctx);
  co_await run_in_turn(ctx, std::move(hold), [&](Ctx& own) { return call.handle(own); });
  co_return ok;
}

Task<> SerialRunner::in_turn(Ctx& ctx, Body body) {
  if (!ctx.status()) {
    co_await body(ctx);
    co_return ok;
  }
  co_await run_on(ctx, home_, [&](Ctx& there) -> Task<> {
    Serial::Hold hold = co_await serial_.enter(there);
    co_await run_in_turn(there, std::move(hold), body);
    co_return ok;
  });
  co_return ok;
}

Task<> SerialRunner::run_in_turn(Ctx& ctx, Serial::Hold hold, const Body& body) {
  std::unique_ptr<SerialTurn> turn;
  if (idle_turns_.empty()) {
    turn = std::make_unique<SerialTurn>(serial_, home_);
  } else {
    turn = std::move(idle_turns_.back());
    idle_turns_.pop_back();
  }
  turn->begin(std::move(hold));
  ctx.set_turn(turn.get());
  const Status outcome = (co_await as_result(body(ctx))).status();
  ctx.set_turn(nullptr);
  turn->end();
  idle_turns_.push_back(std::move(turn));
  co_return outcome;
}

Task<Serial::Hold> SerialRunner::enter(Ctx& ctx) {
  if (waiting_ >= limits_.max_waiting) {
    refused_.inc();
    co_return Status(Errc::resource_exhausted, std::to_string(waiting_) + " calls wait for " +
                                                   std::string(service_) + " already")
        .not_executed();
  }
  const TimePoint begin = home_.read_clock();
  ++waiting_;
  Result<Serial::Hold> hold = co_await as_result(wait_for_turn(ctx));
  --waiting_;
  const TimePoint now = home_.read_clock();
  waited_.observe(std::chrono::duration<double>(now - begin).count());
  if (ctx.cancelled()) co_return ctx.status().not_executed();
  if (ctx.deadline().passed(now))
    co_return Status(Errc::deadline_exceeded,
                     "its deadline passed while it waited for " + std::string(service_))
        .not_executed();
  if (hold.is_ok()) co_return *std::move(hold);
  refused_.inc();
  co_return Status(Errc::resource_exhausted,
                   "it waited too long for " + std::string(service_) + " (serial.max_wait)")
      .not_executed();
}

Task<Serial::Hold> SerialRunner::wait_for_turn(Ctx& ctx) {
  Ctx waits(ctx, Deadline(home_.read_clock() + limits_.max_wait));
  co_return co_await serial_.enter(waits);
}

}  // namespace m3
