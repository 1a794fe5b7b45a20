// SPDX-License-Identifier: BSL-1.0
// What is awaited is used up, and its name would remain.
// error: a Task is awaited once: write as_result(f(ctx)), or as_result(std::move(task))
#include "m3/async/task.h"

m3::Task<> work();

m3::Task<> f() {
  m3::Task<> task = work();
  co_return (co_await m3::as_result(task)).status();
}
