// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace m3 {

/// Values addressed by a number that is never the number of a later value in the same place: index
/// in the low 32 bits, generation in the high ones. A number from a peer is safe to look up: a
/// stale or invented one finds nothing. 0 is never given out. Insert, find and take are O(1);
/// values do not move; memory is kept when values are removed, so a steady state allocates nothing.
/// Not thread-safe: one core owns it.
template <class T>
class SlotTable {
 public:
  using Id = std::uint64_t;

  SlotTable() = default;
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;
  ~SlotTable() { clear(); }

  template <class... Args>
  Id emplace(Args&&... args) {
    if (free_ == kNone) grow();
    std::uint32_t index = free_;
    Slot& slot = at(index);
    std::construct_at(slot.value(),
                      std::forward<Args>(args)...);  // may throw: nothing has changed yet
    free_ = slot.next_free;
    ++slot.generation;  // now odd: in use
    ++size_;
    return Id{slot.generation} << 32 | index;
  }
  Id insert(T value) { return emplace(std::move(value)); }

  /// nullptr when `id` is not in the table. The pointer is valid until that id is taken.
  T* find(Id id) noexcept {
    Slot* slot = slot_of(id);
    return slot ? slot->value() : nullptr;
  }
  const T* find(Id id) const noexcept { return const_cast<SlotTable*>(this)->find(id); }

  /// Removes and returns.
  std::optional<T> take(Id id) {
    Slot* slot = slot_of(id);
    if (!slot) return std::nullopt;
    std::optional<T> out(std::move(*slot->value()));
    release(*slot, static_cast<std::uint32_t>(id));
    return out;
  }
  bool erase(Id id) noexcept {
    Slot* slot = slot_of(id);
    if (!slot) return false;
    release(*slot, static_cast<std::uint32_t>(id));
    return true;
  }

  /// `visit(id, value)` for each; it may erase only the id that it gets.
  template <class Visit>
  void for_each(Visit&& visit) {
    std::uint32_t end = static_cast<std::uint32_t>(chunks_.size()) * kChunk;
    for (std::uint32_t index = 0, left = static_cast<std::uint32_t>(size_); index < end && left > 0;
         ++index) {
      Slot& slot = at(index);
      if ((slot.generation & 1) == 0) continue;
      --left;
      visit(Id{slot.generation} << 32 | index, *slot.value());
    }
  }
  void clear() noexcept {
    for_each([this](Id id, T&) { erase(id); });
  }
  void reserve(std::size_t count) {
    while (chunks_.size() * kChunk < count) grow();
  }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

 private:
  static constexpr std::uint32_t kChunk = 256;
  static constexpr std::uint32_t kNone = 0xffffffff;

  struct Slot {
    alignas(T) std::byte storage[sizeof(T)];
    std::uint32_t generation = 0;  // even: free, odd: in use
    std::uint32_t next_free = kNone;
    T* value() noexcept { return reinterpret_cast<T*>(storage); }
  };

  Slot& at(std::uint32_t index) noexcept { return chunks_[index / kChunk][index % kChunk]; }

  Slot* slot_of(Id id) noexcept {
    auto index = static_cast<std::uint32_t>(id);
    auto generation = static_cast<std::uint32_t>(id >> 32);
    if ((generation & 1) == 0 || index / kChunk >= chunks_.size()) return nullptr;
    Slot& slot = at(index);
    return slot.generation == generation ? &slot : nullptr;
  }

  void release(Slot& slot, std::uint32_t index) noexcept {
    ++slot.generation;  // before the destructor, which may look up its own id
    --size_;
    std::destroy_at(slot.value());
    slot.next_free = free_;
    free_ = index;
  }

  void grow() {
    auto first = static_cast<std::uint32_t>(chunks_.size()) * kChunk;
    assert(first < kNone - kChunk && "a slot table holds at most 2^32 values");
    chunks_.push_back(std::make_unique<Slot[]>(kChunk));
    for (std::uint32_t i = kChunk; i-- > 0;) {
      at(first + i).next_free = free_;
      free_ = first + i;
    }
  }

  std::vector<std::unique_ptr<Slot[]>> chunks_;
  std::uint32_t free_ = kNone;
  std::size_t size_ = 0;
};

}  // namespace m3
