// SPDX-License-Identifier: BSL-1.0
// A Task<> has nothing to give.
// error: a Task<> has no value: end it with co_return m3::ok
#include "m3/async/task.h"

m3::Task<> f() { co_return 7; }
