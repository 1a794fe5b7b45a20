// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/detail/metric_cells.h"

#include <algorithm>
#include <new>

namespace m3::obs_detail {
namespace {

std::atomic<std::uint64_t> next_store_id{1};

constinit thread_local bool thread_is_ending = false;

/// The shards of this thread, returned when it ends.
class ThreadShards {
 public:
  ~ThreadShards() {
    thread_is_ending = true;
    last_store = {};
    for (Entry& entry : entries_)
      if (auto store = entry.store.lock()) store->detach(entry.shard);
  }

  Shard* find(std::uint64_t id) const noexcept {
    for (const Entry& entry : entries_)
      if (entry.id == id) return entry.shard;
    return nullptr;
  }

  Shard* attach(const std::shared_ptr<CellStore>& store) {
    std::erase_if(entries_, [](const Entry& entry) { return entry.store.expired(); });
    entries_.reserve(entries_.size() + 1);
    entries_.push_back({store->id(), store->attach(), store});
    return entries_.back().shard;
  }

 private:
  struct Entry {
    std::uint64_t id;
    Shard* shard;
    std::weak_ptr<CellStore> store;
  };
  std::vector<Entry> entries_;
};

thread_local ThreadShards thread_shards;

}  // namespace

Shard::~Shard() {
  for (auto& chunk : chunks_) delete chunk.load(std::memory_order_relaxed);
}

Cell* Shard::make(std::uint32_t index) noexcept {
  auto* chunk = new (std::nothrow) Chunk;
  if (!chunk) return nullptr;
  chunks_[index / kCellsPerChunk].store(chunk, std::memory_order_release);
  return &chunk->cells[index % kCellsPerChunk];
}

CellStore::CellStore() : id_(next_store_id.fetch_add(1, std::memory_order_relaxed)) {}

std::uint32_t CellStore::allocate(std::uint32_t count) {
  std::lock_guard lock(mutex_);
  std::uint32_t left = kCellsPerChunk - next_ % kCellsPerChunk;
  if (count > left) next_ += left;  // neighbours stay in one chunk
  if (next_ + count > kCellsPerChunk * kMaxChunks) return kNoCells;
  std::uint32_t index = next_;
  next_ += count;
  return index;
}

Shard* CellStore::attach() {
  std::lock_guard lock(mutex_);
  if (!free_.empty()) {
    Shard* shard = free_.back();
    free_.pop_back();
    return shard;
  }
  free_.reserve(shards_.size() + 1);  // so that detach() cannot fail
  shards_.push_back(std::make_unique<Shard>());
  return shards_.back().get();
}

void CellStore::detach(Shard* shard) {
  std::lock_guard lock(mutex_);
  free_.push_back(shard);
}

std::uint64_t CellStore::sum(std::uint32_t index) const {
  std::lock_guard lock(mutex_);
  std::uint64_t total = 0;
  for (const auto& shard : shards_)
    if (const Cell* cell = shard->find(index)) total += cell->load(std::memory_order_relaxed);
  return total;
}

double CellStore::sum_double(std::uint32_t index) const {
  std::lock_guard lock(mutex_);
  double total = 0;
  for (const auto& shard : shards_)
    if (const Cell* cell = shard->find(index))
      total += std::bit_cast<double>(cell->load(std::memory_order_relaxed));
  return total;
}

Shard* find_shard(const std::shared_ptr<CellStore>& store) noexcept try {
  if (!store || thread_is_ending) return nullptr;
  Shard* shard = thread_shards.find(store->id());
  if (!shard) shard = thread_shards.attach(store);
  last_store = {store->id(), shard};
  return shard;
} catch (const std::exception&) {
  return nullptr;  // out of memory: this observation is lost
}

}  // namespace m3::obs_detail
