// SPDX-License-Identifier: BSL-1.0
// A Task that was made with this call's Ctx would outlive it.
// error: spawn takes a function that returns the Task, not the Task
#include "m3/async/scope.h"

m3::Task<> work(m3::Ctx& ctx);

void f(m3::Scope& scope, m3::Ctx& ctx) { scope.spawn("work", work(ctx)); }
