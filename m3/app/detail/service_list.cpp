// SPDX-License-Identifier: BSL-1.0
#include "m3/app/detail/service_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include "m3/app/app_config.h"
#include "m3/app/service_hooks.h"
#include "m3/base/method_hash.h"
#include "m3/obs/log.h"
#include "m3/rpc/node.h"

namespace m3::app_detail {

Status ServiceList::add(const Maker& make, RpcNode& node) {
  auto slot = std::make_unique<Slot>();
  try {
    static_cast<App::ServiceSlot&>(*slot) = make(app_);
  } catch (const std::exception& e) {
    return Status(Errc::internal, std::string("the constructor of a service threw: ") + e.what());
  }
  Service& service = *slot->service;
  if (const auto& missing = slot->not_overridden; !missing.empty())
    log::warn("{} is served without {}: override it, or its callers get unimplemented",
              service.service_name(), fmt::join(missing, ", "));
  if (slot->is_serial && service.takes_over())
    return Status(Errc::failed_precondition,
                  fmt::format("{} is served with m3::serial and runs its calls itself "
                              "(takes_over): it can do one of them",
                              service.service_name()));
  if (slot->is_serial) {
    // By name, so that several of them do not share one core.
    Core& home = app_.runtime().core(method_hash(service.service_name()) % app_.runtime().size());
    const AppConfig::Serial& limits = app_.config().serial;
    slot->runner =
        std::make_unique<SerialRunner>(home, SerialLimits{limits.max_waiting, limits.max_wait},
                                       service.service_name(), app_.metrics());
  }
  Status served = node.serve(service, slot->runner.get());
  slots_.push_back(std::move(slot));
  if (!served)
    return std::move(served).add_context(fmt::format("serve {}", service.service_name()));
  return ok;
}

Task<> ServiceList::run_hook(Slot& slot, Ctx& ctx, Hook hook) {
  ServiceHooks& hooks = *slot.hooks;
  if (!slot.runner) return hook(hooks, ctx);
  return slot.runner->in_turn(
      ctx, [&hooks, hook = std::move(hook)](Ctx& there) { return hook(hooks, there); });
}

void ServiceList::steps(Steps& steps) {
  for (const auto& slot : slots_) {
    if (!slot->hooks) continue;
    const auto as_body = [&slot](Hook hook) -> Steps::Body {
      return
          [&slot = *slot, hook = std::move(hook)](Ctx& ctx) { return run_hook(slot, ctx, hook); };
    };
    const std::string_view name = slot->service->service_name();
    steps.add(Stage::serve, name,
              as_body([this](ServiceHooks& hooks, Ctx& ctx) { return hooks.on_init(ctx, app_); }));
    steps.add(Stage::app, name,
              as_body([](ServiceHooks& hooks, Ctx& ctx) { return hooks.on_start(ctx); }),
              as_body([](ServiceHooks& hooks, Ctx& ctx) { return hooks.on_stop(ctx); }));
  }
}

Task<> ServiceList::reload(Ctx& ctx, ReloadErrors& failed) {
  for (const auto& slot : slots_) {
    if (!slot->hooks) continue;
    const auto reload = [this](ServiceHooks& hooks, Ctx& there) {
      return hooks.on_reload(there, app_);
    };
    failed.note((co_await as_result(run_hook(*slot, ctx, reload))).status(),
                slot->service->service_name());
  }
  co_return ok;
}

std::vector<std::string> ServiceList::names() const {
  std::vector<std::string> names;
  for (const auto& slot : slots_) names.emplace_back(slot->service->service_name());
  return names;
}

std::string_view ServiceList::placement() const {
  static constexpr std::array<std::string_view, 4> kLooseFirst{
      "stateless", "activated", "resident_dynamic", "resident_fixed"};
  const auto* most = kLooseFirst.begin();
  for (const auto& slot : slots_)
    most = std::max(
        most, std::find(kLooseFirst.begin(), kLooseFirst.end() - 1, slot->service->placement()));
  return *most;
}

}  // namespace m3::app_detail
