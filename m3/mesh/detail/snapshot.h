// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/mesh/detail/hash_slots.h"
#include "m3/mesh/detail/membership.h"
#include "m3/rpc/resolver.h"

namespace m3::mesh_detail {

/// The owners of the hash slots, with the instances of one snapshot.
struct HashOwners {
  std::vector<HashSlots::Position> owners;  ///< by slot
  std::vector<const Instance*> by_position;
};

/// The instances of one service at one time. Shared by all cores, never changes; the pickers are
/// its functions, and they allocate nothing.
class Snapshot {
 public:
  struct Entry {
    std::shared_ptr<const Instance> instance;
    std::uint64_t id_hash = 0;  ///< hash_of_id()
    MemberState state = MemberState::serving;
    bool healthy = true;
  };

  /// Unhealthy instances get no routed calls, unless those of them that answer are more than
  /// `max_sick_percent` of all that serve and answer: then the check itself is probably wrong.
  Snapshot(ServiceId service, const Membership::Entries& entries, unsigned max_sick_percent = 50);

  const ServiceId& service() const noexcept { return service_; }
  const std::vector<Entry>& entries() const noexcept { return entries_; }
  bool empty() const noexcept { return entries_.empty(); }

  /// How many of the serving and answering instances are unhealthy; and whether that is ignored.
  std::size_t sick() const noexcept { return sick_; }
  bool ignores_sick() const noexcept { return ignores_sick_; }
  /// The instances that accept calls which do not name them.
  const std::vector<const Instance*>& eligible() const noexcept { return eligible_; }
  const std::vector<std::uint64_t>& id_hashes() const noexcept { return id_hashes_; }
  /// Without one, hash routing looks at every instance, with the same result.
  void set_hash(std::shared_ptr<const HashOwners> owners) { hash_ = std::move(owners); }
  bool has_hash() const noexcept { return hash_ != nullptr; }

  /// The less busy of two (power of two choices: Mitzenmacher, 2001), by weight, among those that
  /// can take the call. A hanging instance keeps its calls in flight, so it soon gets no more. One
  /// without a connection is dialled while others with one get the calls.
  const Instance* random(const Choice& choice) const;
  /// The owner of the key's slot; if it cannot take the call, the next in rank.
  const Instance* hash(std::string_view key, const Choice& choice) const;
  /// The owner by membership alone, so that all callers agree.
  const Instance* owner(std::string_view key) const;
  /// The lowest; if it cannot take the call, the next.
  const Instance* single(const Choice& choice) const;
  const Instance* named(std::string_view id) const {
    const Entry* found = entry(id);
    return found ? found->instance.get() : nullptr;
  }
  /// Null: it is not in it.
  const Entry* entry(std::string_view id) const;

 private:
  void index();
  std::pair<const Instance*, const Instance*> two(std::uint64_t draw) const;
  const Instance* weighted(std::uint64_t draw) const;
  const Instance* connected_rather_than(const Instance& fresh, const Choice& choice) const;
  const Instance* best_for(std::uint16_t slot, const Choice* choice) const;

  std::size_t sick_ = 0;
  bool ignores_sick_ = false;
  ServiceId service_;
  std::vector<Entry> entries_;
  std::vector<const Instance*> eligible_;
  std::vector<std::uint64_t> id_hashes_;     // of eligible_
  std::vector<std::uint64_t> weights_upto_;  // empty: all weigh the same
  std::vector<const Instance*> weighty_;     // those with a weight; empty: as eligible_
  std::vector<std::uint32_t> by_id_;  // open addressing by id_hash: position in entries_, 1 more
  std::shared_ptr<const HashOwners> hash_;
};

}  // namespace m3::mesh_detail
