// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/async/core.h"
#include "m3/base/app_id.h"
#include "m3/base/host_port.h"
#include "m3/base/result.h"
#include "m3/base/route_mode.h"
#include "m3/rpc/peers.h"

namespace m3 {

/// What a call asks for.
struct RouteQuery {
  const ServiceId& service;
  RouteMode mode = RouteMode::random;
  std::string_view key;                ///< hash key, app id or actor id
  std::uint32_t avoid = kNoSlot;       ///< tried before; prefer another one
  Peers& peers;                        ///< the calling core's
  const MethodInfo* method = nullptr;  ///< set: an instance picked before does not serve it

  Choice choice() const noexcept { return {peers, avoid, method}; }
};

/// A call that waits for the list of instances to change. Intrusive, core-local.
class RouteWaiter {
 public:
  /// Picks again later, from the ready queue, never inside this call.
  virtual void on_route_change() = 0;

 protected:
  ~RouteWaiter() = default;

 private:
  friend class RouteWaiters;
  RouteWaiter* prev_ = nullptr;
  RouteWaiter* next_ = nullptr;
  class RouteWaiters* list_ = nullptr;
};

class RouteWaiters {
 public:
  void add(RouteWaiter& waiter) noexcept;
  /// Does nothing if it is not waiting.
  static void remove(RouteWaiter& waiter) noexcept;
  bool empty() const noexcept { return head_ == nullptr; }
  /// Wakes all current waiters.
  void tell();

 private:
  RouteWaiter* head_ = nullptr;
  RouteWaiter* tail_ = nullptr;
};

/// The result: an instance, or why there is none.
struct Pick {
  /// Valid until the core's turn ends; use shared_from_this() to keep it longer.
  const Instance* instance = nullptr;
  Status why;  ///< when there is no instance
  /// > 0: an instance may appear, and `waiters` are woken when another pick is worthwhile.
  Nanos worth_waiting{0};
  RouteWaiters* waiters = nullptr;
};

/// Picks instances. Called on every core at once; never waits. Owned by the app; outlives callers.
class Resolver {
 public:
  virtual ~Resolver() = default;
  /// unavailable when there is none; invalid_argument when the key is wrong.
  virtual Pick pick(const RouteQuery& query) = 0;
  /// Every instance of the service, for a notify to all without a broker.
  virtual std::vector<std::shared_ptr<const Instance>> all(Core& core,
                                                           const ServiceId& service) = 0;
  /// The instances that can be picked; valid until the core's turn ends.
  virtual std::span<const Instance* const> eligible(Core&, const ServiceId&) { return {}; }
  /// The instance reports that its own health check fails: when its connection is established, and
  /// with each pong as long as it does. Called on the connection's core.
  virtual void on_sick(Core&, const Instance&) {}
};

/// A fixed list: a test's, or a tool's.
class StaticResolver final : public Resolver {
 public:
  StaticResolver() = default;
  /// Before the first pick. already_exists for an id that is listed.
  Status add(AppId id, HostPort address);
  /// "env.world.func.ins@host:port".
  Status add(std::string_view text);
  /// Any app that answers there; picked only by the address as the key of a P2P route.
  Status add_address(HostPort address);

  Pick pick(const RouteQuery& query) override;
  std::vector<std::shared_ptr<const Instance>> all(Core& core, const ServiceId& service) override;
  std::span<const Instance* const> eligible(Core& core, const ServiceId& service) override;
  const std::vector<std::shared_ptr<const Instance>>& instances() const noexcept {
    return instances_;
  }

 private:
  struct Group {
    ServiceId service;
    std::vector<std::shared_ptr<const Instance>> instances;  // in the order of instance_less
    std::vector<const Instance*> eligible;                   // the same
  };
  const Group* group_of(const ServiceId& service) const;
  static const Instance& pick_random(const Group& group, const Choice& choice);
  static const Instance& pick_ranked(const Group& group, std::string_view key,
                                     const Choice* choice);

  std::vector<std::shared_ptr<const Instance>> instances_;
  std::vector<Group> groups_;
};

}  // namespace m3
