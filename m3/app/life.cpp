// SPDX-License-Identifier: BSL-1.0
// How an app comes up and goes down.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>

#include "m3/admin/control.h"
#include "m3/admin/reflection.h"
#include "m3/app/detail/app_impl.h"
#include "m3/async/timer.h"
#include "m3/obs/log.h"

namespace m3 {
namespace {

/// So fine that no two starts of one id share it.
std::uint64_t nanoseconds_since_1970() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

/// How long a handler that was cancelled may go on, before a stop leaves it behind.
constexpr Nanos kCancelledMayTake = std::chrono::seconds(2);

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
  if (!config.listen.empty()) {
    auto parsed = HostPort::parse(config.listen);
    if (!parsed.is_ok()) return std::move(parsed).status();
    address = *std::move(parsed);
  }
  generation = nanoseconds_since_1970();
  Status made = make_runtime();
  if (made) made = make_plugins();
  if (made) made = make_node();
  if (made) made = make_services();
  if (made) made = make_admin();
  if (made) add_stages();
  return made;
}

Status App::Impl::make_runtime() {
  runtime = embedding.runtime;
  if (!runtime) {
    try {
      own_runtime = std::make_unique<Runtime>(config.runtime_config());
    } catch (const std::exception& e) {  // each core needs a few files of its own
      return Status(Errc::resource_exhausted, std::string("cannot make the event loops: ") +
                                                  e.what() +
                                                  " (raise the limit of open files: ulimit -n)");
    }
    runtime = own_runtime.get();
  }
  MetricOptions metric_options;
  metric_options.constant_labels = {{"app", id.to_string()}};
  metrics = std::make_shared<MetricRegistry>(std::move(metric_options));
  metrics->sampled_counter("m3_log_dropped_total", "Log lines that did not reach stderr",
                           &log::dropped);
  metrics->sampled_counter("m3_log_held_back_total",
                           "Events that were not logged because their kind was logged too often",
                           &log::held_back);
  return ok;
}

Status App::Impl::make_node() {
  router = app.find<Router>();
  if (!router)
    return Status(Errc::failed_precondition,
                  "this program has no router: link m3's plugins, or list one in main()");
  MeshConfig mesh_config;
  mesh_config.wait_for_route = config.rpc.wait_for_route;
  mesh = std::make_unique<Mesh>(*runtime, *router, mesh_config, *metrics);
  auto* broker = app.find<Broker>();
  if (broker && !broker->reaches_other_processes() && router->reaches_other_processes())
    return Status(Errc::invalid_argument,
                  "[broker.local] reaches only the apps of this process, but the router finds "
                  "others: use [broker.redis] or [broker.nats], or no broker");
  broadcasts = std::make_unique<Broadcasts>(*runtime, broker, id, generation,
                                            config.broadcast_timeout, *metrics);

  RpcNode::Options options;
  options.id = id;
  options.generation = generation;
  options.config = config.rpc_config();
  options.transport = embedding.transport;
  options.host = &app;
  node = std::make_unique<RpcNode>(*runtime, std::move(options), *mesh, *metrics);
  for (auto& interceptor : request_interceptors) node->intercept_requests(interceptor);
  for (auto& interceptor : call_interceptors) node->intercept_calls(interceptor);
  mesh->start(*node);
  return ok;
}

Status App::Impl::make_plugins() {
  env.emplace(id, *runtime, *metrics,
              embedding.shared ? embedding.shared : std::make_shared<SharedParts>(),
              [this](std::string_view kind) { return plugins.find(kind); });
  if (Status made = plugins.make(*env, choices); !made) return made;
  for (PluginSet::Slot& slot : plugins.slots()) {
    Plugin& plugin = *slot.plugin;
    const PluginType& type = *slot.choice.type;
    life.add(
        type.stage, type.title(), [&plugin](Ctx& ctx) { return plugin.start(ctx); },
        [&plugin](Ctx& ctx) { return plugin.stop(ctx); });
  }
  return ok;
}

Status App::Impl::make_services() {
  for (auto& make : factories) {
    try {
      services.push_back(make(app));
    } catch (const std::exception& e) {
      return Status(Errc::internal, std::string("the constructor of a service threw: ") + e.what());
    }
    Service& service = *services.back().service;
    if (Status status = node->serve(service); !status)
      return std::move(status).add_context(fmt::format("serve {}", service.service_name()));
  }
  reflection = make_reflection(node->services(), id, version);
  Status served = node->serve(*reflection);
  if (!served) return served;
  control = make_control(*runtime,
                         [this](Ctx& ctx, MemberState wanted) { return set_state(ctx, wanted); });
  return node->serve(*control);
}

/// Of the services the one that binds the instance most.
std::string_view App::Impl::placement() const {
  static constexpr std::array<std::string_view, 4> kLooseFirst{
      "stateless", "activated", "resident_dynamic", "resident_fixed"};
  const auto* most = kLooseFirst.begin();
  for (const ServiceSlot& slot : services)
    most = std::max(
        most, std::find(kLooseFirst.begin(), kLooseFirst.end() - 1, slot.service->placement()));
  return *most;
}

void App::Impl::add_stages() {
  const auto step = [this](Task<> (Impl::*what)(Ctx&)) -> Lifecycle::Step {
    return [this, what](Ctx& ctx) { return (this->*what)(ctx); };
  };
  if (own_runtime) life.add(Lifecycle::obs, "log", step(&Impl::name_cores), nullptr);
  if (admin)
    life.add(Lifecycle::obs, "admin", step(&Impl::listen_admin),
             [this](Ctx& ctx) { return admin->stop(ctx); });
  life.add(Lifecycle::mesh, "connections", nullptr, [this](Ctx&) { return stop_node(); });
  life.add(Lifecycle::mesh, "mesh", nullptr, [this](Ctx&) { return stop_mesh(); });
  for (ServiceSlot& slot : services) {
    if (!slot.hooks) continue;
    ServiceHooks& hooks = *slot.hooks;
    const std::string name(slot.service->service_name());
    life.add(
        Lifecycle::serve, name, [this, &hooks](Ctx& ctx) { return hooks.on_init(ctx, app); },
        nullptr);
    life.add(
        Lifecycle::app, name, [&hooks](Ctx& ctx) { return hooks.on_start(ctx); },
        [&hooks](Ctx& ctx) { return hooks.on_stop(ctx); });
  }
  life.add(
      Lifecycle::app, "app", [this](Ctx& ctx) { return run_hooks(ctx, start_hooks); },
      [this](Ctx& ctx) { return run_hooks(ctx, stop_hooks); });
  life.add(Lifecycle::listen, "health", nullptr, [this](Ctx&) { return stop_probe(); });
  life.add(Lifecycle::listen, "listen", step(&Impl::listen), step(&Impl::finish_calls));
  life.add(
      Lifecycle::listen, "broadcasts", [this](Ctx& ctx) { return broadcasts->start(ctx, *node); },
      [this](Ctx&) { return stop_broadcasts(); });
  life.add(Lifecycle::announce, "announce", step(&Impl::announce), step(&Impl::withdraw));
}

Task<> App::Impl::bring_up(Ctx& ctx) {
  phase = Phase::starting;
  Status started = (co_await as_result(life.start(ctx, config.start_timeout))).status();
  if (started) {
    phase = Phase::ready;
    came_up = true;
    std::string names;
    for (const std::string& name : app.service_names()) names += (names.empty() ? "" : ",") + name;
    const std::string where = config.listen.empty() ? "none" : address.to_string();
    const std::string admin_where = admin ? admin_address.to_string() : "none";
    log::info_p(
        {{"id", id.to_string()}, {"address", where}, {"admin", admin_where}, {"services", names}},
        "ready");
    co_return ok;
  }
  Ctx undo(core(), Deadline::never(), ctx.host());
  undo.cancel(CancelReason::shutdown);  // nothing to wait for
  (void)co_await as_result(take_down(undo));
  co_return started;
}

Task<> App::Impl::take_down(Ctx& ctx) {
  const Phase before = phase.exchange(Phase::stopping);
  if (before == Phase::ready) log::info("stopping");
  Status stopped =
      (co_await as_result(life.stop(ctx, config.stop_timeout + config.drain_wait))).status();
  phase = Phase::stopped;
  if (before == Phase::ready) log::info("stopped");
  co_return stopped;
}

void App::Impl::let_go() {
  if (own_runtime) own_runtime->stop();
  // What a handler that did not end refers to stays, as long as the process.
  if (rpc_detail::calls_left_behind > 0) (void)new auto(std::exchange(services, {}));
  admin.reset();
  pages.reset();
  probe.reset();
  broadcasts.reset();
  node.reset();
  mesh.reset();
  services.clear();
  plugins.clear();
  reflection.reset();
  control.reset();
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

Task<> App::Impl::listen(Ctx& ctx) {
  if (config.listen.empty()) {
    if (!factories.empty())
      log::warn("nobody can connect: write listen = \"host:port\" in the configuration");
    co_return ok;
  }
  if (embedding.listen) co_return embedding.listen(*node, address);
  Result<std::uint16_t> port = co_await as_result(node->listen(ctx, address));
  if (!port.is_ok())
    co_return std::move(port).status().add_context("listen = \"" + config.listen + "\"");
  address.port = *port;
  co_return ok;
}

Task<> App::Impl::finish_calls(Ctx& ctx) {
  Ctx soon(ctx, Deadline(ctx.core().read_clock() + config.stop_timeout));
  Status status = (co_await as_result(node->drain(soon))).status();
  if (status) co_return ok;
  // on_stop may rely on it that no handler runs.
  if (came_up) log::warn("handlers that still run are cancelled: {}", status.to_string());
  co_await stop_node();
  co_return ok;
}

/// Cancelled handlers end at once, unless they wait for something of their own: those are left.
Task<> App::Impl::stop_node() {
  Ctx soon(core(), Deadline(core().read_clock() + kCancelledMayTake), &app);
  co_await node->stop(soon);
  co_return ok;
}

Task<> App::Impl::stop_mesh() {
  Ctx patient(core());
  co_await mesh->stop(patient);
  co_return ok;
}

Task<> App::Impl::stop_broadcasts() {
  Ctx patient(core());
  co_await broadcasts->stop(patient);
  co_return ok;
}

Task<> App::Impl::stop_probe() {
  Ctx patient(core());
  co_await probe->stop(patient);
  co_return ok;
}

Task<> App::Impl::wait_for_health(Ctx& ctx) {
  for (bool told = false;;) {
    Status health = (co_await as_result(probe->check(ctx))).status();
    if (health) co_return ok;
    if (!std::exchange(told, true)) log::warn_limited("not healthy yet: {}", health.to_string());
    auto slept = co_await as_result(sleep(ctx, std::chrono::milliseconds(100)));
    if (!slept.is_ok())
      co_return std::move(slept).status().add_context("not healthy: " + health.to_string());
  }
}

/// Two instances of one id would both be right half of the time. The older one that only did not
/// say good-bye is replaced.
Task<> App::Impl::refuse_second(Ctx& ctx) {
  const std::vector<Member> members = co_await router->members(ctx, id.service_id());
  for (const Member& member : members) {
    if (member.id != id || member.generation == generation) continue;
    auto other = co_await as_result(mesh->generation_at(ctx, member));
    if (other.is_ok() && *other != generation)
      co_return Status(Errc::already_exists,
                       fmt::format("{} runs already, at {}: stop that one, or give this one "
                                   "another id",
                                   id.to_string(), member.address.to_string()));
  }
  co_return ok;
}

Task<> App::Impl::announce(Ctx& ctx) {
  co_await wait_for_health(ctx);
  if (config.listen.empty()) co_return ok;
  co_await refuse_second(ctx);
  announced = true;  // a router goes on trying, even if this start fails now
  co_await tell_router(ctx);
  co_return ok;
}

Task<MemberState> App::Impl::set_state(Ctx& ctx, MemberState wanted) {
  if (!announced) co_return Status(Errc::failed_precondition, "not ready, or leaving already");
  if (wanted == MemberState::cordoned && !router->tells_others())
    co_return Status(Errc::failed_precondition,
                     "this app's router tells nobody of its state, so that only draining it keeps "
                     "callers away");
  const MemberState before = std::exchange(state, wanted);
  if (before == wanted) co_return before;
  log::info_limited("{} (was {})", member_state_name(wanted), member_state_name(before));
  Status status = (co_await as_result(tell_router(ctx))).status();
  if (!status) {
    state = before;
    co_return status;
  }
  co_await (wanted == MemberState::draining ? node->leave(ctx) : node->come_back(ctx));
  co_return before;
}

Task<> App::Impl::tell_router(Ctx& ctx) {
  Member self;
  self.id = id;
  self.generation = generation;
  self.weight = config.weight;
  self.state = state;
  self.version = version;
  self.lane = config.lane;
  self.placement = placement();
  auto where = config.advertised(address.port);
  if (!where.is_ok()) {
    if (router->reaches_other_processes()) co_return std::move(where).status();
    where = HostPort{"127.0.0.1", address.port};
  }
  self.address = *std::move(where);
  if (admin && config.admin_is_beside(self.address)) self.admin_port = admin->port();
  co_await router->announce(ctx, std::move(self));
  co_return ok;
}

Task<> App::Impl::withdraw(Ctx& ctx) {
  if (!std::exchange(announced, false)) co_return ok;
  Status status = (co_await as_result(router->withdraw(ctx))).status();
  if (!status) log::warn_limited("the router still lists this app: {}", status.to_string());
  co_await node->leave(ctx);
  (void)co_await as_result(sleep(ctx, config.drain_wait));
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

Task<> App::Impl::run_hooks(Ctx& ctx, const std::vector<Hook>& hooks) {
  for (const Hook& hook : hooks) {
    co_await hook(ctx);
  }
  co_return ok;
}

}  // namespace m3
