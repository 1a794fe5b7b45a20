// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "m3/async/core.h"
#include "m3/mesh/detail/snapshot.h"
#include "m3/mesh/mesh_config.h"
#include "m3/rpc/resolver.h"

namespace m3::mesh_detail {

class Watches;

/// The mesh as one core sees it: the snapshots that core 0 has sent here, and the calls that wait
/// for one. Core-local; owned by the Mesh. It requests missing ones from `watches`, which outlives
/// it.
class CoreView {
 public:
  /// A service that was not called for this long is no longer watched: as long as an idle
  /// connection to one of its instances is kept.
  static constexpr Nanos kKeep = std::chrono::minutes(10);
  /// ... and one without instances, which may be a typing error or a made-up id. For this long it
  /// is remembered that there are none.
  static constexpr Nanos kKeepEmpty = std::chrono::seconds(10);
  /// Services without instances that are kept; the least recently called are dropped first.
  static constexpr std::size_t kMostEmpty = 1000;

  CoreView(Core& core, const MeshConfig& config, Watches& watches)
      : core_(core), config_(config), watches_(watches), room_(kMostEmpty) {}
  CoreView(const CoreView&) = delete;
  CoreView& operator=(const CoreView&) = delete;

  Core& core() const noexcept { return core_; }
  /// As Resolver's and Mesh's.
  Pick pick(const RouteQuery& query);
  std::vector<std::shared_ptr<const Instance>> all(const ServiceId& service);
  std::span<const Instance* const> eligible(const ServiceId& service) const;
  void on_sick(const Instance& instance) const;
  std::shared_ptr<const Snapshot> snapshot(const ServiceId& service);

  /// From core 0. Returns the snapshot that is no longer needed: the previous one, or this one when
  /// the service is no longer called here.
  std::shared_ptr<const Snapshot> install(std::shared_ptr<const Snapshot> snapshot);
  /// Drops the services that were not called for a while, and tells core 0.
  void sweep();

 private:
  struct View {
    ServiceId service;
    std::shared_ptr<const Snapshot> snapshot;
    RouteWaiters waiters;
    TimePoint asked{};
    TimePoint used{};
    bool wants_hash = false;
    bool is_empty() const noexcept { return !snapshot || snapshot->empty(); }
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>()(text);
    }
  };
  // A cache keyed by the address of the caller's ServiceId: the first look-up hashes, later ones
  // compare.
  struct Recent {
    std::uintptr_t at = 0;
    View* view = nullptr;
  };

  View& view(const ServiceId& service);
  View& look_up(const ServiceId& service);
  const Instance* named(std::string_view id);
  void make_room();
  template <class Unused>
  void drop_if(Unused unused);
  const Instance* choose(View& view, const RouteQuery& query);
  Pick nothing_known(View& view) const;
  Pick nobody(View& view, const RouteQuery& query) const;

  Core& core_;
  const MeshConfig config_;
  Watches& watches_;
  std::unordered_map<std::string, std::unique_ptr<View>, TextHash, std::equal_to<>> by_service_;
  std::size_t room_;  // for services, before make_room()
  std::array<Recent, 16> recent_;
};

}  // namespace m3::mesh_detail
