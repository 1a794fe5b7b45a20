// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "m3/app/service_hooks.h"
#include "m3/async/runtime.h"
#include "m3/base/app_id.h"
#include "m3/base/host_port.h"
#include "m3/http/http_message.h"
#include "m3/obs/metric.h"
#include "m3/plugin/config_type.h"
#include "m3/plugin/part_index.h"
#include "m3/plugin/registry.h"
#include "m3/plugin/steps.h"
#include "m3/rpc/host.h"
#include "m3/rpc/interceptor.h"
#include "m3/rpc/service.h"

namespace m3 {

struct AppConfig;
class RpcNode;
class Transport;

/// serve<S>(m3::serial, …): one handler at a time.
struct SerialModel {};
inline constexpr SerialModel serial;

namespace app_detail {
class Program;
class ServiceList;
}  // namespace app_detail

/// One app: its services, its configuration and its life cycle. main() lists the parts and runs it:
///
///   int main(int argc, char** argv) { return m3::App("hello").serve<Hello>().run(argc, argv); }
///
/// Or it is embedded, several in one process: start() and stop() from any thread that is not a
/// core. Everything is declared before run() or start(), which may be called once. Hooks and
/// reloads run on core 0, one at a time; the hooks of a serial service on its own core.
class App final : public Host {
 public:
  using Hook = std::function<Task<>(Ctx&)>;

  /// `func`: the third part of the ids this app may have.
  explicit App(std::string func);
  App(const App&) = delete;
  App& operator=(const App&) = delete;
  ~App();  ///< stop()

  // ---- the parts

  /// A service whose handlers run concurrently, on every core. It is constructed when the app
  /// starts, from `args` or from this App and `args`: its clients are constructed from that App.
  template <class S, class... Args>
  App& serve(Args... args) {
    return serve_as<S>(false, std::move(args)...);
  }
  /// A service whose handlers run one at a time, on one core, in order of arrival: its fields need
  /// no lock. While a handler waits for the answer of another app the next one runs
  /// (m3/rpc/serial_runner.h). Its hooks run on that core and in turn, too. The section [serial]
  /// limits what may wait.
  template <class S, class... Args>
  App& serve(SerialModel, Args... args) {
    return serve_as<S>(true, std::move(args)...);
  }

  /// Runs around every incoming request; the first is outermost. Requests to m3's own services
  /// (package m3.*) are left out, unless `which` is Intercepts::all_calls.
  App& intercept(std::shared_ptr<Interceptor> interceptor,
                 Intercepts which = Intercepts::app_calls);
  /// Runs around every outgoing call, with the same exception.
  App& client_interceptor(std::shared_ptr<Interceptor> interceptor,
                          Intercepts which = Intercepts::app_calls);

  /// A plugin that the configuration can choose with a section [kind.name]: m3/plugin/plugin.h.
  template <std::derived_from<Plugin> P>
  App& plugin() {
    registry().add<P>();
    return *this;
  }
  Registry& registry();
  /// The chosen plugin for a contract; null when there is none. Only after the start has begun.
  template <class Contract>
  Contract* find() {
    return dynamic_cast<Contract*>(find_plugin(Contract::kKind));
  }

  /// A part with its own steps (m3/plugin/steps.h), constructed from the app's Env and `args` when
  /// the app starts, after the plugins. Handlers get it with `ctx.host()->part<P>()`.
  template <std::derived_from<Part> P, class... Args>
  App& part(Args... args) {
    auto make = [... args = std::move(args)](
                    Env& env, PartIndex& index) mutable -> Result<std::unique_ptr<Part>> {
      auto made = std::make_unique<P>(env, std::move(args)...);
      if (Status added = index.add(*made); !added) return added;
      return std::unique_ptr<Part>(std::move(made));
    };
    auto shared = std::make_shared<decltype(make)>(std::move(make));
    return add_part([shared](Env& env, PartIndex& index) { return (*shared)(env, index); });
  }

  /// `[app]` of the file holds a T. Without this, an app has no such section.
  template <class T>
  App& use_section() {
    return set_section(config_type<T>());
  }
  /// The current contents of `[app]`. Any thread; a reload creates another object, this one does
  /// not change.
  template <class T>
  std::shared_ptr<const T> section() const {
    return std::static_pointer_cast<const T>(section_value(config_type<T>()));
  }

  /// The app's version, shown to tools.
  App& version(std::string text);

  /// Run last before the app listens, in the order in which they were added. unavailable: run
  /// again, within start_timeout; any other error ends the start.
  App& on_start(Hook hook);
  /// Run after the last handler has ended; calls can still be sent. The last one added runs first.
  /// They run whenever on_start hooks were started, even if one of those failed.
  App& on_stop(Hook hook);
  /// Run after a successful reload of the configuration.
  App& on_reload(Hook hook);
  /// An error means that this app should get no calls. Run before the app is announced and, while
  /// it is ready, by health checks, also during a reload; never twice at once. Its time limit is
  /// `admin.health_timeout`.
  App& health(Hook hook);
  /// A page of the admin port, for any method; its handler runs on core 0. The port's token has
  /// been checked before.
  App& page(std::string path, HttpHandler handler);

  // ---- the program

  /// Reads the command line and the file, runs until a signal or shutdown(), and returns the exit
  /// code: 0 done, 1 failed while running, 2 wrong options or configuration (reported on stderr).
  int run(int argc, char** argv);

  // ---- embedded

  struct Embedding {
    AppId id;                 ///< empty: taken from the configuration
    std::string config_file;  ///< TOML file; empty: `config`
    std::string config;       ///< TOML text
    /// Cores of another owner, for simulated time; then use start(Ctx&) and stop(Ctx&).
    Runtime* runtime = nullptr;
    /// Replace TCP for reaching peers and for being reached.
    std::function<std::unique_ptr<Transport>(Core&)> transport;
    std::function<Status(RpcNode&, HostPort)> listen;
    /// Ends what `listen` began, before the RpcNode is destroyed. May be empty.
    std::function<void(RpcNode&, const HostPort&)> unlisten;
    /// The same object for apps that should find each other in this process; unset: it is alone.
    std::shared_ptr<SharedParts> shared;
  };
  /// Returns when the app is ready, or with the error after everything was undone. No signals are
  /// handled.
  Status start(Embedding embedding);
  /// Finishes running work and stops. Also called by ~App. deadline_exceeded: a cancelled task did
  /// not finish; it is named in the log, and the objects it uses are kept until the process ends.
  Status stop();
  /// On a core of Embedding::runtime.
  Task<> start(Ctx& ctx, Embedding embedding);
  Task<> stop(Ctx& ctx);
  /// Reads the file again, as SIGHUP does. On core 0. A wrong file changes nothing; a part or a
  /// hook that fails does not stop the others, and the first such error is returned.
  Task<> reload(Ctx& ctx);

  /// From a thread that is not a core, while the app runs: runs body(Ctx&) on core 0 as work of the
  /// app (its clients, m3::call and m3::topics work with the Ctx), and waits for the outcome.
  ///   auto said = app.block_on([&](m3::Ctx& ctx) { return hello.say(ctx, req); });
  template <class Body>
  auto block_on(Body body) {
    return runtime().block_on(runtime().core(0), std::move(body), this);
  }

  // ---- while it lives. caller(), node(), runtime() and metrics() are made by the start: they
  // throw std::logic_error before.

  const AppId& app_id() const override;
  Caller& caller() override;
  Broadcaster* broadcaster() override;
  const std::string& func() const;
  /// Only after the start has begun, on core 0: a reload changes it there.
  const AppConfig& config() const;
  RpcNode& node();
  Runtime& runtime();
  MetricRegistry& metrics();
  /// The address where it listens; port 0 when it does not.
  HostPort address() const;
  /// The address of its admin port; port 0 when it has none.
  HostPort admin_address() const;
  std::vector<std::string> service_names() const;
  /// OK when it is ready and health() succeeds. On core 0.
  Task<> check_health(Ctx& ctx);
  /// Makes run() stop as SIGTERM does. Any thread, at any time: before run() has begun it is
  /// remembered, and after its end it does nothing.
  void shutdown();

 private:
  friend class app_detail::Program;
  friend class app_detail::ServiceList;
  struct Impl;
  struct ServiceSlot {
    std::unique_ptr<Service> service;
    ServiceHooks* hooks = nullptr;
    std::vector<std::string_view> not_overridden;  // rpcs
    bool is_serial = false;
  };
  template <class S, class... Args>
  App& serve_as(bool is_serial, Args... args) {
    constexpr bool kIsService = std::derived_from<S, Service>;
    constexpr bool kOfArgs = std::constructible_from<S, Args...>;
    constexpr bool kOfAppAndArgs = std::constructible_from<S, App&, Args...>;
    static_assert(kIsService,
                  "serve<S>(): S must derive from the class that is generated for a service of a "
                  ".proto file, such as HelloService for service Hello");
    static_assert(
        !kIsService || kOfArgs || kOfAppAndArgs,
        "serve<S>(args…): S can be constructed neither from args nor from m3::App& and args");
    if constexpr (kIsService && (kOfArgs || kOfAppAndArgs))
      add_service([is_serial, ... args = std::move(args)](App& app) mutable {
        ServiceSlot slot;
        slot.is_serial = is_serial;
        std::unique_ptr<S> made;
        if constexpr (std::constructible_from<S, Args...>)
          made = std::make_unique<S>(std::move(args)...);
        else
          made = std::make_unique<S>(app, std::move(args)...);
        if constexpr (std::derived_from<S, ServiceHooks>) slot.hooks = made.get();
        if constexpr (requires { S::template not_overridden<S>(); })
          slot.not_overridden = S::template not_overridden<S>();
        slot.service = std::move(made);
        return slot;
      });
    return *this;
  }
  template <class Make>
  App& add_service(Make make) {
    // std::function copies; the arguments may be move-only.
    auto shared = std::make_shared<Make>(std::move(make));
    return add_factory([shared](App& app) { return (*shared)(app); });
  }
  App& add_factory(std::function<ServiceSlot(App&)> make);
  App& add_part(std::function<Result<std::unique_ptr<Part>>(Env&, PartIndex&)> make);
  Plugin* find_plugin(std::string_view kind) const;
  void* find_part(std::type_index type) override;
  void end_life();
  App& set_section(const ConfigType& type);
  std::shared_ptr<const void> section_value(const ConfigType& type) const;

  std::unique_ptr<Impl> impl_;
  std::unique_ptr<app_detail::Program> program_;
};

}  // namespace m3
