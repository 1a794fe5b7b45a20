// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/running.h"

#include <algorithm>
#include <filesystem>

#include "apps/m3ctl/cluster/cluster_file.h"
#include "apps/m3ctl/cluster/cluster_state.h"
#include "apps/m3ctl/cluster/process_handle.h"
#include "apps/m3ctl/cluster/run_folder.h"
#include "m3/base/near_names.h"

namespace m3ctl {
namespace {

namespace fs = std::filesystem;
using m3::Errc;
using m3::Result;
using m3::Status;

Result<std::string> state_of(const std::string& which) {
  if (which.ends_with(".json")) return which;
  if (!which.ends_with(".toml")) return state_file(which);
  m3::ErrorList errors;
  const ClusterFile file = ClusterFile::load(which, errors);
  if (!errors.empty()) return errors.to_status();
  return state_file(file.name);
}

Result<RunningCluster> read(const std::string& state) {
  if (!ClusterLock::is_taken(state))
    return Status(Errc::not_found, "this cluster is not running (no process holds " + state +
                                       "): m3ctl up CLUSTER.toml starts it");
  auto text = read_whole(state);
  if (!text.is_ok())
    return Status(Errc::not_found, "this cluster is still starting: " + text.status().text());
  auto out = parse_cluster_state(*text);
  if (!out.is_ok()) return out;
  // A state file may be of a run that was killed, while the next one has only the lock.
  if (auto up = ProcessHandle::open(out->pid, out->started); !up.is_ok())
    return std::move(up).status().add_context("this cluster is still starting: " + state +
                                              " is from its previous run");
  out->state = state;
  return out;
}

}  // namespace

Result<std::vector<const RunningEntry*>> RunningCluster::find(const std::string& which) const {
  std::vector<const RunningEntry*> out;
  std::vector<std::string_view> ids;
  for (const RunningEntry& entry : entries) {
    ids.push_back(entry.id);
    const bool of_service = entry.is_app && entry.id.substr(0, entry.id.rfind('.')) == which;
    if (entry.id == which || of_service) out.push_back(&entry);
  }
  if (!out.empty()) return out;
  const std::string hint = m3::did_you_mean(which, ids);
  return Status(Errc::not_found, "cluster " + name + " has no \"" + which + "\"" +
                                     (hint.empty() ? ": m3ctl ps lists all" : ", " + hint));
}

unsigned starts_since(const RunningEntry& before, const RunningEntry& now) {
  const auto waits = [](const RunningEntry& entry) { return entry.state == "waiting"; };
  const bool first = waits(before) && !waits(now);
  return now.restarts - before.restarts + (first ? 1 : 0);
}

std::vector<RunningCluster> running_clusters() {
  std::vector<RunningCluster> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(cache_folder() + "/run", error)) {
    if (entry.path().extension() != ".json") continue;
    if (auto cluster = read(entry.path()); cluster.is_ok()) out.push_back(*std::move(cluster));
  }
  std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return out;
}

Result<RunningCluster> find_running(const std::string& which) {
  auto state = state_of(which);
  if (!state.is_ok()) return std::move(state).status();
  return read(*state);
}

Result<RunningCluster> only_running() {
  std::vector<RunningCluster> all = running_clusters();
  if (all.size() == 1) return std::move(all.front());
  if (all.empty())
    return Status(Errc::not_found, "no cluster runs here: m3ctl up CLUSTER.toml starts one");
  std::string names;
  for (const RunningCluster& one : all) names += (names.empty() ? "" : ", ") + one.name;
  return Status(Errc::failed_precondition,
                "several clusters run here (" + names + "): say which one");
}

}  // namespace m3ctl
