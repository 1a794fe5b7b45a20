// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <cstdint>
#include <vector>

#include "spsc_queue.h"

namespace bench {

/// Where a message between cores stands. `chains` of them go back and forth between two threads.
struct Chain {
  std::uint64_t hops = 0;
};

/// One end of the limit for hops between cores: a ring to fall into, an eventfd to be woken by
/// when asleep in epoll_wait, and nothing else.
class BareCore {
 public:
  BareCore();
  ~BareCore();
  BareCore(const BareCore&) = delete;
  BareCore& operator=(const BareCore&) = delete;

  /// Called by the other core's thread only. The ring holds more than all chains.
  void push(Chain* chain) { ring_.push(chain); }
  /// Ends a batch of pushes: wakes this core if it sleeps.
  void wake();

  /// Takes chains and sends each back to `other`, until `stop`. Runs on the thread of this core.
  void run(BareCore& other, const std::atomic<bool>& stop);

 private:
  void sleep();

  SpscQueue<Chain*, 4096> ring_;
  alignas(64) std::atomic<bool> asleep_{false};
  int event_;
  int epoll_;
};

struct HopResult {
  double hops_per_second = 0;
  double round_trip_us = 0;   ///< of one chain
  double cpu_ns_per_hop = 0;  ///< both threads together
};

/// Two threads on the first two CPUs, `chains` messages between them, for `seconds`.
HopResult measure_bare_hops(int chains, double seconds);

/// Pins the calling thread to the index-th CPU it may use (modulo their number).
void pin_thread(int index);

}  // namespace bench
