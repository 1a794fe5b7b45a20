// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/cluster_state.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "apps/m3ctl/cluster/process_handle.h"
#include "apps/m3ctl/print.h"

namespace m3ctl {
namespace {

using Json = nlohmann::ordered_json;

Json describe(const EntryState& entry) {
  Json out;
  out["id"] = entry.plan.name;
  out["state"] = entry.phase_name();
  out["pid"] = entry.process.pid();
  out["start_ticks"] = entry.process.started();
  out["address"] = entry.plan.address.to_string();
  if (entry.plan.admin) out["admin"] = entry.plan.admin->to_string();
  out["log"] = entry.plan.log;
  out["restarts"] = entry.restarts;
  out["started_unix_ms"] = entry.started_unix_ms;
  return out;
}

std::vector<std::string> row_of(const Json& entry, std::int64_t now_ms) {
  const auto pid = entry.at("pid").get<int>();
  const std::chrono::milliseconds up(now_ms - entry.at("started_unix_ms").get<std::int64_t>());
  const Json admin = entry.value("admin", Json(nullptr));
  return {entry.at("id").get<std::string>(),
          pid > 0 ? std::to_string(pid) : "-",
          entry.at("state").get<std::string>(),
          std::to_string(entry.at("restarts").get<unsigned>()),
          pid > 0 ? show_uptime(up) : "-",
          entry.at("address").get<std::string>(),
          admin.is_string() ? admin.get<std::string>() : "-",
          entry.at("log").get<std::string>()};
}

RunningEntry entry_of(const Json& member, bool is_app) {
  RunningEntry out;
  member.at("id").get_to(out.id);
  member.at("address").get_to(out.address);
  out.admin = member.value("admin", "");
  member.at("log").get_to(out.log);
  member.at("pid").get_to(out.pid);
  member.at("start_ticks").get_to(out.started);
  out.is_app = is_app;
  member.at("state").get_to(out.state);
  member.at("restarts").get_to(out.restarts);
  return out;
}

m3::Status no_state(const nlohmann::json::exception& error) {
  return m3::Status(m3::Errc::data_loss,
                    fmt::format("this is not the state of a cluster: {}", error.what()));
}

std::string show(const Json& state) {
  const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                                  std::chrono::system_clock::now().time_since_epoch())
                                  .count();
  std::vector<std::vector<std::string>> rows{
      {"INSTANCE", "PID", "STATE", "RESTARTS", "UPTIME", "ADDRESS", "ADMIN", "LOG"}};
  for (const Json& service : state.at("services")) rows.push_back(row_of(service, now_ms));
  for (const Json& instance : state.at("instances")) rows.push_back(row_of(instance, now_ms));
  return fmt::format("cluster {} of {} (pid {})\n{}", state.at("name").get<std::string>(),
                     state.at("file").get<std::string>(), state.at("pid").get<int>(), table(rows));
}

}  // namespace

std::string cluster_state_json(const ClusterPlan& plan, const std::vector<EntryState>& entries) {
  Json out;
  out["name"] = plan.name;
  out["file"] = plan.file;
  out["pid"] = getpid();
  out["start_ticks"] = start_ticks(getpid());
  out["folder"] = plan.folder;
  out["config"] = plan.tool_config;
  out["services"] = Json::object();
  out["instances"] = Json::array();
  for (const EntryState& entry : entries) {
    if (entry.plan.is_app())
      out["instances"].push_back(describe(entry));
    else
      out["services"][entry.plan.name] = describe(entry);
  }
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

m3::Result<RunningCluster> parse_cluster_state(const std::string& json) {
  try {
    const Json state = Json::parse(json);
    RunningCluster out;
    state.at("name").get_to(out.name);
    state.at("file").get_to(out.file);
    state.at("config").get_to(out.config);
    state.at("folder").get_to(out.folder);
    state.at("pid").get_to(out.pid);
    state.at("start_ticks").get_to(out.started);
    for (const Json& service : state.at("services"))
      out.entries.push_back(entry_of(service, false));
    for (const Json& app : state.at("instances")) out.entries.push_back(entry_of(app, true));
    return out;
  } catch (const nlohmann::json::exception& error) {
    return no_state(error);
  }
}

m3::Result<std::string> show_cluster_state(const std::string& json) {
  try {
    return show(Json::parse(json));
  } catch (const nlohmann::json::exception& error) {
    return no_state(error);
  }
}

}  // namespace m3ctl
