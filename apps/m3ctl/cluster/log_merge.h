// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "apps/m3ctl/cluster/log_follower.h"

namespace m3ctl {

/// Passes the lines of all files in the order of their times; a line without one (a stack trace,
/// another program's log) follows the line before it. Control codes are shown as "?". Returns where
/// the last complete line of each file ends, for a LogFollower to continue there.
std::vector<std::size_t> merge_logs(const std::vector<std::string>& files,
                                    const LogFollower::Line& line);

}  // namespace m3ctl
