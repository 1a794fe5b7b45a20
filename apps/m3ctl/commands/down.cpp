// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "apps/m3ctl/cluster/run_folder.h"
#include "apps/m3ctl/cluster/running.h"
#include "apps/m3ctl/commands/commands.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Status;

Status run(const Options& options) {
  auto cluster = options.words.empty() ? only_running() : find_running(options.words[0]);
  if (!cluster.is_ok()) return std::move(cluster).status();
  if (kill(cluster->pid, SIGTERM) != 0)
    return Status(Errc::permission_denied, "its m3ctl up (pid " + std::to_string(cluster->pid) +
                                               ") is another user's: ask them");
  // It ends: what does not leave within the file's stop_timeout is killed.
  while (ClusterLock::is_taken(cluster->state))
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::printf("cluster %s has stopped\n", cluster->name.c_str());
  return m3::ok;
}

constexpr std::string_view kText = R"(
  m3ctl down                                       ends the only cluster that m3ctl up runs here, as Ctrl-C would
  m3ctl down configs/local/cluster.toml            this one; also by its name, or its state file

Returns when everything has stopped. A second one, meanwhile, kills what still runs.
)";

}  // namespace

const Command kDown{
    .name = "down",
    .usage = "down [CLUSTER]",
    .line = "ends a cluster that runs here",
    .help = kText,
    .most_words = 1,
    .run = &run,
};

}  // namespace m3ctl
