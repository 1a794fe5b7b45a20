// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "apps/m3ctl/cluster/log_follower.h"
#include "apps/m3ctl/cluster/process_handle.h"
#include "apps/m3ctl/cluster/refresh.h"
#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/json.h"
#include "apps/m3ctl/print.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Status;
using namespace std::chrono_literals;
using Entries = std::vector<const RunningEntry*>;

constexpr auto kPatience = 2s;  // for the apps' log lines about it
constexpr auto kLookEvery = 20ms;

Status signal_all(const Entries& entries) {
  for (const RunningEntry* entry : entries) {
    auto process = ProcessHandle::open(entry->pid, entry->started);
    Status status = process.is_ok() ? process->signal(SIGHUP) : std::move(process).status();
    if (!status) return std::move(status).add_context(entry->id);
  }
  return m3::ok;
}

/// The reload of one instance, as its log shows it.
struct Reloaded {
  std::string id;
  const char* outcome = "unknown";  // or "reloaded", "failed"
  std::vector<std::string> lines;
};

/// Prints the apps' log lines about their reload; with `json`, only collects them in `out`.
Status report(const Entries& entries, LogFollower& logs, bool json, std::vector<Reloaded>& out) {
  std::vector<bool> done(entries.size());
  std::string failed;
  for (const RunningEntry* entry : entries) out.emplace_back().id = entry->id;
  const auto until = std::chrono::steady_clock::now() + kPatience;
  const auto look = [&](std::size_t i, const std::string& line) {
    const std::size_t word = line.find(" reload");
    if (word == std::string::npos || done[i]) return;
    const bool error = line.find(" ERROR ") != std::string::npos;
    if (json)
      out[i].lines.push_back(line.substr(word + 1));
    else
      std::printf("%s: %s\n", entries[i]->id.c_str(), line.c_str() + word + 1);
    if (error) failed += (failed.empty() ? "" : ", ") + entries[i]->id;
    done[i] = error || line.find(" reloaded", word) != std::string::npos;
    if (done[i]) out[i].outcome = error ? "failed" : "reloaded";
  };
  while (std::find(done.begin(), done.end(), false) != done.end() &&
         std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kLookEvery);
    logs.read(look);
  }
  for (std::size_t i = 0; i < done.size(); ++i)
    if (!done[i] && !json)
      std::printf("%s: was asked to reload; its log does not show the result\n",
                  entries[i]->id.c_str());
  return failed.empty() ? Status() : Status(Errc::failed_precondition, "not reloaded: " + failed);
}

Status reload(const Options& options, std::vector<Reloaded>& out) {
  auto cluster = options.cluster.empty() ? only_running() : find_running(options.cluster);
  if (!cluster.is_ok()) return std::move(cluster).status();
  auto entries = cluster->find(options.words[0]);
  if (!entries.is_ok()) return std::move(entries).status();
  if (!entries->front()->is_app)
    return Status(Errc::invalid_argument,
                  options.words[0] + " is not an app but a service of the cluster; reload an app");
  if (auto file = refresh_configs(*cluster, *entries, "reloaded"); !file.is_ok())
    return std::move(file).status();
  LogFollower logs;
  for (const RunningEntry* entry : *entries) logs.add(entry->log, log_size(entry->log));
  if (Status status = signal_all(*entries); !status) return status;
  return report(*entries, logs, options.json, out);
}

std::string as_json(const std::vector<Reloaded>& instances, const Status& outcome) {
  if (instances.empty() && !outcome) return error_line(outcome);
  // Nothing is claimed of an instance whose log does not show the result.
  const bool all_reloaded =
      outcome.is_ok() && std::all_of(instances.begin(), instances.end(),
                                     [](const Reloaded& one) { return one.outcome == "reloaded"; });
  std::string out = fmt::format(R"({{"ok":{},"instances":[)", all_reloaded);
  for (std::size_t i = 0; i < instances.size(); ++i) {
    const Reloaded& one = instances[i];
    out += fmt::format(R"({}{{"id":{},"outcome":"{}","log":[)", i ? "," : "", json_string(one.id),
                       one.outcome);
    for (std::size_t line = 0; line < one.lines.size(); ++line)
      out += (line ? "," : "") + json_string(one.lines[line]);
    out += "]}";
  }
  out += "]";
  if (!outcome) out += R"(,"error":)" + error_json(outcome);
  return out + "}\n";
}

Status run(const Options& options) {
  std::vector<Reloaded> instances;
  Status outcome = reload(options, instances);
  if (options.json) std::fputs(as_json(instances, outcome).c_str(), stdout);
  return outcome;
}

constexpr std::string_view kText = R"(
  m3ctl reload local.world1.multi                  all instances of a service reload their configuration
  m3ctl reload local.world1.multi.2                one instance
  m3ctl reload local.world1.multi --json           {"ok":…,"instances":[{"id":…,"outcome":"reloaded","log":[…]}]}

For a cluster that m3ctl up runs here: the files that its cluster file names are read again, checked, and put where the
instances and m3ctl read them; when something is wrong, nothing changes. Keys that need a restart are reported and stay
as they were: m3ctl restart applies them.
)";

constexpr auto kOptions = std::to_array<std::string_view>({"cluster", "json"});

}  // namespace

const Command kReload{
    .name = "reload",
    .usage = "reload ID",
    .line = "reloads the configuration of apps in a cluster that runs here",
    .help = kText,
    .options = kOptions,
    .least_words = 1,
    .most_words = 1,
    .tells_errors = true,
    .run = &run,
};

}  // namespace m3ctl
