// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "apps/m3ctl/cluster/log_follower.h"

namespace m3ctl {

/// Gives the lines of all files in the order of the times they begin with; a line without one (a
/// stack trace, another program's log) comes with the line before it. Control codes are shown as
/// "?". Returns where the last whole line of each ends, which is where a LogFollower goes on.
std::vector<std::size_t> merge_logs(const std::vector<std::string>& files,
                                    const LogFollower::Line& line);

}  // namespace m3ctl
