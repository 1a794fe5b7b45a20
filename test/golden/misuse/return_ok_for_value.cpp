// SPDX-License-Identifier: BSL-1.0
// There is no int to give.
// error: co_return m3::ok ends a Task<>: this Task<T> needs a T
#include "m3/async/task.h"

m3::Task<int> f() { co_return m3::ok; }
