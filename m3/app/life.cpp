// SPDX-License-Identifier: BSL-1.0
// How an app is assembled, started and stopped.
#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <utility>

#include "m3/admin/control.h"
#include "m3/admin/reflection.h"
#include "m3/app/detail/app_impl.h"
#include "m3/obs/log.h"
#include "m3/wire/proof.h"

namespace m3 {
namespace {

/// Fine enough that no two starts of one id share it.
std::uint64_t nanoseconds_since_1970() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

/// 128 random bits in base64. An attacker who records a handshake, or impersonates an acceptor,
/// could try shorter ones until the proof fits.
constexpr std::size_t kGoodToken = 22;

}  // namespace

Status App::Impl::prepare() {
  ErrorList errors;
  LoadedConfig loaded = load(errors);
  id = choose_id(embedding.id, loaded, errors);
  if (!errors.empty()) return errors.to_status();
  config = loaded.app;
  take(loaded);
  return make_parts();
}

Status App::Impl::make_parts() {
  generation = nanoseconds_since_1970();
  run_id = random_id();
  Status made = make_runtime();
  if (made) made = make_admin();
  if (made) made = make_plugins();
  if (made) made = make_node();
  if (made) made = make_services();
  if (made) made = make_calls();
  if (!made) return made;
  make_generation();
  make_announcement();
  add_steps();
  return ok;
}

Status App::Impl::make_runtime() {
  runtime = embedding.runtime;
  if (!runtime) {
    try {
      own_runtime = std::make_unique<Runtime>(config.runtime_config());
    } catch (const std::exception& e) {  // each core needs a few files of its own
      return Status(Errc::resource_exhausted, std::string("cannot create the event loops: ") +
                                                  e.what() +
                                                  " (raise the limit of open files: ulimit -n)");
    }
    runtime = own_runtime.get();
  }
  MetricOptions metric_options;
  metric_options.constant_labels = {{"app", id.to_string()}};
  metrics = std::make_shared<MetricRegistry>(std::move(metric_options));
  metrics->sampled_counter("m3_log_dropped_total", "Log lines that could not be written to stderr",
                           &log::dropped);
  metrics->sampled_counter("m3_log_held_back_total",
                           "Events that were not logged because their kind was logged too often",
                           &log::held_back);
  return ok;
}

/// Before the plugins: they add pages and checks.
Status App::Impl::make_admin() {
  probe = std::make_unique<HealthProbe>(
      core(), [this](Ctx& ctx) { return checks.ask(ctx); }, config.admin.health_timeout, &app);
  AdminView view;
  view.id = id;
  view.version = version;
  view.lane = config.lane;
  view.services = [this] { return app.service_names(); };
  view.address = [this] { return config.listen.empty() ? "" : app.address().to_string(); };
  view.state = [this] { return state_name(); };
  view.ready = [this](Ctx& ctx) { return check_ready(ctx); };
  view.metrics = metrics;
  view.runtime = runtime;
  admin = std::make_unique<app_detail::AdminPort>(core(), config.admin, std::move(view), *metrics,
                                                  &app);
  for (const auto& [path, handler] : extra_pages)
    if (Status added = admin->pages().add(path, handler); !added) return added;
  return admin->open();
}

Status App::Impl::make_plugins() {
  for (const Status& added : {index.add(admin->pages()), index.add(checks), index.add(interceptors),
                              index.add(admissions), index.add(plugins)})
    if (!added) return added;
  env.emplace(Env::App{id, *runtime, *metrics,
                       embedding.shared ? embedding.shared : std::make_shared<SharedParts>(),
                       &generation, &app, &index});
  return plugins.make(*env, choices);
}

Status App::Impl::make_node() {
  auto* router = app.find<Router>();
  if (!router)
    return Status(Errc::failed_precondition,
                  "this program has no router: link m3's plugins, or list one in main()");
  MeshConfig mesh_config;
  mesh_config.wait_for_route = config.rpc.wait_for_route;
  mesh_config.max_sick_percent = config.rpc.max_sick_percent;
  mesh = std::make_unique<Mesh>(*runtime, *router, mesh_config, *metrics);
  if (Status added = index.add(*mesh); !added) return added;
  auto* broker = app.find<Broker>();
  if (broker && !broker->reaches_other_processes() && router->reaches_other_processes())
    return Status(Errc::invalid_argument,
                  "[broker.local] reaches only the apps of this process, but the router finds "
                  "others: use [broker.redis] or [broker.nats], or no broker");
  Broadcasts::Options hears;
  hears.self = id;
  hears.run_id = run_id;
  hears.timeout = config.broadcast_timeout;
  if (broker && broker->reaches_other_processes()) {
    hears.token = config.rpc.token;
    hears.second_token = config.rpc.second_token;
  }
  broadcasts = std::make_unique<Broadcasts>(*runtime, broker, std::move(hears), *metrics);

  for (const auto& [name, token] :
       {std::pair("token", &config.rpc.token), std::pair("second_token", &config.rpc.second_token),
        std::pair("operator_token", &config.rpc.operator_token)})
    if (!token->empty() && token->size() < kGoodToken)
      log::warn("rpc.{} is short enough to be guessed: \"m3ctl token new\" makes a longer one",
                name);
  RpcNode::Options options;
  options.id = id;
  options.generation = generation;
  options.run_id = run_id;
  options.config = config.rpc_config();
  options.transport = embedding.transport;
  options.host = &app;
  node = std::make_unique<RpcNode>(*runtime, std::move(options), *mesh, *metrics);
  if (Status added = index.add(*node); !added) return added;
  node->intercept(interceptors);
  for (const auto& make : admissions.makers) node->admit_by(make);
  try {
    for (const auto& make : part_makers) {
      auto made = make(*env, index);
      if (!made.is_ok()) return std::move(made).status();
      parts.push_back(*std::move(made));
    }
  } catch (const std::exception& e) {
    return Status(Errc::internal, std::string("the constructor of a part threw: ") + e.what());
  }
  return ok;
}

Status App::Impl::make_services() {
  if (config.listen.empty() && !service_makers.empty())
    log::warn("no other app can connect: write listen = \"host:port\" in the configuration");
  services = std::make_unique<app_detail::ServiceList>(app);
  for (auto& make : service_makers)
    if (Status added = services->add(make, *node); !added) return added;
  const auto set_state = [this](Ctx& ctx, MemberState wanted) {
    return announcement->set_state(ctx, wanted);
  };
  built_in_services.push_back(make_reflection(node->services(), id, version));
  built_in_services.push_back(make_control(*runtime, set_state));
  for (const auto& service : built_in_services)
    if (Status served = node->serve(*service); !served) return served;
  return ok;
}

Status App::Impl::make_calls() {
  calls = std::make_unique<app_detail::Calls>(
      core(), config, *node, app_detail::Calls::Way{embedding.listen, embedding.unlisten}, &app);
  return calls->open();
}

void App::Impl::make_generation() {
  std::vector<Database*> databases;
  for (Plugin* plugin : plugins.all(Database::kKind))
    if (auto* database = dynamic_cast<Database*>(plugin)) databases.push_back(database);
  const auto address = [this] {
    const Result<HostPort> told = config.advertised(calls->address().port);
    return told.is_ok() ? *told : calls->address();
  };
  const auto set_number = [this](std::uint64_t number) {
    generation = number;
    node->set_generation(number);
    announcement->set_generation(number);
  };
  starts = std::make_unique<app_detail::Generation>(
      app_detail::Generation::App{id, run_id, *mesh, std::move(databases), address, set_number},
      generation);
}

void App::Impl::make_announcement() {
  Member self;
  self.id = id;
  self.generation = generation;
  self.run = run_id;
  self.version = version;
  self.lane = config.lane;
  self.placement = services->placement();
  app_detail::Announcement::App about{core(),
                                      config,
                                      *app.find<Router>(),
                                      *mesh,
                                      *node,
                                      *probe,
                                      [this] { return calls->address(); },
                                      [this](const HostPort& address) -> std::uint16_t {
                                        const bool found =
                                            admin->is_open() && config.admin_is_beside(address);
                                        return found ? admin->address().port : std::uint16_t{0};
                                      }};
  announcement = std::make_unique<app_detail::Announcement>(std::move(about), std::move(self));
}

/// Within one stage, later steps depend on earlier ones.
void App::Impl::add_steps() {
  const auto take = [this](Part& part, std::string owner, int stage) {
    Steps steps(*runtime, std::move(owner), stage);
    part.steps(steps);
    life.add(std::move(steps).take());
  };
  for (PluginSet::Slot& slot : plugins.slots())
    take(*slot.plugin, slot.choice.type->title(), slot.choice.type->stage);
  take(*admin, "admin", Stage::obs);
  take(*calls, "", Stage::listen);
  Steps own(*runtime, "", Stage::app);
  own_steps(own);
  life.add(std::move(own).take());
  take(*starts, "", Stage::mesh);
  for (const auto& part : parts) take(*part, "", Stage::serve);
  take(*services, "", Stage::serve);
  Steps hooks(*runtime, "app", Stage::app);
  // Before the on_start hooks: on_stop follows them also when one of them failed.
  for (const Hook& hook : stop_hooks) hooks.add({}, hook);
  for (const Hook& hook : start_hooks) hooks.add(hook);
  life.add(std::move(hooks).take());
  take(*announcement, "announce", Stage::announce);
}

void App::Impl::own_steps(Steps& steps) {
  // These waits end at once, so even a second signal does not cut them short.
  const auto patiently = [this](std::function<Task<>(Ctx&)> stop) -> Steps::Body {
    return [this, stop = std::move(stop)](Ctx&) -> Task<> {
      Ctx patient(core(), Deadline::never(), &app);
      co_await stop(patient);
      co_return ok;
    };
  };
  if (own_runtime) steps.add(Stage::obs, "log", [this](Ctx& ctx) { return name_cores(ctx); });
  const auto start_mesh = [this](Ctx&) -> Task<> {
    mesh->start(*node);
    co_return ok;
  };
  steps.add(Stage::mesh, "mesh", start_mesh,
            patiently([this](Ctx& ctx) { return mesh->stop(ctx); }));
  steps.add(Stage::listen, "health", {}, patiently([this](Ctx& ctx) { return probe->stop(ctx); }));
  steps.add(
      Stage::listen, "broadcasts", [this](Ctx& ctx) { return broadcasts->start(ctx, *node); },
      patiently([this](Ctx& ctx) { return broadcasts->stop(ctx); }));
}

Task<> App::Impl::bring_up(Ctx& ctx, Ctx& undo) {
  phase = Phase::starting;
  Status started = (co_await as_result(life.start(ctx, config.start_timeout))).status();
  if (!started) {
    (void)co_await as_result(take_down(undo));
    co_return started;
  }
  phase = Phase::ready;
  std::string names;
  for (const std::string& name : app.service_names()) names += (names.empty() ? "" : ",") + name;
  const std::string where = config.listen.empty() ? "none" : calls->address().to_string();
  const std::string admin_where = admin->is_open() ? admin->address().to_string() : "none";
  const std::string cores = fmt::format("{} ({})", runtime->size(), runtime->size_source());
  log::info_p({{"id", id.to_string()},
               {"address", where},
               {"admin", admin_where},
               {"services", names},
               {"cores", cores}},
              "ready");
  co_return ok;
}

Task<> App::Impl::take_down(Ctx& ctx) {
  const Phase before = phase.exchange(Phase::stopping);
  if (before == Phase::ready) log::info("stopping");
  const Duration step = config.stop_timeout + config.drain_wait;
  const Lifecycle::StopLimits limits{step, 2 * step};
  Status stopped = (co_await as_result(life.stop(ctx, limits))).status();
  // Calls may have been made before the start reached this step.
  Ctx patient(core(), Deadline::never(), &app);
  (void)co_await as_result(mesh->stop(patient));
  (void)co_await as_result(calls->stop());
  phase = Phase::stopped;
  if (before == Phase::ready) log::info("stopped");
  co_return stopped;
}

bool App::Impl::left_behind() const {
  return RpcNode::left_behind() > 0 || !life.left_behind().empty();
}

void App::Impl::let_go() {
  if (own_runtime) own_runtime->stop();
  announcement.reset();
  starts.reset();
  calls.reset();
  broadcasts.reset();
  node.reset();
  mesh.reset();
  services.reset();
  while (!parts.empty()) parts.pop_back();  // a later one may use an earlier one
  plugins.clear();
  built_in_services.clear();
  admin.reset();
  probe.reset();
  metrics.reset();
  runtime = nullptr;
  own_runtime.reset();
}

Task<> App::Impl::name_cores(Ctx& ctx) {
  for (unsigned i = 0; i < runtime->size(); ++i) {
    auto name = [this](Ctx&) -> Task<> {
      log::set_thread_app(id.to_string());
      co_return ok;
    };
    co_await run_on(ctx, runtime->core(i), name);
  }
  co_return ok;
}

Task<> App::Impl::check_health(Ctx& ctx) {
  const Phase now = phase;
  if (now == Phase::stopping || now == Phase::stopped)
    co_return Status(Errc::unavailable, "stopping");
  if (now != Phase::ready) co_return Status(Errc::unavailable, "starting");
  co_await probe->check(ctx);
  co_return ok;
}

Task<> App::Impl::check_ready(Ctx& ctx) {
  co_await check_health(ctx);
  if (announcement->state() == MemberState::draining)
    co_return Status(Errc::unavailable, "draining");
  co_return ok;
}

std::string App::Impl::state_name() const {
  switch (phase) {
    case Phase::idle:
    case Phase::starting:
      return "starting";
    case Phase::ready:
      return std::string(member_state_name(announcement->state()));
    default:
      return "stopping";
  }
}

}  // namespace m3
