// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/duration.h"
#include "m3/plugin/steps.h"

namespace m3 {

/// Starts and stops an app by its steps (m3/plugin/steps.h). Owned by App; on one core.
class Lifecycle {
 public:
  struct StopLimits {
    Duration step;  ///< of each
    Duration all;   ///< for all together; after that the remaining steps run with a cancelled
                    ///< context
  };

  /// Steps of one stage keep the order in which they were added.
  void add(Steps::Step step);
  void add(std::vector<Steps::Step> steps);

  /// Ends with the first error, which names the step; stop() then undoes the steps that were begun.
  /// `step_limit` is the time limit of each step, including its retries.
  Task<> start(Ctx& ctx, Duration step_limit);
  /// Undoes every step that was begun, whatever happens; the errors are logged, and the first is
  /// returned. When `ctx` is cancelled, so is the running step, and the remaining steps run with a
  /// cancelled context: nothing waits.
  Task<> stop(Ctx& ctx, StopLimits limits);

  bool started() const noexcept { return next_ > 0; }
  /// The cancelled steps that did not finish. They are still running: everything they use must be
  /// kept until the process ends, including this object.
  const std::vector<std::string>& left_behind() const noexcept { return left_behind_; }

 private:
  struct Run;
  Task<> begin(Ctx& ctx, const Steps::Step& step, Duration limit);
  Task<> run(Ctx& ctx, const Steps::Body& body, const std::string& title, TimePoint until);

  std::vector<Steps::Step> steps_;
  std::size_t next_ = 0;  // steps_[0..next_) were begun
  std::vector<std::string> left_behind_;
};

}  // namespace m3
