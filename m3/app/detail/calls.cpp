// SPDX-License-Identifier: BSL-1.0
#include "m3/app/detail/calls.h"

#include <chrono>
#include <utility>

#include "m3/async/core.h"
#include "m3/obs/log.h"

namespace m3::app_detail {
namespace {

/// How long a cancelled handler may continue before a stop leaves it behind.
constexpr Nanos kCancelledMayTake = std::chrono::seconds(2);

}  // namespace

Calls::Calls(Core& core, const AppConfig& config, RpcNode& node, Way way, Host* host)
    : core_(core), config_(config), node_(node), way_(std::move(way)), host_(host) {}

Status Calls::open() {
  if (config_.listen.empty()) return ok;
  auto parsed = HostPort::parse(config_.listen);
  if (!parsed.is_ok()) return std::move(parsed).status().add_context("listen");
  address_ = *std::move(parsed);
  return ok;
}

void Calls::steps(Steps& steps) {
  steps.add(Stage::mesh, "connections", {}, [this](Ctx&) { return stop(); });
  steps.add(
      Stage::listen, "calls", [this](Ctx& ctx) { return listen(ctx); },
      [this](Ctx& ctx) { return finish(ctx); });
}

Task<> Calls::listen(Ctx& ctx) {
  if (config_.listen.empty()) co_return ok;
  if (way_.listen) {
    listens_otherwise_ = true;
    co_return way_.listen(node_, address_);
  }
  Result<std::uint16_t> port = co_await as_result(node_.listen(ctx, address_));
  if (!port.is_ok())
    co_return std::move(port).status().add_context("listen = \"" + config_.listen + "\"");
  address_.port = *port;
  co_return ok;
}

/// on_stop may rely on no handler running.
Task<> Calls::finish(Ctx& ctx) {
  Ctx soon(ctx, Deadline(ctx.core().read_clock() + config_.stop_timeout));
  const Status drained = (co_await as_result(node_.drain(soon))).status();
  if (drained) co_return ok;
  log::warn("cancelling handlers that are still running: {}", drained.to_string());
  co_await stop();
  co_return ok;
}

/// Cancelled handlers end at once, unless they ignore the cancellation: those are left behind.
Task<> Calls::stop() {
  if (std::exchange(listens_otherwise_, false) && way_.unlisten) way_.unlisten(node_, address_);
  Ctx soon(core_, Deadline(core_.read_clock() + kCancelledMayTake), host_);
  co_await node_.stop(soon);
  co_return ok;
}

}  // namespace m3::app_detail
