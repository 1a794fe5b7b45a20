// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <string>

#include "m3/admin/health_probe.h"
#include "m3/app/app_config.h"
#include "m3/async/scope.h"
#include "m3/async/serial.h"
#include "m3/base/member.h"
#include "m3/mesh/mesh.h"
#include "m3/plugin/router.h"
#include "m3/plugin/steps.h"
#include "m3/rpc/node.h"

namespace m3::app_detail {

/// Publishes this app to others: from when it is healthy, with changes by operators and the
/// configuration, until just before it leaves. Core 0.
class Announcement final : public Part {
 public:
  /// Objects that outlive it, and facts known once the app listens.
  struct App {
    Core& core;
    const AppConfig& config;
    Router& router;
    Mesh& mesh;
    RpcNode& node;
    HealthProbe& probe;
    std::function<HostPort()> address;
    std::function<std::uint16_t(const HostPort& address)> admin_port;  ///< 0: none that they can
                                                                       ///< reach
  };
  /// `self`: all but the address, the ports and the weight.
  Announcement(App app, Member self);

  void steps(Steps& steps) override;

  /// Before it is announced.
  void set_generation(std::uint64_t generation) noexcept { self_.generation = generation; }
  MemberState state() const noexcept { return self_.state; }
  /// Sets the state for an operator; returns the previous state. It is carried out even if the
  /// caller no longer waits. failed_precondition: not announced yet, or leaving.
  Task<MemberState> set_state(Ctx& ctx, MemberState wanted);
  /// Announces again if something has changed (the configuration); does nothing when the app is not
  /// announced.
  Task<> refresh(Ctx& ctx);

 private:
  Task<> announce(Ctx& ctx);
  Task<> withdraw(Ctx& ctx);
  Task<> wait_for_health(Ctx& ctx);
  Task<> refuse_second(Ctx& ctx);
  Task<> watch_health(Ctx& ctx);
  Task<> tell(Ctx& ctx);
  Task<MemberState> change_state(Ctx& ctx, MemberState wanted);
  Status not_announced() const;

  const App app_;
  Member self_;
  Member told_;  // what was announced last
  bool announced_ = false;
  Serial turn_;  // one announcement at a time
  Scope scope_;  // last
};

}  // namespace m3::app_detail
