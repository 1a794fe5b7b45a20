// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/refresh.h"

#include <utility>

#include "apps/m3ctl/cluster/plan.h"
#include "apps/m3ctl/cluster/run_folder.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Result;
using m3::Status;

Status wrong(const m3::ErrorList& errors, const std::string& done) {
  return Status(Errc::invalid_argument, "nothing was " + done + "\n" + errors.to_status().text());
}

}  // namespace

Result<ClusterFile> refresh_configs(const RunningCluster& cluster,
                                    const std::vector<const RunningEntry*>& entries,
                                    const std::string& done) {
  m3::ErrorList errors;
  ClusterFile file = ClusterFile::load(cluster.file, errors);
  if (!errors.empty()) return wrong(errors, done);
  auto fresh = RunFolder::make(cluster.name);
  if (!fresh.is_ok()) return std::move(fresh).status();
  const ClusterPlan plan = make_plan_again(file, fresh->path(), cluster, errors);
  if (!errors.empty()) return wrong(errors, done);
  std::vector<std::pair<std::string, std::string>> texts;
  for (const RunningEntry* entry : entries) {
    const std::string name = "/" + entry->id + ".toml";
    auto text = read_whole(fresh->path() + name);
    if (!text.is_ok())
      return Status(Errc::failed_precondition,
                    entry->id + " is no longer in " + cluster.file + ": nothing was " + done);
    texts.emplace_back(cluster.folder + name, *std::move(text));
  }
  auto tool = read_whole(plan.tool_config);
  if (!tool.is_ok()) return std::move(tool).status();
  texts.emplace_back(cluster.config, *std::move(tool));
  for (const auto& [path, text] : texts)
    if (Status status = write_whole(path, text); !status) return status;
  return file;
}

}  // namespace m3ctl
