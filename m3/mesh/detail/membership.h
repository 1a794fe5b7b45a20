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

/// Small numbers, given back when their instance is gone from every core. Thread-safe.
class SlotPool {
 public:
  std::uint32_t take();
  void give(std::uint32_t slot);

 private:
  std::mutex mutex_;
  std::vector<std::uint32_t> free_;
  std::uint32_t next_ = 0;
};

/// Gives its slot back when it is gone.
std::shared_ptr<const Instance> make_instance(const Member& member,
                                              const std::shared_ptr<SlotPool>& slots);

/// One instance of a service, as the mesh sees it.
struct MeshEntry {
  Member member;
  std::shared_ptr<const Instance> instance;
  std::uint64_t id_hash = 0;  ///< hash_of_id()
  bool listed = true;         ///< false: its registry no longer names it, but it may answer
  TimePoint until = TimePoint::max();  ///< not listed: the registry's word is taken then
  TimePoint ask_at{};                  ///< doubtful: when it is to be asked whether it lives
  /// The list names an earlier start of the id: an old answer, or a restart with a clock that was
  /// set back. It counts when `instance` does not answer any more.
  std::optional<Member> rival;
  /// Said to be sick, and it did not answer when it was asked itself: rather dead.
  bool silent = false;
  bool check_passes = true;  ///< its registry's check of it
  bool says_sick = false;    ///< its own word. `member` is healthy when neither calls it sick
};

/// Who belongs to one service. Judges what the registry says. Those that a list lacks are asked
/// themselves, and are gone when they do not answer or are leaving. Those that answer are kept for
/// kGrace, as a registry that was frozen drops many one by one before it lists them again; and for
/// good, when the list lacks all of the one before, or when those that went within kGrace are two
/// or more and half of the service: that is a registry which lost its memory. Pure: told of lists
/// and of probes, never waits. Used by one thread at a time.
class Membership {
 public:
  using Entries = std::map<AppId, MeshEntry, InstanceLess>;

  /// `may_forget`: Router::may_forget(); false: every list is believed.
  explicit Membership(std::shared_ptr<SlotPool> slots, bool may_forget = true)
      : slots_(std::move(slots)), may_forget_(may_forget) {}

  static constexpr Nanos kGrace = std::chrono::seconds(2);
  /// That many starts that were reported as gone are remembered.
  static constexpr std::size_t kMostGone = 1024;
  /// Between two probes of one that is not listed.
  static constexpr Nanos kAskAgain = std::chrono::seconds(1);

  /// An instance that must be asked whether it lives, again and again until it is listed or gone.
  struct Doubt {
    std::shared_ptr<const Instance> instance;
    TimePoint ask_at{};
  };

  /// A list from the router. True when entries() changed. Of several generations of one id in a
  /// list the newest counts. A list that names only an earlier one than the list before makes the
  /// instance doubtful: clocks go back.
  bool on_list(std::vector<Member> list, TimePoint now);
  /// What a doubtful instance answered. True when entries() changed.
  enum class Answer : std::uint8_t { silent, well, sick };
  bool on_probe(const Instance& instance, Answer answer, TimePoint now);
  /// The instance says that its own health check fails. True when entries() changed. It is doubtful
  /// then; its next answer says how it is.
  bool on_sick(const Instance& instance);

  /// In the order of instance_less.
  const Entries& entries() const noexcept { return entries_; }
  /// Those that stood in entries() and do no more, since this was asked last.
  std::vector<std::shared_ptr<const Instance>> take_gone() { return std::exchange(gone_, {}); }
  std::vector<Doubt> doubtful() const;
  bool heard() const noexcept { return lists_ > 0; }

  /// From now on it notes what becomes of entries().
  void observe() noexcept { observed_ = true; }
  /// What it has noted since this was asked last, in order.
  std::vector<MemberEvent> take_events() { return std::exchange(events_, {}); }

 private:
  /// Where an id stands in entries_, and by their numbers the lists that named it last.
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
