// SPDX-License-Identifier: BSL-1.0
// One Status too many: which of them says how it ended?
// error: a Task can already fail with a Status: write Task<>
#include "m3/async/task.h"

m3::Task<m3::Status> f() { co_return m3::Status(); }
