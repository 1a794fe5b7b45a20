// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/hash_slots.h"

#include <algorithm>
#include <unordered_set>

namespace m3 {
namespace {

/// FNV-1a, 64 bits, then the finalizer of MurmurHash3.
std::uint64_t mixed(std::string_view text) noexcept {
  std::uint64_t hash = 14695981039346656037u;
  for (char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 1099511628211u;
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdu;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53u;
  return hash ^ (hash >> 33);
}

}  // namespace

std::uint16_t hash_slot(std::string_view key) noexcept {
  return static_cast<std::uint16_t>(mixed(key));
}

std::uint64_t hash_of_id(std::string_view id) noexcept { return mixed(id); }

bool HashSlots::beats(Position position, std::uint64_t score, std::size_t slot) const noexcept {
  const Position owner = owners_[slot];
  if (owner == kNobody || score != best_[slot]) return owner == kNobody || score > best_[slot];
  return entries_[position].id < entries_[owner].id;
}

void HashSlots::add(const AppId& id) {
  Position position = 0;
  if (free_.empty()) {
    position = static_cast<Position>(entries_.size());
    entries_.emplace_back();
  } else {
    position = free_.back();
    free_.pop_back();
  }
  Entry& entry = entries_[position];
  entry.id = id;
  entry.hash = hash_of_id(id.to_string());
  by_id_.emplace(id, position);
  for (std::size_t slot = 0; slot < kHashSlots; ++slot) {
    const std::uint64_t score = slot_score(entry.hash, static_cast<std::uint16_t>(slot));
    if (!beats(position, score, slot)) continue;
    owners_[slot] = position;
    best_[slot] = score;
  }
}

void HashSlots::remove(Position gone) {
  by_id_.erase(entries_[gone].id);
  entries_[gone] = Entry();
  free_.push_back(gone);
  for (std::size_t slot = 0; slot < kHashSlots; ++slot) {
    if (owners_[slot] != gone) continue;
    owners_[slot] = kNobody;
    best_[slot] = 0;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      const auto position = static_cast<Position>(i);
      if (entries_[i].id.empty()) continue;
      const std::uint64_t score = slot_score(entries_[i].hash, static_cast<std::uint16_t>(slot));
      if (!beats(position, score, slot)) continue;
      owners_[slot] = position;
      best_[slot] = score;
    }
  }
}

void HashSlots::set(const std::vector<const AppId*>& ids) {
  if (owners_.empty()) {
    owners_.assign(kHashSlots, kNobody);
    best_.assign(kHashSlots, 0);
  }
  std::unordered_set<AppId> wanted;
  for (const AppId* id : ids)
    if (wanted.size() < kMostIds) wanted.insert(*id);
  std::vector<Position> gone;
  for (const auto& [id, position] : by_id_)
    if (!wanted.contains(id)) gone.push_back(position);
  // When nearly all go, it is cheaper to begin again.
  if (gone.size() * 2 > by_id_.size()) {
    *this = HashSlots();
    owners_.assign(kHashSlots, kNobody);
    best_.assign(kHashSlots, 0);
    gone.clear();
  }
  for (Position position : gone) remove(position);
  for (const AppId* id : ids)
    if (wanted.contains(*id) && !by_id_.contains(*id)) add(*id);
}

}  // namespace m3
