// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <atomic>
#include <cstddef>

namespace bench {

/// The bare single-producer single-consumer ring that m3's way between cores is held against.
/// Each side keeps a copy of the other's index and looks at the shared one only when it must.
template <class T, std::size_t kCapacity>
class SpscQueue {
  static_assert((kCapacity & (kCapacity - 1)) == 0, "a power of two");

 public:
  /// The producer's side. False: full.
  bool push(T value) {
    const std::size_t at = written_.load(std::memory_order_relaxed);
    if (at - seen_read_ == kCapacity) {
      seen_read_ = read_.load(std::memory_order_acquire);
      if (at - seen_read_ == kCapacity) return false;
    }
    slots_[at & (kCapacity - 1)] = value;
    written_.store(at + 1, std::memory_order_release);
    return true;
  }

  /// The consumer's side: hands over all there is now, gives back how many that were.
  template <class Take>
  std::size_t drain(Take&& take) {
    const std::size_t begin = read_.load(std::memory_order_relaxed);
    const std::size_t end = written_.load(std::memory_order_acquire);
    for (std::size_t at = begin; at != end; ++at) take(slots_[at & (kCapacity - 1)]);
    if (end != begin) read_.store(end, std::memory_order_release);
    return end - begin;
  }

  /// The consumer's side.
  bool empty() const {
    return read_.load(std::memory_order_relaxed) == written_.load(std::memory_order_acquire);
  }

 private:
  alignas(64) std::atomic<std::size_t> written_{0};
  std::size_t seen_read_ = 0;
  alignas(64) std::atomic<std::size_t> read_{0};
  alignas(64) std::array<T, kCapacity> slots_{};
};

}  // namespace bench
