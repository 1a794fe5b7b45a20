// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <thread>

#include "apps/m3ctl/cluster/log_merge.h"
#include "apps/m3ctl/cluster/process_handle.h"
#include "apps/m3ctl/cluster/running.h"
#include "apps/m3ctl/cluster/screen.h"
#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/json.h"

namespace m3ctl {
namespace {

using m3::Result;
using m3::Status;
using Entries = std::vector<const RunningEntry*>;

constexpr std::chrono::milliseconds kLookEvery{100};

/// All entries, or the named ones; each once, in the order of the cluster.
Result<Entries> wanted(const RunningCluster& cluster, const std::vector<std::string>& names) {
  Entries out;
  for (const std::string& name : names) {
    auto found = cluster.find(name);
    if (!found.is_ok()) return found;
    out.insert(out.end(), found->begin(), found->end());
  }
  for (std::size_t i = 0; names.empty() && i < cluster.entries.size(); ++i)
    out.push_back(&cluster.entries[i]);
  std::sort(out.begin(), out.end());  // all entries are in one list
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

/// Until the cluster has ended, or the reader is gone.
void follow(const RunningCluster& cluster, LogFollower& logs, const LogFollower::Line& print) {
  for (bool runs = true; runs && std::ferror(stdout) == 0;) {
    std::fflush(stdout);
    std::this_thread::sleep_for(kLookEvery);
    runs = ProcessHandle::open(cluster.pid, cluster.started).is_ok();  // before the last look
    logs.read(print);
  }
}

void print_json(const std::string& id, const std::string& line) {
  const std::string text =
      fmt::format("{{\"id\":{},\"line\":{}}}\n", json_string(id), json_string(line));
  std::fwrite(text.data(), 1, text.size(), stdout);
}

Status run(const Options& options) {
  auto cluster = options.cluster.empty() ? only_running() : find_running(options.cluster);
  if (!cluster.is_ok()) return std::move(cluster).status();
  auto entries = wanted(*cluster, options.words);
  if (!entries.is_ok()) return std::move(entries).status();
  std::vector<std::string> files;
  std::size_t width = 0;
  for (const RunningEntry* entry : *entries) {
    files.push_back(entry->log);
    width = std::max(width, entry->id.size());
  }
  const bool colours = has_colours();
  const auto print = [&](std::size_t file, const std::string& line) {
    if (options.json) return print_json((*entries)[file]->id, line);
    const std::string id = fmt::format("{:<{}}", (*entries)[file]->id, width);
    const std::string text = (colours ? coloured(id, file) : id) + "  " + line + "\n";
    std::fwrite(text.data(), 1, text.size(), stdout);
  };
  // The follower then shows an incomplete line as a whole.
  const std::vector<std::size_t> ends = merge_logs(files, print);
  if (!options.follow) return m3::ok;
  LogFollower logs;
  for (std::size_t i = 0; i < files.size(); ++i) logs.add(files[i], ends[i]);
  follow(*cluster, logs, print);
  return m3::ok;
}

constexpr std::string_view kText = R"(
  m3ctl logs                                       all instances and services of the only cluster that runs here
  m3ctl logs local.world1.multi redis              all instances of a service, and the Redis that m3ctl up started
  m3ctl logs local.world1.multi.2 -f               and new lines, until Ctrl-C or the end of the cluster
  m3ctl logs --json                                {"id":…,"line":…} for each line

Sorted by time, each line after the id of its instance.
)";

constexpr auto kOptions = std::to_array<std::string_view>({"cluster", "follow", "json"});

}  // namespace

const Command kLogs{
    .name = "logs",
    .usage = "logs [ID...] [-f]",
    .line = "shows the logs of a cluster that runs here as one",
    .help = kText,
    .options = kOptions,
    .most_words = 1000,
    .run = &run,
};

}  // namespace m3ctl
