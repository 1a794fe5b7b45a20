// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "m3/mesh/detail/hash_slots.h"
#include "m3/mesh/detail/membership.h"
#include "m3/mesh/detail/observers.h"
#include "m3/mesh/detail/snapshot.h"

namespace m3::mesh_detail {

/// The instances of one service, and the snapshots of them: all the work that grows with the number
/// of instances. Pure; used by one thread at a time: core 0 while the service is small, a helper
/// thread when it is not.
class Roster {
 public:
  /// The news since the last edition.
  struct News {
    std::optional<std::vector<Member>> list;  ///< the newest list from the router
    std::vector<std::pair<std::shared_ptr<const Instance>, Membership::Answer>> probes;
    std::vector<std::shared_ptr<const Instance>> sick;  ///< reported by themselves
    TimePoint at{};                                     ///< the time of judging
    bool hash = false;  ///< from now on, snapshots have a hash table
    /// The number of the newest observer, if one was added; it must be told which instances are
    /// there.
    std::uint64_t observer = 0;
    bool empty() const noexcept {
      return !list && probes.empty() && sick.empty() && !hash && observer == 0;
    }
    /// Merges older news.
    void put_before(News older);
  };
  struct Edition {
    std::shared_ptr<const Snapshot> snapshot;           ///< null: nothing new to show
    std::vector<std::shared_ptr<const Instance>> gone;  ///< in an earlier snapshot, not in this
    std::vector<Membership::Doubt> doubtful;
    std::size_t size = 0;  ///< entries
    MemberEvents events;   ///< for existing observers
    /// For the observers up to that number: all present instances, as events. 0: no new observer.
    std::uint64_t observer = 0;
    MemberEvents present;
  };

  /// `may_forget`: Router::may_forget().
  Roster(ServiceId service, const std::shared_ptr<SlotPool>& slots, bool may_forget,
         unsigned max_sick_percent)
      : service_(std::move(service)),
        max_sick_percent_(max_sick_percent),
        membership_(slots, may_forget) {}

  /// If table_due() is true afterwards, either the returned snapshot has no hash table, or no
  /// snapshot is returned and the previous one stays current until build_table().
  Edition take(News news);
  /// Always called on a helper thread.
  bool table_due() const noexcept { return table_due_; }
  Edition build_table();

 private:
  void add_hash(Snapshot& snapshot);
  Edition edition(std::shared_ptr<const Snapshot> snapshot);
  void add_events(Edition& edition);

  const ServiceId service_;
  const unsigned max_sick_percent_;
  Membership membership_;
  HashSlots slots_;
  bool wants_hash_ = false;
  bool table_due_ = false;
  std::uint64_t observer_ = 0;  // up to that number they wait for `present`
};

}  // namespace m3::mesh_detail
