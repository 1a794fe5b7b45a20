// SPDX-License-Identifier: BSL-1.0
// The Task is the Result.
// error: a Task can already fail with a Status: write Task<T> instead of Task<Result<T>>
#include "m3/async/task.h"

m3::Task<m3::Result<int>> f() { co_return m3::Result<int>(7); }
