// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <vector>

#include "m3/async/bound.h"
#include "m3/async/core.h"
#include "m3/async/countdown.h"
#include "m3/obs/metric.h"

namespace m3::rpc_detail {

/// How long each call takes here: from the turn that read the call to the end of the turn in which
/// its handler ended, when the answer is sent. The clock is read once per turn in which calls end,
/// not once per call. Core-local.
class HandlerTimes {
 public:
  /// `alive` counts this while the core's queue knows it.
  HandlerTimes(Core& core, MetricRegistry& registry, Countdown& alive);
  HandlerTimes(const HandlerTimes&) = delete;
  HandlerTimes& operator=(const HandlerTimes&) = delete;

  /// `began`: Core::now() when the call was read.
  void ended(TimePoint began) {
    if (!ended_.empty() && ended_.back().began == began)
      ++ended_.back().count;
    else
      ended_.push_back({began, 1});
    if (armed_) return;
    armed_ = true;
    alive_.add();
    core_.at_turn_end(flush_);
  }

 private:
  void flush();

  Core& core_;
  Countdown& alive_;
  Histogram seconds_;
  /// Calls in a row that were read at the same time.
  struct Ended {
    TimePoint began;
    std::uint64_t count;
  };
  std::vector<Ended> ended_;
  bool armed_ = false;
  async_detail::Bound<async_detail::Runnable, &HandlerTimes::flush> flush_{*this};
};

}  // namespace m3::rpc_detail
