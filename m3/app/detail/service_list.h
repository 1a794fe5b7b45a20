// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/app/app.h"
#include "m3/app/detail/reload_errors.h"
#include "m3/plugin/steps.h"
#include "m3/rpc/serial_runner.h"

namespace m3::app_detail {

/// The services of an app, with those that every app has, and their hooks. Core 0.
class ServiceList final : public Part {
 public:
  using Maker = std::function<App::ServiceSlot(App&)>;

  explicit ServiceList(App& app) : app_(app) {}

  /// Creates a service and registers it with the node.
  Status add(const Maker& make, RpcNode& node);
  void steps(Steps& steps) override;
  /// A failing hook does not stop the others from reloading.
  Task<> reload(Ctx& ctx, ReloadErrors& failed);

  std::vector<std::string> names() const;
  /// The strictest placement declared by any of its services.
  std::string_view placement() const;

 private:
  struct Slot : App::ServiceSlot {
    std::unique_ptr<SerialRunner> runner;  // of a serial service
  };
  using Hook = std::function<Task<>(ServiceHooks&, Ctx&)>;
  static Task<> run_hook(Slot& slot, Ctx& ctx, Hook hook);

  App& app_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace m3::app_detail
