// SPDX-License-Identifier: BSL-1.0
// Messages between two cores of a Runtime, beside the bare ring and eventfd, taking turns in one
// run.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "m3/async/runtime.h"
#include "m3/async/timer.h"
#include "peers/bare_cores.h"
#include "support/clock.h"
#include "support/json_line.h"

namespace bench {
namespace {

/// Bounces between the cores for ever; lives until the Runtime has stopped.
struct Bouncer final : m3::async_detail::Runnable {
  Bouncer(m3::Runtime& owner, const std::atomic<bool>& end)
      : Runnable(&Bouncer::bounce), runtime(owner), stop(end) {}
  static void bounce(Runnable& work) {
    auto& self = static_cast<Bouncer&>(work);
    if (self.stop.load(std::memory_order_relaxed)) return;
    self.hops.store(self.hops.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    self.at ^= 1u;
    self.runtime.core(self.at).post(self);
  }
  m3::Runtime& runtime;
  const std::atomic<bool>& stop;
  std::atomic<std::uint64_t> hops{0};
  unsigned at = 0;
};

std::uint64_t total(const std::vector<std::unique_ptr<Bouncer>>& all) {
  std::uint64_t sum = 0;
  for (const auto& one : all) sum += one->hops.load(std::memory_order_relaxed);
  return sum;
}

HopResult measure_m3_hops(int chains, double seconds) {
  std::atomic<bool> stop{false};
  std::vector<std::unique_ptr<Bouncer>> bouncers;
  m3::RuntimeConfig two;
  two.cores = 2;
  two.pin = true;
  m3::Runtime runtime(two);
  for (int i = 0; i < chains; ++i) bouncers.push_back(std::make_unique<Bouncer>(runtime, stop));
  for (auto& one : bouncers) runtime.core(0).post(*one);
  runtime.start();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::uint64_t before = total(bouncers);
  const std::uint64_t cpu_before = own_cpu_ns();
  const std::uint64_t began = now_ns();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const auto hops = static_cast<double>(total(bouncers) - before);
  const double elapsed = static_cast<double>(now_ns() - began) * 1e-9;
  const double cpu = static_cast<double>(own_cpu_ns() - cpu_before);
  stop = true;
  runtime.stop();
  HopResult result;
  result.hops_per_second = hops / elapsed;
  result.round_trip_us = hops > 0 ? elapsed / hops * 2e6 * chains : 0;
  result.cpu_ns_per_hop = hops > 0 ? cpu / hops : 0;
  return result;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const double asked = argc == 3 ? std::atof(argv[2]) : 0.3;  // --seconds S, of each measurement
  const double seconds = asked > 0 && asked < 10 ? asked : 0.3;
  bench::JsonLine line;
  line.text("peer", "m3_cores");
  for (const int chains : {1, 1024}) {
    std::vector<double> trip_ratio, hop, cpu;
    for (int round = 0; round < 5; ++round) {
      const auto bare = bench::measure_bare_hops(chains, seconds);
      const auto m3 = bench::measure_m3_hops(chains, seconds);
      trip_ratio.push_back(m3.round_trip_us / bare.round_trip_us);
      hop.push_back(1e9 / m3.hops_per_second);
      cpu.push_back(m3.cpu_ns_per_hop);
    }
    const auto in_flight = "_" + std::to_string(chains);
    line.number("trip_ratio" + in_flight, bench::median(trip_ratio));
    line.number("hop_ns" + in_flight, bench::median(hop));
    line.number("hop_cpu_ns" + in_flight, bench::median(cpu));
  }
  line.print();
}
