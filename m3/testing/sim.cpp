// SPDX-License-Identifier: BSL-1.0
#include "m3/testing/sim.h"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace m3::testing {
namespace {

std::uint64_t pick_seed(std::uint64_t given) {
  if (given) return given;
  if (const char* text = std::getenv("M3_TEST_SEED")) return std::strtoull(text, nullptr, 10);
  return 1;
}

RuntimeConfig sim_config(unsigned cores, std::uint64_t seed) {
  RuntimeConfig config;
  config.cores = cores;
  config.seed = seed;
  return config;
}

}  // namespace

SimRuntime::SimRuntime(unsigned cores, std::uint64_t seed)
    : seed_(pick_seed(seed)), runtime_(sim_config(cores, seed_), clock_) {}

SimRuntime::~SimRuntime() { settle(); }

bool SimRuntime::step_all() {
  bool worked = false;
  for (unsigned i = 0; i < runtime_.size(); ++i) worked |= runtime_.core(i).step();
  return worked;
}

TimePoint SimRuntime::next_event() {
  TimePoint next = TimePoint::max();
  for (unsigned i = 0; i < runtime_.size(); ++i)
    next = std::min(next, runtime_.core(i).next_event());
  return next;
}

void SimRuntime::settle() {
  while (step_all()) {
  }
}

void SimRuntime::run_for(Nanos duration) {
  const TimePoint end = clock_.now() + duration;
  run_until([] { return false; }, duration);
  clock_.set(end);
  settle();
}

bool SimRuntime::run_until(const std::function<bool()>& done, Nanos limit) {
  const TimePoint end = clock_.now() + limit;
  for (;;) {
    settle();
    if (done()) return true;
    const TimePoint next = next_event();
    if (next == TimePoint::max() || next > end) return false;
    clock_.set(std::max(next, clock_.now()));
  }
}

}  // namespace m3::testing
