// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/hash_slots.h"

#include <utility>

namespace m3::mesh_detail {

bool HashSlots::beats(Position position, std::uint64_t score, std::size_t slot) const noexcept {
  const Position owner = owners_[slot];
  if (owner == kNobody || score != best_[slot]) return owner == kNobody || score > best_[slot];
  return entries_[position].id < entries_[owner].id;
}

HashSlots::Position HashSlots::place(const Id& id) {
  Position position = 0;
  if (free_.empty()) {
    position = static_cast<Position>(entries_.size());
    entries_.emplace_back();
  } else {
    position = free_.back();
    free_.pop_back();
  }
  Entry& entry = entries_[position];
  entry.id = *id.id;
  entry.hash = id.hash;
  by_id_.emplace(id.id->to_string(), position);
  return position;
}

/// Slot by slot, so that the best score so far stays in a register.
void HashSlots::compete(const std::vector<Position>& positions) {
  std::vector<std::uint64_t> hashes;
  hashes.reserve(positions.size());
  for (Position position : positions) hashes.push_back(entries_[position].hash);
  for (std::size_t slot = 0; slot < kHashSlots; ++slot) {
    std::uint64_t best = best_[slot];  // 0 while it has no owner
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      const std::uint64_t score = slot_score(hashes[i], static_cast<std::uint16_t>(slot));
      if (score < best) [[likely]]
        continue;
      if (!beats(positions[i], score, slot)) continue;
      owners_[slot] = positions[i];
      best = best_[slot] = score;
    }
  }
}

void HashSlots::remove(Position gone) {
  by_id_.erase(entries_[gone].id.to_string());
  entries_[gone] = Entry();
  free_.push_back(gone);
  for (std::size_t slot = 0; slot < kHashSlots; ++slot) {
    if (owners_[slot] != gone) continue;
    owners_[slot] = kNobody;
    best_[slot] = 0;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].id.empty()) continue;
      const std::uint64_t score = slot_score(entries_[i].hash, static_cast<std::uint16_t>(slot));
      if (score < best_[slot] || !beats(static_cast<Position>(i), score, slot)) continue;
      owners_[slot] = static_cast<Position>(i);
      best_[slot] = score;
    }
  }
}

void HashSlots::clear() {
  *this = HashSlots();
  owners_.assign(kHashSlots, kNobody);
  best_.assign(kHashSlots, 0);
}

std::vector<HashSlots::Position> HashSlots::set(const std::vector<Id>& ids) {
  std::vector<Position> positions;
  positions.reserve(ids.size());
  std::size_t staying = 0;
  for (const Id& id : ids) {
    const auto known = by_id_.find(id.id->to_string());
    positions.push_back(known == by_id_.end() ? kNobody : known->second);
    if (positions.back() == kNobody) continue;
    if (!std::exchange(entries_[known->second].wanted, true)) ++staying;
  }
  if (owners_.empty() || staying * 2 < by_id_.size()) {
    // When nearly all are removed, it is cheaper to start again.
    clear();
    positions.assign(ids.size(), kNobody);
  } else if (staying < by_id_.size()) {
    for (std::size_t i = 0; i < entries_.size(); ++i)
      if (!entries_[i].id.empty() && !entries_[i].wanted) remove(static_cast<Position>(i));
  }
  for (Entry& entry : entries_) entry.wanted = false;
  std::vector<Position> placed;
  for (std::size_t i = 0; i < ids.size() && by_id_.size() < kMostIds; ++i) {
    if (positions[i] != kNobody || by_id_.contains(ids[i].id->to_string())) continue;
    positions[i] = place(ids[i]);
    placed.push_back(positions[i]);
  }
  compete(placed);
  return positions;
}

}  // namespace m3::mesh_detail
