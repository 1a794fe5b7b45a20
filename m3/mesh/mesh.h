// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "m3/async/channel.h"
#include "m3/async/runtime.h"
#include "m3/async/scope.h"
#include "m3/mesh/detail/roster.h"
#include "m3/obs/metric.h"
#include "m3/plugin/router.h"
#include "m3/rpc/resolver.h"

namespace m3 {

class RpcNode;

struct MeshConfig {
  Nanos wait_for_route{0};  ///< how long a call waits for an instance when none is known
  Nanos first_answer = std::chrono::seconds(2);  ///< ... and for the router's first answer
  Nanos probe_timeout = std::chrono::seconds(1);
  /// Instances that are not healthy get no calls by choice, unless they are more than that.
  unsigned max_sick_percent = 50;
};

/// Who can be called, and whom a call goes to: watches the router for each service that somebody
/// calls, judges its lists (Membership) and hands every core the same Snapshot. Owned by the app;
/// outlives its RpcNode.
///
/// Core 0 watches and probes; what grows with the number of instances is a helper thread's work
/// when there are many. Each core picks from its own view, without locks or allocations.
class Mesh final : public Resolver, Router::Watcher {
 public:
  Mesh(Runtime& runtime, Router& router, MeshConfig config, MetricRegistry& metrics);
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;
  ~Mesh() override;

  /// On core 0, when the router is started; what was asked before is watched from now on. The node
  /// is told what is no longer listed, and probes.
  void start(RpcNode& node);
  /// On core 0, before the node stops: no watch, no probe runs afterwards.
  Task<> stop(Ctx& ctx);

  Pick pick(const RouteQuery& query) override;
  std::vector<std::shared_ptr<const Instance>> all(Core& core, const ServiceId& service) override;
  std::span<const Instance* const> eligible(Core& core, const ServiceId& service) override;

  /// What this core knows of a service; null before the first answer. Begins a watch.
  std::shared_ptr<const mesh_detail::Snapshot> snapshot(Core& core, const ServiceId& service);
  /// Asks at the member's address who is there: its generation. On core 0; ends within
  /// probe_timeout.
  Task<std::uint64_t> generation_at(Ctx& ctx, Member member);
  /// Why the router cannot be asked; OK while it can.
  Status router_status() const { return router_status_; }

 private:
  using Instances = std::vector<std::shared_ptr<const Instance>>;
  /// A service, as one core sees it.
  struct View {
    ServiceId service;
    std::shared_ptr<const mesh_detail::Snapshot> snapshot;
    RouteWaiters waiters;
    TimePoint asked{};
    bool wants_hash = false;
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>()(text);
    }
  };
  struct CoreViews {
    std::unordered_map<std::string, std::unique_ptr<View>, TextHash, std::equal_to<>> by_service;
    // A caller's id stands where it stood: looked up once, compared afterwards.
    struct Recent {
      std::uintptr_t at = 0;
      View* view = nullptr;
    };
    std::array<Recent, 16> recent;
  };
  /// A service, as core 0 watches it.
  struct Watched {
    Watched(const ServiceId& service, const std::shared_ptr<mesh_detail::SlotPool>& slots,
            bool may_forget, unsigned max_sick_percent)
        : roster(std::make_shared<mesh_detail::Roster>(service, slots, may_forget,
                                                       max_sick_percent)) {}
    std::shared_ptr<mesh_detail::Roster> roster;  // while `busy` a helper thread's
    mesh_detail::Roster::News news;
    std::size_t size = 0;
    std::shared_ptr<const mesh_detail::Snapshot> shown;
    std::vector<mesh_detail::Membership::Doubt> doubtful;
    std::unordered_set<const Instance*> asked;  // those of them that are being asked
    Channel<int> doubts{1};                     // something of the two has changed
    bool wants_hash = false;
    bool busy = false;
    bool probing = false;
  };
  struct Wish;
  struct Install;

  void on_members(const ServiceId& service, std::vector<Member> members) override;
  void on_unreachable(const ServiceId& service, const Status& why) override;

  View& view(Core& core, const ServiceId& service);
  View& look_up(Core& core, const ServiceId& service);
  const Instance* named(Core& core, std::string_view id);
  void ask(Core& core, const ServiceId& service, bool hash);
  void watch(const ServiceId& service, bool hash);
  void advance(const ServiceId& service, Watched& watched);
  Task<> advance_elsewhere(Ctx& ctx, ServiceId service);
  void show(const ServiceId& service, Watched& watched, mesh_detail::Roster::Edition edition);
  void send(std::shared_ptr<const mesh_detail::Snapshot> snapshot, Instances gone);
  void install(Core& core, std::shared_ptr<const mesh_detail::Snapshot> snapshot,
               const Instances& gone);
  void probe_doubtful(const ServiceId& service, Watched& watched);
  Task<> probe(Ctx& ctx, ServiceId service);
  Task<> probe(Ctx& ctx, ServiceId service, Instances some);
  Task<bool> answers(Ctx& ctx, std::shared_ptr<const Instance> instance);

  Runtime& runtime_;
  Router& router_;
  const MeshConfig config_;
  RpcNode* node_ = nullptr;
  std::shared_ptr<mesh_detail::SlotPool> slots_;
  std::vector<CoreViews> views_;  // by core
  std::unordered_map<ServiceId, std::unique_ptr<Watched>> watched_;
  std::vector<std::pair<ServiceId, bool>> early_;  // asked before start(); with hash slots or not
  bool stopped_ = false;
  Status router_status_;
  Counter lists_;
  Counter unreachable_;
  Counter doubted_;
  Counter changes_;
  Counter sick_ignored_;
  Scope scope_;  // core 0
};

}  // namespace m3
