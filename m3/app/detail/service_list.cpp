// SPDX-License-Identifier: BSL-1.0
#include "m3/app/detail/service_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include "m3/app/service_hooks.h"
#include "m3/obs/log.h"
#include "m3/rpc/node.h"

namespace m3::app_detail {

Status ServiceList::add(const std::function<Slot(App&)>& make, RpcNode& node) {
  try {
    slots_.push_back(make(app_));
  } catch (const std::exception& e) {
    return Status(Errc::internal, std::string("the constructor of a service threw: ") + e.what());
  }
  Service& service = *slots_.back().service;
  if (const auto& missing = slots_.back().not_overridden; !missing.empty())
    log::warn("{} is served without {}: override it, or its callers get unimplemented",
              service.service_name(), fmt::join(missing, ", "));
  Status served = node.serve(service);
  if (!served)
    return std::move(served).add_context(fmt::format("serve {}", service.service_name()));
  return ok;
}

void ServiceList::steps(Steps& steps) {
  for (Slot& slot : slots_) {
    if (!slot.hooks) continue;
    ServiceHooks& hooks = *slot.hooks;
    const std::string_view name = slot.service->service_name();
    steps.add(Stage::serve, name, [this, &hooks](Ctx& ctx) { return hooks.on_init(ctx, app_); });
    steps.add(
        Stage::app, name, [&hooks](Ctx& ctx) { return hooks.on_start(ctx); },
        [&hooks](Ctx& ctx) { return hooks.on_stop(ctx); });
  }
}

Task<> ServiceList::reload(Ctx& ctx, ReloadErrors& failed) {
  for (Slot& slot : slots_) {
    if (!slot.hooks) continue;
    failed.note((co_await as_result(slot.hooks->on_reload(ctx, app_))).status(),
                slot.service->service_name());
  }
  co_return ok;
}

std::vector<std::string> ServiceList::names() const {
  std::vector<std::string> names;
  for (const Slot& slot : slots_) names.emplace_back(slot.service->service_name());
  return names;
}

std::string_view ServiceList::placement() const {
  static constexpr std::array<std::string_view, 4> kLooseFirst{
      "stateless", "activated", "resident_dynamic", "resident_fixed"};
  const auto* most = kLooseFirst.begin();
  for (const Slot& slot : slots_)
    most = std::max(
        most, std::find(kLooseFirst.begin(), kLooseFirst.end() - 1, slot.service->placement()));
  return *most;
}

}  // namespace m3::app_detail
