// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/hash_slots.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include "m3/testing/catch.h"

using m3::AppId;
using m3::mesh_detail::HashSlots;

namespace {

std::vector<AppId> ids(std::size_t count) {
  std::vector<AppId> out;
  out.reserve(count);
  for (std::size_t i = 1; i <= count; ++i)
    out.push_back(*AppId::parse("dev.w.role." + std::to_string(i)));
  return out;
}

std::vector<HashSlots::Id> hashed(const std::vector<AppId>& list) {
  std::vector<HashSlots::Id> out;
  out.reserve(list.size());
  for (const AppId& id : list) out.push_back(HashSlots::Id::of(id));
  return out;
}

/// The owner by the definition.
std::string owner_of(std::uint16_t slot, const std::vector<AppId>& list) {
  std::string best;
  std::uint64_t best_score = 0;
  for (const AppId& id : list) {
    const std::uint64_t score = m3::slot_score(m3::hash_of_id(id.to_string()), slot);
    if (best.empty() || score > best_score || (score == best_score && id.to_string() < best)) {
      best = id.to_string();
      best_score = score;
    }
  }
  return best;
}

std::string owner_of(std::uint16_t slot, const HashSlots& slots) {
  const HashSlots::Position position = slots.owners()[slot];
  return position == HashSlots::kNobody ? "" : slots.id_at(position).to_string();
}

}  // namespace

TEST_CASE("hash slots: after ids are added and removed the owners match the definition") {
  const std::vector<AppId> all = ids(12);
  std::mt19937_64 random(7);
  HashSlots slots;
  for (int round = 0; round < 20; ++round) {
    std::vector<AppId> now;
    for (const AppId& id : all)
      if (random() % 2) now.push_back(id);
    const std::vector<HashSlots::Position> positions = slots.set(hashed(now));
    CHECK(slots.size() == now.size());
    REQUIRE(positions.size() == now.size());
    for (std::size_t i = 0; i < now.size(); ++i) REQUIRE(slots.id_at(positions[i]) == now[i]);
    for (int i = 0; i < 500; ++i) {
      const auto slot = static_cast<std::uint16_t>(random());
      REQUIRE(owner_of(slot, slots) == owner_of(slot, now));
    }
  }
}

TEST_CASE("hash slots: a million keys are even, and one that leaves moves only its own") {
  const std::vector<AppId> ten = ids(10);
  HashSlots slots;
  slots.set(hashed(ten));
  constexpr int kKeys = 1000000;
  std::map<HashSlots::Position, int> share;
  std::vector<std::string> before(m3::kHashSlots);
  for (std::size_t slot = 0; slot < m3::kHashSlots; ++slot)
    before[slot] = owner_of(static_cast<std::uint16_t>(slot), slots);
  std::vector<int> keys_in(m3::kHashSlots);
  for (int i = 0; i < kKeys; ++i) {
    const std::uint16_t slot = m3::hash_slot(std::to_string(i));
    ++share[slots.owners()[slot]];
    ++keys_in[slot];
  }
  int most = 0;
  for (const auto& [position, count] : share) most = std::max(most, count);
  CHECK(share.size() == 10);
  CHECK(most * 10.0 / kKeys <= 1.1);

  std::vector<AppId> nine = ten;
  const std::string gone = nine[3].to_string();
  nine.erase(nine.begin() + 3);
  slots.set(hashed(nine));
  int moved = 0;
  bool others_stay = true;
  for (std::size_t slot = 0; slot < m3::kHashSlots; ++slot) {
    const std::string now = owner_of(static_cast<std::uint16_t>(slot), slots);
    if (now == before[slot]) continue;
    moved += keys_in[slot];
    others_stay = others_stay && before[slot] == gone;
  }
  CHECK(others_stay);
  CHECK(moved <= kKeys * 0.11);
}

TEST_CASE("hash slots: without ids no slot has an owner") {
  HashSlots slots;
  slots.set({});
  CHECK(owner_of(5, slots).empty());
  const std::vector<AppId> one = ids(1);
  slots.set(hashed(one));
  CHECK(owner_of(5, slots) == "dev.w.role.1");
  slots.set({});
  CHECK(owner_of(5, slots).empty());
}
