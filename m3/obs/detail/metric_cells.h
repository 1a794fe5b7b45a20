// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace m3::obs_detail {

/// One number, written by one thread and read by the collector.
using Cell = std::atomic<std::uint64_t>;
inline constexpr std::uint32_t kCellsPerChunk = 2048;
inline constexpr std::uint32_t kMaxChunks = 128;

struct Chunk {
  std::array<Cell, kCellsPerChunk> cells{};
};

/// The cells of one thread. Made by that thread, read by the collector, kept (with its counts) for
/// the next thread when the thread ends.
class Shard {
 public:
  Shard() = default;
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  /// nullptr while this thread has not written into that chunk.
  Cell* find(std::uint32_t index) const noexcept {
    Chunk* chunk = chunks_[index / kCellsPerChunk].load(std::memory_order_acquire);
    return chunk ? &chunk->cells[index % kCellsPerChunk] : nullptr;
  }
  /// Owner thread only.
  Cell* get(std::uint32_t index) noexcept {
    if (Cell* cell = find(index)) return cell;
    return make(index);
  }

 private:
  Cell* make(std::uint32_t index) noexcept;
  std::array<std::atomic<Chunk*>, kMaxChunks> chunks_{};
};

/// The data that a registry shares with its writing threads.
class CellStore {
 public:
  CellStore();

  /// Unique among all stores of this process, so that a thread's cached number of a destroyed one
  /// never matches.
  std::uint64_t id() const noexcept { return id_; }
  /// `count` neighbouring cells, the same index in every shard; kNoCells when the store is full.
  static constexpr std::uint32_t kNoCells = 0xffffffff;
  std::uint32_t allocate(std::uint32_t count);
  Shard* attach();
  void detach(Shard* shard);
  /// Summed over threads.
  std::uint64_t sum(std::uint32_t index) const;
  double sum_double(std::uint32_t index) const;

 private:
  const std::uint64_t id_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<Shard*> free_;
  std::uint32_t next_ = 0;
};

/// The store this thread wrote to last: one core belongs to one app, so it nearly always is the one
/// asked for.
struct LastStore {
  std::uint64_t id = 0;
  Shard* shard = nullptr;
};
inline constinit thread_local LastStore last_store;

/// This thread's shard, attached on first use; leaves it in last_store.
Shard* find_shard(const std::shared_ptr<CellStore>& store) noexcept;

/// Some neighbouring cells, the same in every thread's shard.
class CellRef {
 public:
  CellRef() = default;
  CellRef(const std::shared_ptr<CellStore>& store, std::uint32_t index)
      : id_(store->id()), index_(index), store_(store) {}

  void add(std::uint64_t amount) noexcept { add_at(0, amount); }
  void set(std::uint64_t value) noexcept {
    if (Cell* cell = at(0)) cell->store(value, std::memory_order_relaxed);
  }
  void add_at(std::uint32_t offset, std::uint64_t amount) noexcept {
    if (Cell* cell = at(offset))
      cell->store(cell->load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void add_double_at(std::uint32_t offset, double amount) noexcept {
    if (Cell* cell = at(offset)) {
      double sum = std::bit_cast<double>(cell->load(std::memory_order_relaxed)) + amount;
      cell->store(std::bit_cast<std::uint64_t>(sum), std::memory_order_relaxed);
    }
  }

 private:
  Cell* at(std::uint32_t offset) noexcept {
    Shard* shard = last_store.id == id_ ? last_store.shard : find_shard(store_);
    return shard ? shard->get(index_ + offset) : nullptr;
  }

  std::uint64_t id_ = 0;  // 0: no store
  std::uint32_t index_ = 0;
  std::shared_ptr<CellStore> store_;  // so that a handle may outlive its registry
};

}  // namespace m3::obs_detail
