// SPDX-License-Identifier: BSL-1.0
// What is awaited is used up, and its name would remain.
// error: a Task is awaited once: write co_await f(ctx), or co_await std::move(task)
#include "m3/async/task.h"

m3::Task<> work();

m3::Task<> f() {
  m3::Task<> task = work();
  co_await task;
  co_return m3::ok;
}
