// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace m3::mesh_detail {

/// A bounded map by name: the least recently used entry is dropped first. Entries keep their
/// addresses until they are dropped.
template <class T>
class RecentMap {
 public:
  struct Entry {
    const std::string name;
    T value{};
  };

  explicit RecentMap(std::size_t most) : most_(most) {}
  RecentMap(const RecentMap&) = delete;
  RecentMap& operator=(const RecentMap&) = delete;

  /// Null: there is none.
  Entry* find(std::string_view name) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return &*found->second;
  }
  /// Only after find() returned null. `leaving(entry)` is called for the entry that is dropped to
  /// make room.
  template <class Leaving>
  Entry& insert(std::string_view name, Leaving leaving) {
    if (order_.size() >= most_) {
      leaving(order_.back());
      by_name_.erase(order_.back().name);
      order_.pop_back();
    }
    Entry& made = order_.emplace_front(std::string(name));
    by_name_.emplace(made.name, order_.begin());
    return made;
  }
  /// The entry that would be dropped; null: there is room.
  const Entry* leaving() const noexcept {
    return order_.size() >= most_ ? &order_.back() : nullptr;
  }
  std::size_t size() const noexcept { return order_.size(); }

 private:
  const std::size_t most_;
  std::list<Entry> order_;  // the most recently used one is first
  std::unordered_map<std::string_view, typename std::list<Entry>::iterator> by_name_;
};

}  // namespace m3::mesh_detail
