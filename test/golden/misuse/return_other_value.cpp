// SPDX-License-Identifier: BSL-1.0
// A text is not an int.
// error: co_return needs a T, a Result<T>, or a Status
#include <string>

#include "m3/async/task.h"

m3::Task<int> f() { co_return std::string("seven"); }
