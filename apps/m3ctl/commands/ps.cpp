// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <cstdio>

#include "apps/m3ctl/cluster/cluster_state.h"
#include "apps/m3ctl/cluster/run_folder.h"
#include "apps/m3ctl/cluster/running.h"
#include "apps/m3ctl/commands/commands.h"

namespace m3ctl {
namespace {

using m3::Status;

Status show(const RunningCluster& cluster, bool json) {
  auto text = read_whole(cluster.state);
  if (!text.is_ok()) return std::move(text).status();
  auto shown = json ? std::move(text) : show_cluster_state(*text);
  if (!shown.is_ok()) return std::move(shown).status();
  std::fputs(shown->c_str(), stdout);
  return m3::ok;
}

Status run(const Options& options) {
  if (!options.words.empty()) {
    auto cluster = find_running(options.words[0]);
    return cluster.is_ok() ? show(*cluster, options.json) : std::move(cluster).status();
  }
  const std::vector<RunningCluster> running = running_clusters();
  if (running.empty())
    return Status(m3::Errc::not_found, "no cluster runs here: m3ctl up CLUSTER.toml starts one");
  for (const RunningCluster& cluster : running)
    if (Status status = show(cluster, options.json); !status) return status;
  return m3::ok;
}

constexpr std::string_view kText = R"(
  m3ctl ps                                         every cluster that m3ctl up runs here
  m3ctl ps configs/local/cluster.toml              one of them; also by its name, or its state file
  m3ctl ps --json | jq -r '.instances[].log'       for programs

The exit code is 3 when it is not running. m3ctl routes shows what the instances know about each other.
)";

constexpr auto kOptions = std::to_array<std::string_view>({"json"});

}  // namespace

const Command kPs{
    .name = "ps",
    .usage = "ps [CLUSTER]",
    .line = "shows the processes of clusters that run here",
    .help = kText,
    .options = kOptions,
    .most_words = 1,
    .run = &run,
};

}  // namespace m3ctl
