// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "m3/admin/admin_pages.h"
#include "m3/admin/health_probe.h"
#include "m3/app/app.h"
#include "m3/app/app_config.h"
#include "m3/app/command_line.h"
#include "m3/app/lifecycle.h"
#include "m3/async/channel.h"
#include "m3/async/scope.h"
#include "m3/http/http_server.h"
#include "m3/mesh/broadcasts.h"
#include "m3/mesh/mesh.h"
#include "m3/plugin/plugin_set.h"
#include "m3/plugin/router.h"

namespace m3 {

namespace app_detail {
class SignalWatch;
}

/// A configuration file, decoded.
struct LoadedConfig {
  AppConfig app;
  ConfigType::Value section;  // [app]; null when the app has none
  std::vector<PluginChoice> plugins;
};

struct App::Impl {
  enum class Phase { idle, starting, ready, stopping, stopped };

  Impl(App& owner, std::string name) : app(owner), func(std::move(name)) {}

  // ---- app_config part: load.cpp
  LoadedConfig decode(const Document& document, ErrorList& errors) const;
  LoadedConfig load(ErrorList& errors) const;
  /// The id in effect; empty, with an error, when there is none or it is another func's.
  AppId choose_id(const AppId& given, const LoadedConfig& loaded, ErrorList& errors) const;
  std::string print(const LoadedConfig& loaded) const;
  std::string reference() const;
  void take(const LoadedConfig& loaded);
  Task<> reload(Ctx& ctx);
  Task<> reload_plugins(Ctx& ctx, const std::vector<PluginChoice>& fresh);

  // ---- life: life.cpp
  Status prepare();  ///< loads, makes runtime, node and services; nothing runs yet
  Status make_parts();
  Status make_runtime();
  Status make_plugins();
  Status make_node();
  Status make_services();
  std::string_view placement() const;
  void add_stages();
  Task<> bring_up(Ctx& ctx);
  Task<> take_down(Ctx& ctx);
  void let_go();  ///< after take_down, from a thread that is no core (or with foreign cores)

  Task<> name_cores(Ctx& ctx);
  Task<> listen(Ctx& ctx);
  Task<> finish_calls(Ctx& ctx);
  Task<> stop_node();
  Task<> stop_mesh();
  Task<> stop_broadcasts();
  Task<> stop_probe();
  Task<> wait_for_health(Ctx& ctx);
  Task<> refuse_second(Ctx& ctx);
  Task<> announce(Ctx& ctx);
  Task<> tell_router(Ctx& ctx);
  /// An operator's word; gives the state before.
  Task<MemberState> set_state(Ctx& ctx, MemberState wanted);
  Task<> withdraw(Ctx& ctx);
  Task<> check_health(Ctx& ctx);
  static Task<> run_hooks(Ctx& ctx, const std::vector<Hook>& hooks);
  Core& core() { return runtime->core(0); }

  // ---- the admin port: admin.cpp
  Status make_admin();
  Task<> listen_admin(Ctx& ctx);
  /// Whether this app should get calls, as a registry asks it.
  Task<> check_ready(Ctx& ctx);
  std::string state_name() const;

  // ---- the program: run.cpp
  int run(const std::vector<std::string>& words, const std::string& program);
  int inspect(const CommandLine& line);
  Status watch_signals(std::optional<app_detail::SignalWatch>& watch);
  Task<> live();
  void on_signal(int signal);
  void ask_to_stop();
  void wake_up();

  App& app;
  const std::string func;
  std::string version;

  std::vector<std::function<ServiceSlot(App&)>> factories;
  Interceptors request_interceptors;
  Interceptors call_interceptors;
  std::vector<Hook> start_hooks, stop_hooks, reload_hooks, health_hooks;
  std::vector<std::pair<std::string, HttpHandler>> extra_pages;

  Registry registry;
  const ConfigType* section_type = nullptr;
  mutable std::mutex section_mutex;
  ConfigType::Value section;

  Embedding embedding;
  AppConfig config;
  AppId id;
  std::atomic<Phase> phase{Phase::idle};
  std::unique_ptr<Runtime> own_runtime;
  Runtime* runtime = nullptr;
  std::shared_ptr<MetricRegistry> metrics;
  std::optional<Env> env;
  std::vector<PluginChoice> choices;  // of the configuration in effect
  PluginSet plugins;
  std::vector<ServiceSlot> services;
  std::unique_ptr<Service> reflection;
  std::unique_ptr<Service> control;
  Router* router = nullptr;  // one of the plugins
  std::unique_ptr<Mesh> mesh;
  std::unique_ptr<Broadcasts> broadcasts;
  std::unique_ptr<RpcNode> node;
  std::unique_ptr<HealthProbe> probe;
  std::unique_ptr<AdminPages> pages;
  std::unique_ptr<HttpServer> admin;
  Lifecycle life;
  HostPort address;
  HostPort admin_address;
  std::uint64_t generation = 0;
  MemberState state = MemberState::serving;
  bool announced = false;
  bool came_up = false;

  // Of run(), on core 0.
  std::optional<Ctx> work_ctx;  // start and reload: cancelled by the first signal to stop
  std::optional<Ctx> stop_ctx;  // stop: cancelled by the second
  std::optional<Scope> scope;
  std::optional<Channel<int>> wake;
  int stops_asked = 0;
  bool reload_asked = false;
};

}  // namespace m3
