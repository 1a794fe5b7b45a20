// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "m3/async/runtime.h"
#include "m3/base/member.h"
#include "m3/mesh/member_events.h"
#include "m3/mesh/mesh_config.h"
#include "m3/obs/metric.h"
#include "m3/plugin/router.h"
#include "m3/rpc/resolver.h"
#include "m3/rpc/self_report.h"

namespace m3 {

class RpcNode;

namespace mesh_detail {
class CoreView;
class Snapshot;
class Watches;
}  // namespace mesh_detail

/// Knows which instances can be called and picks one for each call: watches the router for each
/// service that is called, judges its lists (Membership) and gives every core the same Snapshot.
/// Owned by the app; outlives its RpcNode.
///
/// Core 0 watches and probes (Watches); work that grows with the number of instances is done on a
/// helper thread when there are many. Each core picks from its own view (CoreView), without locks
/// or allocations.
class Mesh final : public Resolver {
 public:
  Mesh(Runtime& runtime, Router& router, MeshConfig config, MetricRegistry& metrics);
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;
  ~Mesh() override;

  /// On core 0, when the router is started; services that were used before are watched from now on.
  /// `node` is told which instances are no longer listed, and sends the probes.
  void start(RpcNode& node);
  /// On core 0, before the node stops: no watch, no probe runs afterwards.
  Task<> stop(Ctx& ctx);

  Pick pick(const RouteQuery& query) override;
  std::vector<std::shared_ptr<const Instance>> all(Core& core, const ServiceId& service) override;
  std::span<const Instance* const> eligible(Core& core, const ServiceId& service) override;
  void on_sick(Core& core, const Instance& instance) override;

  /// Reports changes of a service's instances to `observer`, from now on and until the watch is
  /// destroyed; first each instance that is there. On core 0, at any time, also before start().
  /// `observer` is called there, in order, from the ready queue, and must not wait; it may start
  /// and end watches. No events follow stop(). The service is watched meanwhile.
  MemberWatch observe(const ServiceId& service, MemberObserver observer);

  /// This core's snapshot of a service; null before the first answer. Starts a watch.
  std::shared_ptr<const mesh_detail::Snapshot> snapshot(Core& core, const ServiceId& service);
  /// Asks the instance at the member's address for its report about itself. On core 0; ends within
  /// probe_timeout.
  Task<SelfReport> report_from(Ctx& ctx, Member member);
  /// Why the router cannot be reached; OK while it can.
  Status router_status() const;

 private:
  mesh_detail::CoreView& view(Core& core);

  std::vector<std::unique_ptr<mesh_detail::CoreView>> views_;  // by core
  std::unique_ptr<mesh_detail::Watches> watches_;
};

}  // namespace m3
