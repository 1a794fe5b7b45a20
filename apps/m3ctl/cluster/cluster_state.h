// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "apps/m3ctl/cluster/entry_state.h"
#include "apps/m3ctl/cluster/plan.h"
#include "apps/m3ctl/cluster/running.h"

namespace m3ctl {

/// What --ready-file and the state file hold; docs/guide/cluster.md lists its members.
std::string cluster_state_json(const ClusterPlan& plan, const std::vector<EntryState>& entries);

/// Who runs, out of such a text. data_loss: it is none.
m3::Result<RunningCluster> parse_cluster_state(const std::string& json);

/// The table of `m3ctl ps` out of such a text. data_loss: it is none.
m3::Result<std::string> show_cluster_state(const std::string& json);

}  // namespace m3ctl
