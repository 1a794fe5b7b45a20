// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>

#include "m3/base/status.h"

namespace m3 {

/// Runs `job` on its own detached thread: for the rare call that blocks for long and cannot be
/// stopped (getaddrinfo with a dead name server). Neither Runtime::stop() nor the end of the
/// process waits for it, so `job` must own everything it uses, and a core that it posts to must be
/// known to exist. For short calls use run_blocking(). resource_exhausted: the system cannot create
/// a thread; `job` is dropped.
Status start_side_thread(std::function<void()> job);

}  // namespace m3
