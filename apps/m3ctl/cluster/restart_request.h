// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <string>

#include "m3/base/status.h"

namespace m3ctl {

/// Tells the `m3ctl up` of that folder that the end of this process is intended: a file, which
/// names the pid. `up` then restarts the instance at once, and does not count a failure.
m3::Status ask_restart(const std::string& folder, const std::string& id, pid_t pid);

/// Whether the end of this process was intended. Removes the request, even one for another process.
bool take_restart_request(const std::string& folder, const std::string& id, pid_t pid);

}  // namespace m3ctl
