// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"

namespace m3 {

/// The checks that decide whether this app should get calls: its health() hooks, and those that its
/// plugins add in their constructors (`env.part<HealthChecks>()->add(…)`). Filled while the app is
/// created; run on core 0, by its HealthProbe.
class HealthChecks {
 public:
  /// An error means that the app should get no calls, with the reason.
  using Check = std::function<Task<>(Ctx&)>;

  /// `name` is put before the reason, unless it is empty.
  void add(std::string name, Check check) {
    checks_.push_back({std::move(name), std::move(check)});
  }
  /// Runs them in the order in which they were added, until the first error.
  Task<> ask(Ctx& ctx) const {
    for (const Named& one : checks_) {
      Status status = (co_await as_result(one.check(ctx))).status();
      if (!status.is_ok() && !one.name.empty()) status = std::move(status).add_context(one.name);
      if (!status.is_ok()) co_return status;
    }
    co_return ok;
  }

 private:
  struct Named {
    std::string name;
    Check check;
  };
  std::vector<Named> checks_;
};

}  // namespace m3
