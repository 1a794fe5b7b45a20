// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/m3ctl/cluster/probe.h"
#include "m3/base/host_port.h"

namespace m3ctl {

/// A process that `up` starts and keeps running: a service, or an instance of an app.
struct ClusterEntry {
  std::string name;       ///< "consul", "local.world1.simple.1"
  std::size_t group = 0;  ///< 0: a service; else the number of its [[app]], from 1
  std::vector<std::string> argv;
  std::string log;
  m3::HostPort address;
  std::optional<m3::HostPort> admin;
  Question ready;  ///< its readiness check
  bool (*is_ready)(const Answer& answer) = nullptr;

  bool is_app() const { return group > 0; }
};

}  // namespace m3ctl
