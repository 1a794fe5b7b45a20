// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "m3/base/result.h"

namespace m3ctl {

/// A process of a running cluster.
struct RunningEntry {
  std::string id;             ///< "local.world1.simple.1", "redis"
  std::string address;        ///< host:port
  std::string admin;          ///< host:port; empty: a service
  std::string log;            ///< a file
  pid_t pid = 0;              ///< 0: not running now
  std::uint64_t started = 0;  ///< for ProcessHandle::open
  bool is_app = false;
  std::string state;      ///< "ready", as shown by m3ctl ps
  unsigned restarts = 0;  ///< how often it was restarted
};

/// How often it was started between two states. The first start, of an app that waits for the
/// services, is not one of its `restarts`.
unsigned starts_since(const RunningEntry& before, const RunningEntry& now);

/// A cluster that `m3ctl up` runs on this machine.
struct RunningCluster {
  std::string name;
  std::string file;                   ///< its cluster file
  std::string state;                  ///< its state file
  std::string folder;                 ///< of configurations, logs and data
  std::string config;                 ///< for --config: how its instances are found
  pid_t pid = 0;                      ///< of its m3ctl up
  std::uint64_t started = 0;          ///< for ProcessHandle::open
  std::vector<RunningEntry> entries;  ///< services, then instances

  /// The entries selected by `which`: an instance, a service id with all its instances, or redis
  /// and so on. not_found: none, with near names.
  m3::Result<std::vector<const RunningEntry*>> find(const std::string& which) const;
};

/// All clusters of this user, by their default state files, in the order of their names.
std::vector<RunningCluster> running_clusters();
/// By its name, its cluster file (.toml) or its state file (.json). not_found: it is not running.
m3::Result<RunningCluster> find_running(const std::string& which);
/// The only running one. not_found: none is running. failed_precondition: several are.
m3::Result<RunningCluster> only_running();

}  // namespace m3ctl
