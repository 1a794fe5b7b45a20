// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/membership.h"

#include <utility>

#include "m3/mesh/detail/hash_slots.h"

namespace m3::mesh_detail {
namespace {

/// How many of a set of instances are missing from a list.
struct Share {
  std::size_t all = 0;
  std::size_t missing = 0;
  void add(bool is_missing) {
    ++all;
    missing += is_missing;
  }
  /// More than a healthy registry would drop at once.
  bool is_lost() const {
    return missing > 0 && (missing == all || (missing >= 2 && missing * 2 >= all));
  }
};

}  // namespace

std::uint32_t SlotPool::take() {
  std::lock_guard lock(mutex_);
  if (free_.empty()) return next_++;
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void SlotPool::give(std::uint32_t slot) {
  std::lock_guard lock(mutex_);
  free_.push_back(slot);
}

std::shared_ptr<const Instance> make_instance(const Member& member,
                                              const std::shared_ptr<SlotPool>& slots) {
  auto instance = std::make_unique<Instance>();
  instance->id = member.id;
  instance->address = member.address;
  instance->generation = member.generation;
  instance->slot = slots->take();
  return {instance.release(), [slots](const Instance* gone) {
            slots->give(gone->slot);
            delete gone;
          }};
}

void Membership::set_instance(MeshEntry& entry, const Member& member) {
  if (entry.instance) gone_.push_back(std::move(entry.instance));
  if (!same_start(entry.member, member)) {
    entry.silent = false;
    entry.says_sick = false;
    entry.ask_at = {};
  }
  entry.instance = make_instance(member, slots_);
}

void Membership::set_listed(MeshEntry& entry, bool listed) {
  if (std::exchange(entry.listed, listed) == listed) return;
  listed ? --unlisted_ : ++unlisted_;
  if (!listed) set_rival(entry, std::nullopt);  // it is on no list any more
  entry.ask_at = {};
}

void Membership::set_rival(MeshEntry& entry, std::optional<Member> rival) {
  if (entry.rival) --contested_;
  entry.rival = std::move(rival);
  if (entry.rival) ++contested_;
}

void Membership::set_member(MeshEntry& entry, Member member) {
  if (entry.member.healthy && !member.healthy) {
    ++sick_;
    entry.ask_at = {};
  } else if (!entry.member.healthy && member.healthy) {
    --sick_;
    entry.silent = false;
  }
  entry.member = std::move(member);
}

/// Sets its own report. True when that changes its health.
bool Membership::set_word(MeshEntry& entry, bool sick) {
  entry.says_sick = sick;
  Member member = entry.member;
  member.healthy = entry.check_passes && !sick;
  if (member.healthy == entry.member.healthy) return false;
  note(MemberEvent::Kind::changed, member, &entry.member);
  set_member(entry, std::move(member));
  return true;
}

/// Null: it is gone, or another instance has its id.
MeshEntry* Membership::entry_of(const Instance& instance) {
  const auto at = by_id_.find(instance.id.to_string());
  if (at == by_id_.end()) return nullptr;
  MeshEntry& entry = at->second.at->second;
  return entry.instance.get() == &instance ? &entry : nullptr;
}

Membership::ById::iterator Membership::erase(ById::iterator at) {
  const Entries::iterator entry = at->second.at;
  set_listed(entry->second, true);
  set_rival(entry->second, std::nullopt);
  if (!entry->second.member.healthy) --sick_;
  note_gone(entry->second.member);
  gone_.push_back(std::move(entry->second.instance));
  at = by_id_.erase(at);  // before its name is destroyed
  entries_.erase(entry);
  return at;
}

/// Instances missing from the list become doubtful, or are removed. True when one was removed.
bool Membership::drop_missing(TimePoint now) {
  Share listed;  // by the previous list
  Share recent;  // ... and by recent ones
  for (const auto& [id, one] : by_id_) {
    const MeshEntry& entry = one.at->second;
    if (!entry.listed && entry.until == TimePoint::max()) continue;  // of an earlier loss
    const bool missing = one.named != lists_;
    recent.add(missing);
    if (entry.listed) listed.add(missing);
  }
  if (recent.missing == 0) return false;
  const bool lost_memory = listed.is_lost() || recent.is_lost();
  bool changed = false;
  for (auto at = by_id_.begin(); at != by_id_.end();) {
    MeshEntry& entry = at->second.at->second;
    if (at->second.named == lists_) {
      ++at;
    } else if (may_forget_) {
      if (lost_memory)
        entry.until = TimePoint::max();
      else if (entry.listed)
        entry.until = now + kGrace;
      set_listed(entry, false);
      ++at;
    } else {
      at = erase(at);
      changed = true;
    }
  }
  return changed;
}

/// For an id that is not known, or that the same list has named already.
Membership::Known& Membership::insert(const AppId& id) {
  const auto [entry, fresh] = entries_.try_emplace(id);
  if (!fresh) return by_id_.find(id.to_string())->second;
  entry->second.id_hash = hash_of_id(id.to_string());
  return by_id_.try_emplace(entry->first.to_string(), Known{entry}).first->second;
}

/// For an instance on the list; true when it changes something.
bool Membership::take(Member member, Known* known) {
  if (!known) known = &insert(member.id);
  MeshEntry& entry = known->at->second;
  const bool fresh = !entry.instance;
  const bool first = std::exchange(known->taken, lists_) != lists_;
  set_listed(entry, true);
  entry.until = TimePoint::max();
  if (!fresh) {
    if (member.generation < entry.member.generation) {
      if (first) set_rival(entry, std::move(member));
      return false;
    }
    if (!first && member.generation == entry.member.generation) {
      set_rival(entry, std::nullopt);  // the list names both
      return false;
    }
    set_rival(entry, std::nullopt);
  }
  entry.check_passes = member.healthy;
  member.healthy &= !(entry.says_sick && same_start(entry.member, member));
  if (!fresh && entry.member == member) return false;
  if (fresh)
    note(was_gone(member) ? MemberEvent::Kind::back : MemberEvent::Kind::up, member);
  else
    note(same_start(entry.member, member) ? MemberEvent::Kind::changed
                                          : MemberEvent::Kind::superseded,
         member, &entry.member);
  // The state that callers keep for an instance, including its connection, survives any other
  // change.
  if (fresh || !same_start(entry.member, member) || entry.member.address != member.address)
    set_instance(entry, member);
  set_member(entry, std::move(member));
  return true;
}

bool Membership::on_list(std::vector<Member> list, TimePoint now) {
  bool changed = lists_++ == 0;
  std::vector<Known*> known;
  known.reserve(list.size());
  std::size_t named = 0;
  for (const Member& member : list) {
    const auto found = by_id_.find(member.id.to_string());
    known.push_back(found == by_id_.end() ? nullptr : &found->second);
    if (known.back() && std::exchange(found->second.named, lists_) != lists_) ++named;
  }
  if (named < by_id_.size()) changed |= drop_missing(now);
  for (std::size_t i = 0; i < list.size(); ++i) changed |= take(std::move(list[i]), known[i]);
  return changed;
}

bool Membership::on_sick(const Instance& instance) {
  MeshEntry* entry = entry_of(instance);
  return entry && set_word(*entry, true);
}

/// Its report ends with its last answer: callers find out whether a silent one can be reached.
bool Membership::on_probe(const Instance& instance, Answer answer, TimePoint now) {
  MeshEntry* const found = entry_of(instance);
  if (!found) return false;
  MeshEntry& entry = *found;
  const bool answered = answer != Answer::silent;
  const bool changed = set_word(entry, answer == Answer::sick);
  entry.ask_at = now + kAskAgain;
  if (entry.rival) {
    Member rival = *std::move(entry.rival);
    set_rival(entry, std::nullopt);
    if (answered) return changed;
    note(MemberEvent::Kind::superseded, rival, &entry.member);
    set_instance(entry, rival);
    entry.check_passes = rival.healthy;
    set_member(entry, std::move(rival));
    return true;
  }
  if (entry.listed) {
    const bool silence =
        !entry.member.healthy && std::exchange(entry.silent, !answered) == answered;
    return changed || silence;
  }
  if (answered && now < entry.until) return changed;
  erase(by_id_.find(instance.id.to_string()));
  return true;
}

// ---- events

void Membership::note(MemberEvent::Kind kind, const Member& member, const Member* before) {
  if (!observed_) return;
  MemberEvent& event = events_.emplace_back(MemberEvent{kind, member, std::nullopt});
  if (before) event.before = *before;
}

void Membership::note_gone(const Member& member) {
  if (!observed_) return;
  note(MemberEvent::Kind::gone, member);
  if (gone_starts_.insert_or_assign(member.id, member).second) gone_first_.push_back(member.id);
  if (gone_first_.size() <= kMostGone) return;
  gone_starts_.erase(gone_first_.front());
  gone_first_.pop_front();
}

bool Membership::was_gone(const Member& member) {
  const auto found = gone_starts_.find(member.id);
  return found != gone_starts_.end() && same_start(found->second, member);
}

std::vector<Membership::Doubt> Membership::doubtful() const {
  std::vector<Doubt> out;
  if (unlisted_ == 0 && contested_ == 0 && sick_ == 0) return out;
  for (const auto& [id, entry] : entries_)
    if (!entry.listed || entry.rival || !entry.member.healthy)
      out.push_back({entry.instance, entry.ask_at});
  return out;
}

}  // namespace m3::mesh_detail
