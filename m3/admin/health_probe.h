// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>

#include "m3/async/scope.h"
#include "m3/async/task.h"
#include "m3/base/duration.h"

namespace m3 {

class Host;

/// Runs an app's health() hooks, never twice at once: callers that ask while they run share the
/// result. Core-local; owned by App.
class HealthProbe {
 public:
  using Ask = std::function<Task<>(Ctx&)>;

  /// `limit`: the time limit of `ask`; then it is cancelled, and the app counts as not healthy.
  HealthProbe(Core& core, Ask ask, Duration limit, Host* host);

  /// OK, or why the app should get no calls.
  Task<> check(Ctx& ctx);
  /// Cancels a running check and waits for it; check() fails from now on.
  Task<> stop(Ctx& ctx);

 private:
  struct Round;
  Task<> run(Ctx& ctx, std::shared_ptr<Round> round);

  const Ask ask_;
  const Duration limit_;
  std::shared_ptr<Round> round_;  // under way
  Scope scope_;                   // last
};

}  // namespace m3
