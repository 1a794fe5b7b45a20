// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/detail/log_rate.h"

#include <functional>

namespace m3::obs_detail {
namespace {

std::atomic<std::uint64_t> all_held_back{0};

/// Finds the rate of a place without a lock. There are far fewer places in a program than slots; if
/// there are more, the last ones share a rate.
class RateTable {
 public:
  LogRate& of(const std::source_location& where) noexcept {
    const std::size_t key = key_of(where);
    for (std::size_t i = 0; i < kProbes; ++i) {
      Slot& slot = slots_[(key + i) % kSlots];
      std::size_t held = 0;
      if (slot.key.compare_exchange_strong(held, key, std::memory_order_relaxed) || held == key)
        return slot.rate;
    }
    return others_;
  }
  void reset() noexcept {
    for (Slot& slot : slots_) slot.rate.reset();
    others_.reset();
  }

 private:
  static constexpr std::size_t kSlots = 1021;
  static constexpr std::size_t kProbes = 16;
  struct Slot {
    std::atomic<std::size_t> key{0};  // 0: free
    LogRate rate;
  };
  static std::size_t key_of(const std::source_location& where) noexcept {
    const std::size_t file = std::hash<const void*>{}(where.file_name());
    const std::uint64_t place = std::uint64_t{where.line()} << 32 | where.column();
    return static_cast<std::size_t>((file ^ place) * 0x9e3779b97f4a7c15U) | 1;  // never 0
  }

  std::array<Slot, kSlots> slots_;
  LogRate others_;
};

RateTable& table() {
  static RateTable* instance = new RateTable;  // threads may log while the process ends
  return *instance;
}

}  // namespace

std::optional<std::uint64_t> LogRate::pass(Time now) noexcept {
  const Ticks at = now.time_since_epoch().count();
  if (at >= closed_until_.load(std::memory_order_relaxed)) {
    std::lock_guard lock(mutex_);
    if (at >= open_again_[oldest_]) {
      open_again_[oldest_] = at + Time::duration(kWindow).count();
      oldest_ = (oldest_ + 1) % kMost;
      closed_until_.store(open_again_[oldest_], std::memory_order_relaxed);
      return held_back_.exchange(0, std::memory_order_relaxed);
    }
  }
  held_back_.fetch_add(1, std::memory_order_relaxed);
  all_held_back.fetch_add(1, std::memory_order_relaxed);
  return std::nullopt;
}

void LogRate::reset() noexcept {
  std::lock_guard lock(mutex_);
  open_again_.fill(kLongAgo);
  closed_until_.store(kLongAgo, std::memory_order_relaxed);
  held_back_.store(0, std::memory_order_relaxed);
}

std::optional<std::uint64_t> pass_limit(const std::source_location& where) noexcept {
  return table().of(where).pass(std::chrono::steady_clock::now());
}
std::uint64_t held_back() noexcept { return all_held_back.load(std::memory_order_relaxed); }
void reset_limits() noexcept { table().reset(); }

}  // namespace m3::obs_detail
