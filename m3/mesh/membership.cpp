// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/membership.h"

#include <utility>

#include "m3/mesh/hash_slots.h"

namespace m3 {

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
  instance->weight = member.weight;
  instance->slot = slots->take();
  return {instance.release(), [slots](const Instance* gone) {
            slots->give(gone->slot);
            delete gone;
          }};
}

void Membership::set_instance(MeshEntry& entry, const Member& member) {
  if (entry.instance) gone_.push_back(std::move(entry.instance));
  entry.instance = make_instance(member, slots_);
}

/// Those that the list does not name are doubted, or go. True when one went.
bool Membership::drop_missing(TimePoint now) {
  std::size_t known = 0;
  std::size_t missing = 0;
  for (const auto& [id, one] : by_id_) {
    const MeshEntry& entry = one.at->second;
    if (!entry.listed && entry.until == TimePoint::max()) continue;  // of an earlier loss
    ++known;
    if (!one.named) ++missing;
  }
  if (missing == 0) return false;
  const bool lost_memory = missing == known || (missing >= 2 && missing * 2 >= known);
  bool changed = false;
  for (auto at = by_id_.begin(); at != by_id_.end();) {
    MeshEntry& entry = at->second.at->second;
    if (at->second.named) {
      ++at;
      continue;
    }
    if (may_forget_) {
      if (lost_memory)
        entry.until = TimePoint::max();
      else if (entry.listed)
        entry.until = now + kGrace;
      entry.listed = false;
      ++at;
      continue;
    }
    gone_.push_back(std::move(entry.instance));
    entries_.erase(at->second.at);
    at = by_id_.erase(at);
    changed = true;
  }
  return changed;
}

/// One that the list names; true when it is news.
bool Membership::take(Member member) {
  auto [found, fresh] = by_id_.try_emplace(member.id);
  Known& known = found->second;
  if (fresh) {
    known.at = entries_.try_emplace(member.id).first;
    known.at->second.id_hash = hash_of_id(member.id.to_string());
  }
  MeshEntry& entry = known.at->second;
  const bool first = !std::exchange(known.taken, true);
  entry.listed = true;
  entry.until = TimePoint::max();
  if (!fresh) {
    // An old answer, or of two with one generation the later.
    if (member.generation < entry.member.generation) return false;
    if (!first && member.generation == entry.member.generation) return false;
    if (entry.member == member) return false;
  }
  if (fresh || entry.member.generation != member.generation ||
      entry.member.address != member.address || entry.member.weight != member.weight)
    set_instance(entry, member);
  entry.member = std::move(member);
  return true;
}

bool Membership::on_list(std::vector<Member> list, TimePoint now) {
  bool changed = !std::exchange(heard_, true);
  for (const Member& member : list) {
    const auto found = by_id_.find(member.id);
    if (found != by_id_.end()) found->second.named = true;
  }
  changed |= drop_missing(now);
  for (Member& member : list) changed |= take(std::move(member));
  for (auto& [id, one] : by_id_) one.named = one.taken = false;
  return changed;
}

bool Membership::on_probe(const Instance& instance, bool answered, TimePoint now) {
  const auto at = by_id_.find(instance.id);
  if (at == by_id_.end()) return false;
  MeshEntry& entry = at->second.at->second;
  if (entry.listed || entry.instance.get() != &instance) return false;
  if (answered && now < entry.until) return false;
  gone_.push_back(std::move(entry.instance));
  entries_.erase(at->second.at);
  by_id_.erase(at);
  return true;
}

std::vector<std::shared_ptr<const Instance>> Membership::doubtful() const {
  std::vector<std::shared_ptr<const Instance>> out;
  for (const auto& [id, entry] : entries_)
    if (!entry.listed) out.push_back(entry.instance);
  return out;
}

}  // namespace m3
