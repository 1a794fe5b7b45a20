// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "apps/m3ctl/cluster/entry_state.h"
#include "apps/m3ctl/cluster/plan.h"
#include "apps/m3ctl/cluster/running.h"

namespace m3ctl {

/// The contents of --ready-file and the state file; docs/guide/cluster.md lists the members.
std::string cluster_state_json(const ClusterPlan& plan, const std::vector<EntryState>& entries);

/// Parses such a text. data_loss: it is not valid.
m3::Result<RunningCluster> parse_cluster_state(const std::string& json);

/// The table of `m3ctl ps` from such a text. data_loss: it is not valid.
m3::Result<std::string> show_cluster_state(const std::string& json);

}  // namespace m3ctl
