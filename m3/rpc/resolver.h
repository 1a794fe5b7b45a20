// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/app_id.h"
#include "m3/base/result.h"
#include "m3/base/route_mode.h"
#include "m3/net/stream.h"

namespace m3 {

/// One app that may be called.
struct Instance {
  AppId id;  ///< empty: whoever answers at the address (tools)
  HostPort address;
  std::uint32_t slot = 0;  ///< small and never used for another instance: an index for callers
};

/// What a call wants to know.
struct RouteQuery {
  const ServiceId& service;
  RouteMode mode = RouteMode::random;
  std::string_view key;             ///< hash key or app id
  const Instance* avoid = nullptr;  ///< tried before; another one, if there is one
  std::mt19937_64& random;
};

/// Picks instances. Called on every core at once; never waits. Owned by the app; outlives callers.
class Resolver {
 public:
  virtual ~Resolver() = default;
  /// unavailable (not executed) when there is none; invalid_argument when the key is wrong.
  /// The instance lives as long as the resolver.
  virtual Result<const Instance*> pick(const RouteQuery& query) = 0;
  /// Every instance of the service.
  virtual std::vector<const Instance*> all(const ServiceId& service) = 0;
};

/// A fixed list: `peers` of a configuration file, or a test's.
class StaticResolver final : public Resolver {
 public:
  StaticResolver() = default;
  /// Before the first pick. already_exists for an id that is listed.
  Status add(AppId id, HostPort address);
  /// "env.world.func.ins@host:port".
  Status add(std::string_view text);
  /// Whoever answers there; picked only by the address as the key of a P2P route.
  Status add_address(HostPort address);

  Result<const Instance*> pick(const RouteQuery& query) override;
  std::vector<const Instance*> all(const ServiceId& service) override;
  const std::vector<std::unique_ptr<Instance>>& instances() const noexcept { return instances_; }

 private:
  struct Group {
    ServiceId service;
    std::vector<const Instance*> instances;  // in the order of instance_less
  };
  const Group* group_of(const ServiceId& service) const;

  std::vector<std::unique_ptr<Instance>> instances_;
  std::vector<Group> groups_;
};

}  // namespace m3
