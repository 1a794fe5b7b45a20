// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <array>
#include <csignal>
#include <cstdio>

#include "apps/m3ctl/cluster/process_handle.h"
#include "apps/m3ctl/cluster/running.h"
#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/json.h"

namespace m3ctl {
namespace {

using m3::Status;

Status run(const Options& options) {
  auto cluster = options.words.empty() ? only_running() : find_running(options.words[0]);
  if (!cluster.is_ok()) return std::move(cluster).status();
  auto up = ProcessHandle::open(cluster->pid, cluster->started);
  if (!up.is_ok()) return std::move(up).status();
  if (Status asked = up->signal(SIGTERM); !asked)
    return std::move(asked).add_context("its m3ctl up (pid " + std::to_string(cluster->pid) + ")");
  up->wait();  // bounded: processes that do not exit within the file's stop_timeout are killed
  const std::string text =
      options.json ? fmt::format("{{\"ok\":true,\"cluster\":{}}}\n", json_string(cluster->name))
                   : fmt::format("cluster {} has stopped\n", cluster->name);
  std::fputs(text.c_str(), stdout);
  return m3::ok;
}

constexpr std::string_view kText = R"(
  m3ctl down                                       stops the only cluster that m3ctl up runs here, as Ctrl-C would
  m3ctl down configs/local/cluster.toml            this one; also by its name, or its state file
  m3ctl down --json                                {"ok":true,"cluster":…}

Returns when everything has stopped. Run it again to kill what is still running.
)";

constexpr auto kOptions = std::to_array<std::string_view>({"json"});

}  // namespace

const Command kDown{
    .name = "down",
    .usage = "down [CLUSTER]",
    .line = "stops a cluster that runs here",
    .help = kText,
    .options = kOptions,
    .most_words = 1,
    .run = &run,
};

}  // namespace m3ctl
