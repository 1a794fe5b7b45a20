// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>

#include "m3/base/status.h"

namespace m3 {

/// Runs `job` on a thread of its own that nobody joins: for the rare call that blocks for long and
/// cannot be stopped (getaddrinfo with a dead name server). Neither Runtime::stop() nor the end of
/// the process waits for it, so what `job` uses must be its own, and a core that it posts to must
/// be known to live. For what ends soon use run_blocking(). resource_exhausted: the system gives no
/// thread; `job` is dropped.
Status start_side_thread(std::function<void()> job);

}  // namespace m3
