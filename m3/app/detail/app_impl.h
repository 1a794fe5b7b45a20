// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "m3/admin/health_checks.h"
#include "m3/admin/health_probe.h"
#include "m3/app/app.h"
#include "m3/app/app_config.h"
#include "m3/app/detail/admin_port.h"
#include "m3/app/detail/announcement.h"
#include "m3/app/detail/calls.h"
#include "m3/app/detail/generation.h"
#include "m3/app/detail/reload_errors.h"
#include "m3/app/detail/service_list.h"
#include "m3/mesh/broadcasts.h"
#include "m3/mesh/mesh.h"
#include "m3/plugin/lifecycle.h"
#include "m3/plugin/part_index.h"
#include "m3/plugin/plugin_set.h"

namespace m3 {

/// A configuration file, decoded.
struct LoadedConfig {
  AppConfig app;
  ConfigType::Value section;  // [app]; null when the app has none
  std::vector<PluginChoice> plugins;
};

/// An app: the declarations of main(), the configuration, and the running parts. The program around
/// it (signals, exit code) is detail/program.h.
struct App::Impl {
  enum class Phase { idle, starting, ready, stopping, stopped };

  Impl(App& owner, std::string name) : app(owner), func(std::move(name)) {}

  // ---- configuration: load.cpp
  LoadedConfig decode(const Document& document, ErrorList& errors) const;
  LoadedConfig load(ErrorList& errors) const;
  /// The id in effect; empty, with an error, when there is none or it is another func's.
  AppId choose_id(const AppId& given, const LoadedConfig& loaded, ErrorList& errors) const;
  std::string print(const LoadedConfig& loaded) const;
  std::string reference() const;
  void take(const LoadedConfig& loaded);
  Task<> reload(Ctx& ctx);
  Task<> reload(Ctx& ctx, app_detail::ReloadErrors& failed);
  Task<> reload_plugins(Ctx& ctx, const std::vector<PluginChoice>& fresh,
                        app_detail::ReloadErrors& failed);

  // ---- life: life.cpp
  Status prepare();  ///< loads, then make_parts()
  /// Creates runtime, parts and services; nothing runs yet.
  Status make_parts();
  Status make_runtime();
  Status make_admin();
  Status make_plugins();
  Status make_node();
  Status make_services();
  Status make_calls();
  void make_generation();
  void make_announcement();
  void add_steps();
  void own_steps(Steps& steps);
  /// After an error everything has been undone, under `undo`.
  Task<> bring_up(Ctx& ctx, Ctx& undo);
  Task<> take_down(Ctx& ctx);
  void let_go();  ///< after take_down, from a thread that is not a core (or with foreign cores)
  /// Whether cancelled handlers or steps are still running.
  bool left_behind() const;

  Task<> name_cores(Ctx& ctx);
  Task<> check_health(Ctx& ctx);
  /// Whether this app should get calls, as checked by a registry.
  Task<> check_ready(Ctx& ctx);
  std::string state_name() const;
  Core& core() { return runtime->core(0); }

  App& app;
  const std::string func;

  // ---- what main() declared
  std::string version;
  std::vector<std::function<ServiceSlot(App&)>> service_makers;
  std::vector<std::function<Result<std::unique_ptr<Part>>(Env&, PartIndex&)>> part_makers;
  InterceptorLists interceptors;
  AdmissionList admissions;
  HealthChecks checks;
  std::vector<Hook> start_hooks, stop_hooks, reload_hooks;
  std::vector<std::pair<std::string, HttpHandler>> extra_pages;
  Registry registry;
  const ConfigType* section_type = nullptr;

  // ---- configuration
  Embedding embedding;
  AppConfig config;
  AppId id;
  mutable std::mutex section_mutex;
  ConfigType::Value section;
  std::vector<PluginChoice> choices;  // in effect

  // ---- parts, in the order in which they are made
  std::atomic<Phase> phase{Phase::idle};
  std::atomic<std::uint64_t> generation = 0;
  std::uint64_t run_id = 0;
  std::unique_ptr<Runtime> own_runtime;
  Runtime* runtime = nullptr;
  std::shared_ptr<MetricRegistry> metrics;
  PartIndex index;
  std::unique_ptr<HealthProbe> probe;
  std::unique_ptr<app_detail::AdminPort> admin;
  std::optional<Env> env;
  PluginSet plugins;
  std::unique_ptr<Mesh> mesh;
  std::unique_ptr<Broadcasts> broadcasts;
  std::unique_ptr<RpcNode> node;
  std::vector<std::unique_ptr<Part>> parts;
  std::unique_ptr<app_detail::ServiceList> services;
  std::vector<std::unique_ptr<Service>> built_in_services;
  std::unique_ptr<app_detail::Calls> calls;
  std::unique_ptr<app_detail::Generation> starts;
  std::unique_ptr<app_detail::Announcement> announcement;
  Lifecycle life;
};

}  // namespace m3
