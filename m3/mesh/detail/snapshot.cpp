// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/snapshot.h"

#include <algorithm>
#include <bit>

namespace m3::mesh_detail {
namespace {

/// `draw` scaled to 0 … n-1, without a division (Lemire, 2019; the bias is below 2^-32).
std::size_t scaled(std::uint32_t draw, std::size_t n) noexcept {
  return static_cast<std::size_t>((std::uint64_t{draw} * n) >> 32);
}

}  // namespace

Snapshot::Snapshot(ServiceId service, const Membership::Entries& entries, unsigned max_sick_percent)
    : service_(std::move(service)) {
  std::size_t serving = 0;
  for (const auto& [id, entry] : entries) {
    if (entry.member.state != MemberState::serving || entry.silent) continue;
    ++serving;
    sick_ += !entry.member.healthy;
  }
  ignores_sick_ = sick_ * 100 > serving * max_sick_percent;
  bool same = true;
  std::uint32_t first_weight = 0;
  std::uint64_t total = 0;
  entries_.reserve(entries.size());
  eligible_.reserve(entries.size());
  id_hashes_.reserve(entries.size());
  weighty_.reserve(entries.size());
  weights_upto_.reserve(entries.size());
  for (const auto& [id, entry] : entries) {
    entries_.push_back({entry.instance, entry.id_hash, entry.member.state, entry.member.healthy});
    if (entry.member.state != MemberState::serving) continue;
    if (!entry.member.healthy && (entry.silent || !ignores_sick_)) continue;
    const Instance* instance = entry.instance.get();
    const std::uint32_t weight = entry.member.weight;
    if (eligible_.empty()) first_weight = weight;
    eligible_.push_back(instance);
    id_hashes_.push_back(entry.id_hash);
    same = same && weight == first_weight;
    if (weight == 0) continue;
    total += weight;
    weighty_.push_back(instance);
    weights_upto_.push_back(total);
  }
  if (same || total == 0) {
    weighty_.clear();
    weights_upto_.clear();
  }
  index();
}

/// At most half full, so that a look-up ends soon.
void Snapshot::index() {
  by_id_.assign(std::bit_ceil(entries_.size() * 2 + 1), 0);
  const std::size_t mask = by_id_.size() - 1;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    std::size_t at = entries_[i].id_hash & mask;
    while (by_id_[at] != 0) at = (at + 1) & mask;
    by_id_[at] = static_cast<std::uint32_t>(i + 1);
  }
}

const Instance* Snapshot::weighted(std::uint64_t draw) const {
  // 128 bits: the total may be over 2^32.
  const auto product =
      static_cast<unsigned __int128>(static_cast<std::uint32_t>(draw)) * weights_upto_.back();
  const auto at = static_cast<std::uint64_t>(product >> 32);
  const auto found = std::upper_bound(weights_upto_.begin(), weights_upto_.end(), at);
  return weighty_[static_cast<std::size_t>(found - weights_upto_.begin())];
}

/// By weight. Without weights two different ones: one that hangs may be drawn, but loses.
std::pair<const Instance*, const Instance*> Snapshot::two(std::uint64_t draw) const {
  if (!weights_upto_.empty()) return {weighted(draw), weighted(draw >> 32)};
  const std::size_t first = scaled(static_cast<std::uint32_t>(draw), eligible_.size());
  const std::size_t step = scaled(static_cast<std::uint32_t>(draw >> 32), eligible_.size() - 1) + 1;
  return {eligible_[first], eligible_[(first + step) % eligible_.size()]};
}

const Instance* Snapshot::random(const Choice& choice) const {
  if (eligible_.empty()) return nullptr;
  if (eligible_.size() == 1) return eligible_.front();
  Peers& peers = choice.peers;
  const std::uint64_t draw = peers.core().random()();
  const auto [a, b] = two(draw);
  if (const Instance* found = choice.better_of(*a, *b))
    return peers.connected(*found) ? found : connected_rather_than(*found, choice);
  // Neither: the first that can take it, from a random position on; if none can, the least bad.
  const std::vector<const Instance*>& all = weighty_.empty() ? eligible_ : weighty_;
  return choice.calmest_of(all, scaled(static_cast<std::uint32_t>(draw), all.size()));
}

/// Some call has to be the first. But if others have connections, a new instance that does not
/// respond delays no call.
const Instance* Snapshot::connected_rather_than(const Instance& fresh, const Choice& choice) const {
  constexpr int kMoreDraws = 4;
  for (int i = 0; i < kMoreDraws; ++i) {
    const auto [a, b] = two(choice.peers.core().random()());
    for (const Instance* other : {a, b}) {
      if (!choice.peers.connected(*other) || !choice.takes(*other)) continue;
      choice.peers.want(fresh);
      return other;
    }
  }
  return &fresh;
}

/// The next in rank among those of the highest grade. Without a choice: of all.
const Instance* Snapshot::best_for(std::uint16_t slot, const Choice* choice) const {
  const Instance* best = nullptr;
  unsigned best_grade = 0;
  std::uint64_t best_score = 0;
  for (std::size_t i = 0; i < eligible_.size(); ++i) {
    const Instance& instance = *eligible_[i];
    const unsigned grade = choice ? choice->grade(instance) : 0;
    if (best && grade < best_grade) continue;
    const std::uint64_t score = slot_score(id_hashes_[i], slot);
    if (best && grade == best_grade &&
        (score < best_score || (score == best_score && best->id < instance.id)))
      continue;
    best = &instance;
    best_grade = grade;
    best_score = score;
  }
  return best;
}

const Instance* Snapshot::owner(std::string_view key) const {
  const std::uint16_t slot = hash_slot(key);
  if (!hash_) return best_for(slot, nullptr);
  const HashSlots::Position position = hash_->owners[slot];
  return position == HashSlots::kNobody ? nullptr : hash_->by_position[position];
}

const Instance* Snapshot::hash(std::string_view key, const Choice& choice) const {
  const Instance* first = owner(key);
  if (!first || choice.takes(*first)) return first;
  return best_for(hash_slot(key), &choice);
}

const Instance* Snapshot::single(const Choice& choice) const { return choice.first_of(eligible_); }

const Snapshot::Entry* Snapshot::entry(std::string_view id) const {
  const std::uint64_t hash = hash_of_id(id);
  const std::size_t mask = by_id_.size() - 1;
  for (std::size_t at = hash & mask; by_id_[at] != 0; at = (at + 1) & mask) {
    const Entry& entry = entries_[by_id_[at] - 1];
    if (entry.id_hash == hash && entry.instance->id.to_string() == id) return &entry;
  }
  return nullptr;
}

}  // namespace m3::mesh_detail
