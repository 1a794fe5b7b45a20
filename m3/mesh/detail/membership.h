// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "m3/async/clock.h"
#include "m3/mesh/member_events.h"
#include "m3/plugin/router.h"
#include "m3/rpc/peers.h"

namespace m3::mesh_detail {

/// Small numbers, released when their instance is gone from every core. Thread-safe.
class SlotPool {
 public:
  std::uint32_t take();
  void give(std::uint32_t slot);

 private:
  std::mutex mutex_;
  std::vector<std::uint32_t> free_;
  std::uint32_t next_ = 0;
};

/// Releases its slot when it is destroyed.
std::shared_ptr<const Instance> make_instance(const Member& member,
                                              const std::shared_ptr<SlotPool>& slots);

/// One instance of a service, as the mesh sees it.
struct MeshEntry {
  Member member;
  std::shared_ptr<const Instance> instance;
  std::uint64_t id_hash = 0;  ///< hash_of_id()
  bool listed = true;         ///< false: its registry no longer lists it, but it may answer
  TimePoint until = TimePoint::max();  ///< not listed: when the registry's list is accepted
  TimePoint ask_at{};                  ///< doubtful: when it is probed next
  /// The list names an earlier start of the id: an old answer, or a restart with a clock that was
  /// set back. It counts when `instance` no longer answers.
  std::optional<Member> rival;
  /// Reported as sick, and it did not answer a probe: probably dead.
  bool silent = false;
  bool check_passes = true;  ///< its registry's check of it
  bool says_sick = false;    ///< its own report. `member` is healthy when neither reports it as
                             ///< sick
};

/// The instances of one service. Judges the registry's lists. An instance missing from a list is
/// probed, and is gone when it does not answer or is leaving. An instance that answers is kept for
/// kGrace (a registry that was frozen drops many one by one and then lists them again). It is kept
/// for as long as it answers if the list names nobody of the previous list, or if at least two
/// instances and at least half of the service went within kGrace: then the registry has lost its
/// data. Pure: it is fed lists and probe results and never waits. Used by one thread at a time.
class Membership {
 public:
  using Entries = std::map<AppId, MeshEntry, InstanceLess>;

  /// `may_forget`: Router::may_forget(); false: every list is believed.
  explicit Membership(std::shared_ptr<SlotPool> slots, bool may_forget = true)
      : slots_(std::move(slots)), may_forget_(may_forget) {}

  static constexpr Nanos kGrace = std::chrono::seconds(2);
  /// How many starts that were reported as gone are remembered.
  static constexpr std::size_t kMostGone = 1024;
  /// Between two probes of an instance that is not listed.
  static constexpr Nanos kAskAgain = std::chrono::seconds(1);

  /// An instance that is probed repeatedly until it is listed or gone.
  struct Doubt {
    std::shared_ptr<const Instance> instance;
    TimePoint ask_at{};
  };

  /// A list from the router. True when entries() changed. Of several generations of one id in a
  /// list the newest counts. A list that names only an earlier one than the previous list makes the
  /// instance doubtful: clocks go back.
  bool on_list(std::vector<Member> list, TimePoint now);
  /// The result of probing a doubtful instance. True when entries() changed.
  enum class Answer : std::uint8_t { silent, well, sick };
  bool on_probe(const Instance& instance, Answer answer, TimePoint now);
  /// The instance says that its own health check fails. True when entries() changed. It is then
  /// doubtful until its next answer.
  bool on_sick(const Instance& instance);

  /// In the order of instance_less.
  const Entries& entries() const noexcept { return entries_; }
  /// Instances that left entries() since the last call.
  std::vector<std::shared_ptr<const Instance>> take_gone() { return std::exchange(gone_, {}); }
  std::vector<Doubt> doubtful() const;
  bool heard() const noexcept { return lists_ > 0; }

  /// From now on, changes of entries() are recorded.
  void observe() noexcept { observed_ = true; }
  /// The changes recorded since the last call, in order.
  std::vector<MemberEvent> take_events() { return std::exchange(events_, {}); }

 private:
  /// The position of an id in entries_, and the number of the list that named it last.
  struct Known {
    Entries::iterator at;
    std::uint64_t named = 0;
    std::uint64_t taken = 0;
  };
  using ById = std::unordered_map<std::string_view, Known>;
  bool drop_missing(TimePoint now);
  Known& insert(const AppId& id);
  bool take(Member member, Known* known);
  void set_instance(MeshEntry& entry, const Member& member);
  void set_listed(MeshEntry& entry, bool listed);
  void set_rival(MeshEntry& entry, std::optional<Member> rival);
  void set_member(MeshEntry& entry, Member member);
  bool set_word(MeshEntry& entry, bool sick);
  MeshEntry* entry_of(const Instance& instance);
  ById::iterator erase(ById::iterator at);
  void note(MemberEvent::Kind kind, const Member& member, const Member* before = nullptr);
  void note_gone(const Member& member);
  bool was_gone(const Member& member);

  std::shared_ptr<SlotPool> slots_;
  const bool may_forget_;
  Entries entries_;
  ById by_id_;  // the names are those of entries_
  std::size_t unlisted_ = 0;
  std::size_t contested_ = 0;  // entries with a rival
  std::size_t sick_ = 0;
  std::uint64_t lists_ = 0;
  std::vector<std::shared_ptr<const Instance>> gone_;
  bool observed_ = false;
  std::vector<MemberEvent> events_;
  std::unordered_map<AppId, Member> gone_starts_;  // reported as gone: they may be back
  std::deque<AppId> gone_first_;                   // in that order, to forget them
};

}  // namespace m3::mesh_detail
