// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "m3/async/channel.h"
#include "m3/async/core_bound.h"
#include "m3/async/runtime.h"
#include "m3/async/scope.h"
#include "m3/mesh/detail/core_view.h"
#include "m3/mesh/detail/observers.h"
#include "m3/mesh/detail/probe.h"
#include "m3/mesh/detail/roster.h"
#include "m3/mesh/mesh_config.h"
#include "m3/obs/metric.h"
#include "m3/plugin/router.h"

namespace m3 {
class RpcNode;
}

namespace m3::mesh_detail {

/// The mesh on core 0: watches the router for each service that a core wants, has its lists judged,
/// probes doubtful instances, and sends each core the result. Owned by the Mesh.
class Watches final : Router::Watcher {
 public:
  Watches(Runtime& runtime, Router& router, const MeshConfig& config, MetricRegistry& metrics);
  Watches(const Watches&) = delete;
  Watches& operator=(const Watches&) = delete;
  ~Watches();

  /// As Mesh's. `views`: by core.
  void start(RpcNode& node, std::vector<CoreView*> views);
  Task<> stop(Ctx& ctx);

  /// That core uses this service; with `hash`, by a key. Called there.
  void want(Core& core, const ServiceId& service, bool hash);
  /// That core no longer uses it. `last`: its snapshot, destroyed elsewhere.
  void leave(Core& core, const ServiceId& service, std::shared_ptr<const Snapshot> last);
  /// The instance reports that its own health check fails. Called on any core.
  void on_sick(std::shared_ptr<const Instance> instance);

  /// As Mesh's.
  MemberWatch observe(const ServiceId& service, MemberObserver observer);
  Task<SelfReport> report_from(Ctx& ctx, Member member) {
    return probe_.report_from(ctx, std::move(member));
  }
  const Status& router_status() const noexcept { return router_status_; }

 private:
  using Instances = std::vector<std::shared_ptr<const Instance>>;
  struct Watched {
    Watched(const ServiceId& of, const std::shared_ptr<SlotPool>& slots, bool may_forget,
            unsigned max_sick_percent, unsigned cores)
        : service(of),
          roster(std::make_shared<Roster>(of, slots, may_forget, max_sick_percent)),
          wanted(cores) {}
    /// By a core, or an observer.
    bool is_needed();

    const ServiceId service;
    std::shared_ptr<Roster> roster;  // while `busy` a helper thread's
    Roster::News news;
    std::size_t size = 0;
    std::shared_ptr<const Snapshot> shown;
    std::vector<Membership::Doubt> doubtful;
    std::unordered_set<const Instance*> asked;  // those of them that are being asked
    Channel<int> doubts{1};                     // something of the two has changed
    std::vector<bool> wanted;                   // by which cores
    std::vector<std::shared_ptr<Observer>> observers;
    bool wants_hash = false;
    bool busy = false;
    bool probing = false;
    bool given_up = false;  // what runs for it ends
  };
  using Shared = std::shared_ptr<Watched>;

  void on_members(const ServiceId& service, std::vector<Member> members) override;
  void on_unreachable(const ServiceId& service, const Status& why) override;

  void watch(unsigned core, const ServiceId& service, bool hash);
  std::pair<Shared, bool> watch(const ServiceId& service);
  void unwatch(unsigned core, const ServiceId& service);
  void take_sick(std::shared_ptr<const Instance> instance);
  void give_up(const Shared& watched);
  Task<> sweep(Ctx& ctx);
  void advance(const Shared& watched);
  Task<> advance_elsewhere(Ctx& ctx, Shared watched);
  void show(const Shared& watched, Roster::Edition edition);
  void tell_observers(Watched& watched, Roster::Edition& edition);
  void send(const Watched& watched, Instances gone);
  void send_to(CoreView& view, std::shared_ptr<const Snapshot> snapshot,
               std::shared_ptr<const Instances> gone);
  void install(CoreView& view, std::shared_ptr<const Snapshot> snapshot, const Instances& gone);
  void take_apart(std::shared_ptr<const Snapshot> snapshot);
  void probe_doubtful(const Shared& watched);
  Task<> probe(Ctx& ctx, Shared watched);
  Task<> probe(Ctx& ctx, Shared watched, Instances some);

  Runtime& runtime_;
  Router& router_;
  const MeshConfig config_;
  RpcNode* node_ = nullptr;
  std::vector<CoreView*> views_;
  std::shared_ptr<SlotPool> slots_;
  Probe probe_;
  std::unordered_map<ServiceId, Shared> watched_;
  bool stopped_ = false;
  Status router_status_;
  std::uint64_t last_observer_ = 0;
  Counter lists_;
  Counter unreachable_;
  Counter doubted_;
  Counter changes_;
  Counter sick_ignored_;
  Observers observers_;
  async_detail::CoreBound home_;
  Scope scope_;
};

}  // namespace m3::mesh_detail
