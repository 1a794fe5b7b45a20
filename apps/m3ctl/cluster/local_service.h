// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "apps/m3ctl/cluster/cluster_entry.h"
#include "apps/m3ctl/cluster/cluster_file.h"
#include "apps/m3ctl/cluster/ports.h"

namespace m3ctl {

/// The program of a service; empty when it is not installed.
std::string find_service(Service service);
/// Tells the user how to install it.
std::string how_to_get(Service service);

/// How to run `service`, which find_service() finds, on free ports. Its data is below `folder`, or
/// below kept_data_folder() if it is kept; the log is in `folder`.
m3::Result<ClusterEntry> plan_service(Service service, const ClusterFile& file,
                                      const std::string& folder, PortFinder& ports);

}  // namespace m3ctl
