// SPDX-License-Identifier: BSL-1.0
// The body must be able to take the context that the work gets.
// error: spawn takes a body that is called with a Ctx& and returns a Task<>
#include "m3/async/scope.h"

void f(m3::Scope& scope, m3::Ctx& ctx) {
  scope.spawn("work", [&ctx]() -> m3::Task<> { co_return ctx.status(); });
}
