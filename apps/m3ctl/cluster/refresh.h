// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include "apps/m3ctl/cluster/cluster_file.h"
#include "apps/m3ctl/cluster/running.h"

namespace m3ctl {

/// Writes the configurations of these instances, and the one that m3ctl itself reads, as `m3ctl up`
/// would write them now, after the apps have checked them. If anything is wrong, nothing is
/// written. Returns the cluster file. `done`: the action in the error text, "reloaded".
m3::Result<ClusterFile> refresh_configs(const RunningCluster& cluster,
                                        const std::vector<const RunningEntry*>& entries,
                                        const std::string& done);

}  // namespace m3ctl
