// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/detail/handler_times.h"

#include <array>
#include <chrono>

namespace m3::rpc_detail {
namespace {

constexpr std::array kBounds{50e-6, 100e-6, 250e-6, 500e-6, 0.001, 0.0025, 0.005, 0.01, 0.025,
                             0.05,  0.1,    0.25,   0.5,    1.0,   2.5,    5.0,   10.0};

double seconds_between(TimePoint from, TimePoint to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

HandlerTimes::HandlerTimes(Core& core, MetricRegistry& registry, Countdown& alive)
    : core_(core),
      alive_(alive),
      seconds_(registry.histogram("m3_rpc_handler_seconds",
                                  "Time from reading a call to the end of its handler", {},
                                  kBounds)) {}

void HandlerTimes::flush() {
  armed_ = false;
  const TimePoint now = core_.read_clock();
  for (const Ended& some : ended_) seconds_.observe(seconds_between(some.began, now), some.count);
  ended_.clear();
  alive_.done();
}

}  // namespace m3::rpc_detail
