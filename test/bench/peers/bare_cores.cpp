// SPDX-License-Identifier: BSL-1.0
#include "bare_cores.h"

#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "support/clock.h"

namespace bench {

BareCore::BareCore() : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), epoll_(epoll_create1(0)) {
  epoll_event watched{};
  watched.events = EPOLLIN | EPOLLET;  // so that the eventfd never has to be read
  epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &watched);
}

BareCore::~BareCore() {
  close(epoll_);
  close(event_);
}

void BareCore::wake() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (asleep_.load(std::memory_order_relaxed) && asleep_.exchange(false)) eventfd_write(event_, 1);
}

void BareCore::sleep() {
  asleep_.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (ring_.empty()) {
    epoll_event happened{};
    epoll_wait(epoll_, &happened, 1, 100);
  }
  asleep_.store(false, std::memory_order_relaxed);
}

void BareCore::run(BareCore& other, const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    const std::size_t taken = ring_.drain([&other](Chain* chain) {
      ++chain->hops;
      other.push(chain);
    });
    if (taken != 0)
      other.wake();
    else
      sleep();
  }
}

void pin_thread(int index) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  int left = index % CPU_COUNT(&allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || left-- != 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    return;
  }
}

HopResult measure_bare_hops(int chain_count, double seconds) {
  BareCore left;
  BareCore right;
  std::vector<Chain> chains(static_cast<std::size_t>(chain_count));
  for (auto& chain : chains) left.push(&chain);
  std::atomic<bool> stop{false};
  const std::uint64_t began = now_ns();
  const std::uint64_t cpu_before = own_cpu_ns();
  std::thread first([&] {
    pin_thread(0);
    left.run(right, stop);
  });
  std::thread second([&] {
    pin_thread(1);
    right.run(left, stop);
  });
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  first.join();
  second.join();
  const double elapsed_ns = static_cast<double>(now_ns() - began);
  const double cpu_ns = static_cast<double>(own_cpu_ns() - cpu_before);
  std::uint64_t hops = 0;
  for (const auto& chain : chains) hops += chain.hops;
  HopResult result;
  if (hops == 0) return result;
  const double count = static_cast<double>(hops);
  result.hops_per_second = count / elapsed_ns * 1e9;
  result.round_trip_us = elapsed_ns / count * 2 * chain_count / 1e3;
  result.cpu_ns_per_hop = cpu_ns / count;
  return result;
}

}  // namespace bench
