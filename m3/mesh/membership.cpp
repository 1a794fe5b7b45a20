// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/membership.h"

#include <utility>

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

bool Membership::on_list(std::vector<Member> list) {
  std::map<AppId, Member, InstanceLess> newest;
  for (Member& member : list) {
    auto [at, fresh] = newest.try_emplace(member.id, member);
    if (!fresh && member.generation > at->second.generation) at->second = std::move(member);
  }
  std::size_t known = 0;
  std::size_t missing = 0;
  for (const auto& [id, entry] : entries_) {
    if (!entry.listed) continue;
    ++known;
    if (!newest.contains(id)) ++missing;
  }
  const bool believed = missing * 2 <= known && !(newest.empty() && known > 0);
  bool changed = !std::exchange(heard_, true);
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (newest.contains(at->first) || !at->second.listed) {
      ++at;
    } else if (believed) {
      at = entries_.erase(at);
      changed = true;
    } else {
      at->second.listed = false;
      ++at;
    }
  }
  for (auto& [id, member] : newest) {
    MeshEntry& entry = entries_[id];
    entry.listed = true;
    if (entry.instance && entry.member == member) continue;
    if (entry.instance && member.generation < entry.member.generation) continue;  // an old answer
    const bool same = entry.instance && entry.member.generation == member.generation &&
                      entry.member.address == member.address &&
                      entry.member.weight == member.weight;
    if (!same) entry.instance = make_instance(member, slots_);
    entry.member = std::move(member);
    changed = true;
  }
  return changed;
}

bool Membership::on_probe(const Instance& instance, bool answered) {
  const auto at = entries_.find(instance.id);
  if (answered || at == entries_.end() || at->second.listed) return false;
  if (at->second.instance.get() != &instance) return false;
  entries_.erase(at);
  return true;
}

std::vector<std::shared_ptr<const Instance>> Membership::doubtful() const {
  std::vector<std::shared_ptr<const Instance>> out;
  for (const auto& [id, entry] : entries_)
    if (!entry.listed) out.push_back(entry.instance);
  return out;
}

}  // namespace m3
