// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <utility>

#include "m3/testing/catch.h"

namespace m3::testing {

/// Counts the steps of a run; the `step`-th (from 1) fails, and by default only that one.
class FailAt {
 public:
  explicit FailAt(std::size_t step) : step_(step) {}
  /// True: this step fails.
  bool now() { return ++count_ == step_; }
  /// The failing step was reached.
  bool reached() const { return count_ >= step_; }
  std::size_t step() const { return step_; }
  std::size_t count() const { return count_; }

 private:
  std::size_t step_;
  std::size_t count_ = 0;
};

/// Runs `body(FailAt&)` with step 1 failing, then step 2, and so on, until a run ends without
/// reaching its failing step. Returns the number of steps, so that the test can check it; `most`
/// stops a run that never succeeds.
template <class Body>
std::size_t fail_at_each_step(Body body, std::size_t most = 10000) {
  for (std::size_t step = 1; step <= most; ++step) {
    FailAt fail(step);
    INFO("failing at step " << step);
    body(fail);
    if (!fail.reached()) return step - 1;
  }
  FAIL_CHECK("still failing at step " << most << ": the body never succeeds");
  return most;
}

}  // namespace m3::testing
