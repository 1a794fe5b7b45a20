// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "apps/m3ctl/cluster/cluster_entry.h"
#include "apps/m3ctl/cluster/cluster_file.h"
#include "apps/m3ctl/cluster/running.h"

namespace m3ctl {

/// Everything that is decided before the first process starts.
struct ClusterPlan {
  std::string name;
  std::string file;
  std::string folder;       ///< of configurations, logs and data
  std::string tool_config;  ///< a file for --config of m3ctl: how the instances are found
  m3::Duration stop_timeout;
  std::vector<ClusterEntry> entries;  ///< services, then instances in the file's order

  std::size_t groups() const { return entries.empty() ? 0 : entries.back().group + 1; }
};

/// Finds the programs and free ports, writes the instances' configurations into `folder`, and runs
/// each app with --check-config on its own file. `to_start`: the ports that the file names must be
/// free, too, or another program that listens there would be taken for the cluster's own. All
/// errors are added to `errors`.
ClusterPlan make_plan(const ClusterFile& file, const std::string& folder, bool to_start,
                      m3::ErrorList& errors);

/// The same for a cluster that runs, of its file and the apps' own as they are now: services and
/// instances stay where they are. Instances that do not run yet need a restart of the cluster.
ClusterPlan make_plan_again(const ClusterFile& file, const std::string& folder,
                            const RunningCluster& running, m3::ErrorList& errors);

}  // namespace m3ctl
