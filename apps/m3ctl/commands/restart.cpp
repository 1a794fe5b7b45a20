// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "apps/m3ctl/cluster/entry_state.h"
#include "apps/m3ctl/cluster/log_follower.h"
#include "apps/m3ctl/cluster/process_handle.h"
#include "apps/m3ctl/cluster/refresh.h"
#include "apps/m3ctl/cluster/restart_request.h"
#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/json.h"
#include "apps/m3ctl/print.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Result;
using m3::Status;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kReadyPatience = 60s;
constexpr auto kTellEvery = 5s;
constexpr auto kLookEvery = 20ms;
constexpr std::size_t kTailLines = 5;

/// One instance that is restarted; prints each step, unless programs want it as a whole.
struct Restarted {
  std::string id;
  bool silent = false;
  pid_t pid_before = 0;  // 0: it did not run
  pid_t pid = 0;         // 0: it is not ready
  bool killed = false;
  m3::Nanos stop_took{0}, start_took{0};

  void say(const std::string& text) const {
    if (silent) return;
    std::printf("%s: %s\n", id.c_str(), text.c_str());
    std::fflush(stdout);
  }
};

/// The current state of the instance in its m3ctl up.
Result<RunningEntry> look(const RunningCluster& cluster, const std::string& id) {
  auto now = find_running(cluster.state);
  if (!now.is_ok()) return std::move(now).status();
  auto found = now->find(id);
  if (!found.is_ok()) return std::move(found).status();
  return *found->front();
}

/// Until the process has ended; killed after `most`.
Status wait_end(const ProcessHandle& process, m3::Duration most, Restarted& out) {
  const auto began = Clock::now();
  const auto until = began + most;
  while (true) {
    const auto left = std::max(until - Clock::now(), Clock::duration::zero());
    if (process.wait(std::chrono::ceil<std::chrono::milliseconds>(
            std::min<Clock::duration>(left, kTellEvery)))) {
      out.stop_took = Clock::now() - began;
      out.say("exited after " + show_time(out.stop_took));
      return m3::ok;
    }
    if (Clock::now() >= until) break;
    out.say("has been finishing its calls for " + show_uptime(Clock::now() - began));
  }
  out.killed = true;
  out.say("has not exited within the stop_timeout of " + m3::format_duration(most) +
          "; killing it");
  if (Status status = process.signal(SIGKILL); !status && status.code() != Errc::not_found)
    return status;
  process.wait();
  out.stop_took = Clock::now() - began;
  return m3::ok;
}

/// It drains as on every stop: callers are told to use other instances, running calls are finished.
Status stop(const RunningCluster& cluster, const RunningEntry& entry, m3::Duration most,
            Restarted& out) {
  auto process = ProcessHandle::open(entry.pid, entry.started);
  if (process.status().code() == Errc::not_found) {
    out.say("is not running; m3ctl up is about to start it");
    return m3::ok;
  }
  if (!process.is_ok()) return std::move(process).status();
  if (Status asked = ask_restart(cluster.folder, entry.id, entry.pid); !asked) return asked;
  if (Status told = process->signal(SIGTERM); !told && told.code() != Errc::not_found) return told;
  out.pid_before = entry.pid;
  out.say(fmt::format("is stopping (pid {})", entry.pid));
  return wait_end(*process, most, out);
}

/// `before`: the instance while its last process ran, or while it had none.
Status wait_ready(const RunningCluster& cluster, const RunningEntry& before, std::size_t log_begin,
                  Restarted& out) {
  const auto began = Clock::now();
  while (Clock::now() - began < kReadyPatience) {
    auto now = look(cluster, before.id);
    if (!now.is_ok()) return std::move(now).status();
    const unsigned starts = starts_since(before, *now);
    if (starts > 1 || (starts == 1 && now->pid == 0))
      return Status(Errc::internal, before.id +
                                        " was started again and has exited; its log ends with\n" +
                                        log_tail(before.log, log_begin, kTailLines) +
                                        "  m3ctl up restarts it with growing delays");
    if (starts == 1 && now->state == "ready") {
      out.pid = now->pid;
      out.start_took = Clock::now() - began;
      out.say(fmt::format("is ready after {} (pid {})", show_time(out.start_took), now->pid));
      return m3::ok;
    }
    std::this_thread::sleep_for(kLookEvery);
  }
  return Status(Errc::deadline_exceeded,
                fmt::format("{} was started again and is not ready after {}: see m3ctl logs {}",
                            before.id, show_uptime(kReadyPatience), before.id));
}

Status restart(const RunningCluster& cluster, m3::Duration stop_timeout, Restarted& out) {
  auto entry = look(cluster, out.id);
  if (!entry.is_ok()) return std::move(entry).status();
  if (Status status = stop(cluster, *entry, stop_timeout, out); !status)
    return std::move(status).add_context(out.id);
  const std::size_t log_begin = log_size(entry->log);
  if (Status status = wait_ready(cluster, *entry, log_begin, out); !status) return status;
  return out.killed
             ? Status(Errc::internal, out.id + " is running again, but had to be killed first")
             : Status();
}

/// `out`: those that were begun.
Status restart_all(const Options& options, std::vector<Restarted>& out) {
  auto cluster = options.cluster.empty() ? only_running() : find_running(options.cluster);
  if (!cluster.is_ok()) return std::move(cluster).status();
  auto entries = cluster->find(options.words[0]);
  if (!entries.is_ok()) return std::move(entries).status();
  if (!entries->front()->is_app)
    return Status(Errc::invalid_argument,
                  options.words[0] + " is not an app but a service of the cluster; restart an app");
  auto file = refresh_configs(*cluster, *entries, "restarted");
  if (!file.is_ok()) return std::move(file).status();
  for (const RunningEntry* entry : *entries) {
    Restarted& one = out.emplace_back();
    one.id = entry->id;
    one.silent = options.json;
    if (Status status = restart(*cluster, file->stop_timeout, one); !status) return status;
  }
  return m3::ok;
}

std::string as_json(const std::vector<Restarted>& instances, const Status& outcome) {
  if (instances.empty() && !outcome) return error_line(outcome);
  const auto ms = [](m3::Nanos time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  };
  std::string out = fmt::format(R"({{"ok":{},"instances":[)", outcome.is_ok());
  for (std::size_t i = 0; i < instances.size(); ++i) {
    const Restarted& one = instances[i];
    out += fmt::format(
        R"({}{{"id":{},"pid_before":{},"pid":{},"killed":{},"stop_ms":{},"start_ms":{}}})",
        i ? "," : "", json_string(one.id), one.pid_before, one.pid, one.killed, ms(one.stop_took),
        ms(one.start_took));
  }
  out += "]";
  if (!outcome) out += R"(,"error":)" + error_json(outcome);
  return out + "}\n";
}

Status run(const Options& options) {
  std::vector<Restarted> instances;
  Status outcome = restart_all(options, instances);
  if (options.json) std::fputs(as_json(instances, outcome).c_str(), stdout);
  return outcome;
}

constexpr std::string_view kText = R"(
  m3ctl restart local.world1.multi.2               drains and stops one instance, then starts it again
  m3ctl restart local.world1.multi                 all instances of a service, one after the other
  m3ctl restart local.world1.multi --json          {"ok":…,"instances":[{"id":…,"pid_before":…,"pid":…,"killed":…,"stop_ms":…,"start_ms":…}]}

For a cluster that m3ctl up runs here. The configuration is read again first, as with m3ctl reload; if something is
wrong, nothing is restarted. An instance that has not exited after the file's stop_timeout is killed. The next one is
stopped only when the previous one is ready again; if one does not become ready, the command stops there.

The exit code is 6 when an instance had to be killed, has exited again, or is not ready after 60 s.
)";

constexpr auto kOptions = std::to_array<std::string_view>({"cluster", "json"});

}  // namespace

const Command kRestart{
    .name = "restart",
    .usage = "restart ID",
    .line = "restarts apps of a cluster that runs here",
    .help = kText,
    .options = kOptions,
    .least_words = 1,
    .most_words = 1,
    .tells_errors = true,
    .run = &run,
};

}  // namespace m3ctl
