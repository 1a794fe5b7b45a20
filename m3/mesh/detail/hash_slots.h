// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "m3/base/app_id.h"
#include "m3/base/hash_slot.h"

namespace m3::mesh_detail {

/// The owner of each slot, updated as ids are added and removed: a new id costs 65,536 scores, a
/// removed one as many for its share of the slots. Not thread-safe.
class HashSlots {
 public:
  using Position = std::uint16_t;
  static constexpr Position kNobody = 0xffff;
  static constexpr std::size_t kMostIds = 0xffff;

  struct Id {
    const AppId* id = nullptr;
    std::uint64_t hash = 0;  ///< hash_of_id()
    static Id of(const AppId& id) noexcept { return {&id, hash_of_id(id.to_string())}; }
  };
  /// Changes it to these ids with the least work. Returns the position of each. More than kMostIds:
  /// the rest is left out, and has kNobody.
  std::vector<Position> set(const std::vector<Id>& ids);
  /// Positions, by slot.
  const std::vector<Position>& owners() const noexcept { return owners_; }
  /// The id at a position; empty when it has none.
  const AppId& id_at(Position position) const noexcept { return entries_[position].id; }
  std::size_t positions() const noexcept { return entries_.size(); }
  std::size_t size() const noexcept { return by_id_.size(); }

 private:
  struct Entry {
    AppId id;  // empty: free
    std::uint64_t hash = 0;
    bool wanted = false;  // while set() runs
  };
  void clear();
  Position place(const Id& id);
  void compete(const std::vector<Position>& positions);
  void remove(Position position);
  bool beats(Position position, std::uint64_t score, std::size_t slot) const noexcept;

  std::vector<Entry> entries_;
  std::vector<Position> free_;
  std::unordered_map<std::string, Position> by_id_;
  std::vector<Position> owners_;
  std::vector<std::uint64_t> best_;
};

}  // namespace m3::mesh_detail
