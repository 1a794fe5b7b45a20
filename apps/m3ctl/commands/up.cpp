// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>
#include <array>

#include <cstdio>
#include <filesystem>

#include "apps/m3ctl/cluster/cluster_file.h"
#include "apps/m3ctl/cluster/plan.h"
#include "apps/m3ctl/cluster/process.h"
#include "apps/m3ctl/cluster/run_folder.h"
#include "apps/m3ctl/cluster/supervisor.h"
#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/json.h"
#include "m3/base/app_id.h"
#include "m3/config/print.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Status;

Status wrong(std::string text) { return Status(Errc::invalid_argument, std::move(text)); }

void print_reference() {
  std::fputs(
      m3::config_reference<ClusterFile>(
          "", "`app[].x` is the key x of each `[[app]]`; there is no reload: stop and start.")
          .c_str(),
      stdout);
}

/// All errors of a file, one line each, below each other.
Status as_status(const m3::ErrorList& errors) {
  std::string text = errors.to_string();
  text.pop_back();
  return wrong((errors.size() == 1 ? "" : fmt::format("{} errors\n", errors.size())) + text);
}

std::string summary(const ClusterPlan& plan) {
  std::string services;
  std::size_t instances = 0;
  for (const ClusterEntry& entry : plan.entries) {
    if (entry.is_app())
      ++instances;
    else
      services += (services.empty() ? ", with " : ", ") + entry.name;
  }
  return fmt::format("{} instance{}{}", instances, instances == 1 ? "" : "s", services);
}

Status supervise(ClusterPlan plan, RunFolder& folder, const Options& options,
                 const std::string& state, const SignalWaiter& signals) {
  Screen screen(!options.logs);
  screen.say(fmt::format("cluster {}: {}; logs and configurations in {}", plan.name, summary(plan),
                         plan.folder));
  SupervisorOptions how;
  how.logs = options.logs;
  how.run_for = options.run_for;
  how.ready_file = options.ready_file;
  how.state_file = state;
  Supervisor supervisor(std::move(plan), std::move(how), screen);
  Status outcome = supervisor.run(signals);
  if (supervisor.had_trouble()) {
    folder.keep();
    screen.say("the logs are kept in " + folder.path());
  }
  return outcome;
}

std::string as_json(const ClusterFile& file, const ClusterPlan& plan) {
  std::string instances, services;
  for (const ClusterEntry& entry : plan.entries) {
    std::string& list = entry.is_app() ? instances : services;
    list += (list.empty() ? "" : ",") + json_string(entry.name);
  }
  return fmt::format(R"({{"ok":true,"file":{},"instances":[{}],"services":[{}]}})",
                     json_string(file.path), instances, services) +
         "\n";
}

/// `errors`: of the file; those of its apps are added.
Status check_file(const ClusterFile& file, const RunFolder& folder, bool json,
                  m3::ErrorList& errors) {
  const ClusterPlan plan = make_plan(file, folder.path(), false, errors);
  if (!errors.empty()) return as_status(errors);
  const std::string text =
      json ? as_json(file, plan) : fmt::format("{} is good: {}\n", file.path, summary(plan));
  std::fputs(text.c_str(), stdout);
  return m3::ok;
}

Status start_file(const ClusterFile& file, RunFolder& folder, const Options& options,
                  const SignalWaiter& signals) {
  const std::string state = options.state.empty() ? state_file(file.name) : options.state;
  auto lock = ClusterLock::take(state);
  if (!lock.is_ok()) return std::move(lock).status();
  std::error_code ignored;
  // A program that waits for the file must not see the one of the last run.
  if (!options.ready_file.empty()) std::filesystem::remove(options.ready_file, ignored);
  m3::ErrorList errors;
  ClusterPlan plan = make_plan(file, folder.path(), true, errors);
  if (!errors.empty()) return as_status(errors);
  Status outcome = supervise(std::move(plan), folder, options, state, signals);
  std::filesystem::remove(state, ignored);
  return outcome;
}

Status run_file(const std::string& path, const Options& options) {
  m3::ErrorList errors;
  const ClusterFile file = ClusterFile::load(path, errors);
  if (file.apps.empty()) return as_status(errors);
  const SignalWaiter signals;  // from here on, so that a Ctrl-C leaves no folder behind
  auto folder = RunFolder::make(m3::is_id_part(file.name) ? file.name : "check");
  if (!folder.is_ok()) return std::move(folder).status();
  if (options.check || !errors.empty()) return check_file(file, *folder, options.json, errors);
  return start_file(file, *folder, options, signals);
}

Status run(const Options& options) {
  if (options.reference) return print_reference(), m3::ok;
  if (options.json && !options.check)
    return wrong(
        "--json is for --check; what runs is in the file of --ready-file, and m3ctl ps --json "
        "prints it");
  if (options.words.empty())
    return wrong("which cluster? m3ctl up CLUSTER.toml, for example configs/local/cluster.toml");
  return run_file(options.words[0], options);
}

constexpr std::string_view kText = R"(
  m3ctl up configs/local/cluster.toml              starts the apps of the file and shows them; Ctrl-C stops all in order
  m3ctl up configs/local/cluster.toml --logs       their logs instead of the table
  m3ctl up configs/local/cluster.toml --check      reports what is wrong with the file and the apps' configurations
  m3ctl up configs/local/cluster.toml --check --json      {"ok":true,"file":…,"instances":[…],"services":[…]}
  m3ctl up --reference                             every key of the file

consul, redis-server and nats-server are started if an app needs them. Processes that exit are restarted with growing
delays. A second Ctrl-C kills what is still running; so does any exit of m3ctl itself.
)";

constexpr auto kOptions = std::to_array<std::string_view>(
    {"check", "json", "reference", "logs", "for", "ready-file", "state"});

}  // namespace

const Command kUp{
    .name = "up",
    .usage = "up CLUSTER.toml [--logs | --check]",
    .line = "runs the apps of a cluster on this machine",
    .help = kText,
    .options = kOptions,
    .most_words = 1,
    .run = &run,
};

}  // namespace m3ctl
