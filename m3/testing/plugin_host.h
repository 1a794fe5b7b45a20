// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "m3/async/runtime.h"
#include "m3/config/document.h"
#include "m3/plugin/builtin.h"
#include "m3/plugin/lifecycle.h"
#include "m3/plugin/plugin.h"
#include "m3/plugin/registry.h"

namespace m3::testing {

/// One plugin, as an app would have it, on cores of its own and without the app: to test it against
/// the real service. The constructor creates and starts it, the destructor stops it. For a thread
/// that is not a core.
///
///     PluginHost<m3::Broker> host("[broker.redis]\naddress = \"127.0.0.1:6379\"\n");
///     REQUIRE(host.started.is_ok());
///     REQUIRE(host.run([&](m3::Ctx& ctx) { return host.plugin().subscribe(ctx, "news", ear); }));
template <class P>
class PluginHost {
 public:
  struct Options {
    std::string id = "dev.w.test.1";
    Nanos start_timeout = std::chrono::seconds(20);
    std::shared_ptr<SharedParts> shared = std::make_shared<SharedParts>();
    unsigned cores = 1;
  };

  /// `config` has the section that chooses it among the built-in ones and those of `registry`.
  /// std::invalid_argument: `config` is wrong, or chooses none of this kind.
  explicit PluginHost(const std::string& config, Options options = {}, Registry registry = {})
      : id_(*AppId::parse(options.id)),
        runtime_(config_of(options.cores)),
        env_(Env::App{id_, runtime_, metrics_, std::move(options.shared)}) {
    add_builtin(registry);
    ErrorList errors;
    for (auto& choice : registry.choose(Document::parse(config, "test.toml", errors), errors))
      if (errors.empty() && choice.type->kind == P::kKind) {
        plugin_ = choice.type->make(env_, choice.config);
        Steps steps(runtime_, choice.type->title(), choice.type->stage);
        plugin_->steps(steps);
        life_.add(std::move(steps).take());
      }
    if (!plugin_) throw std::invalid_argument(errors.to_string() + ": no " + std::string(P::kKind));
    runtime_.start();
    const Nanos limit = options.start_timeout;
    started = run([this, limit](Ctx& ctx) { return life_.start(ctx, limit); });
  }
  PluginHost(const PluginHost&) = delete;
  PluginHost& operator=(const PluginHost&) = delete;
  ~PluginHost() {
    (void)run([this](Ctx& ctx) {
      return life_.stop(ctx, {std::chrono::seconds(30), std::chrono::minutes(1)});
    });
    runtime_.stop();
  }

  P& plugin() { return static_cast<P&>(*plugin_); }
  const AppId& id() const noexcept { return id_; }
  Runtime& runtime() noexcept { return runtime_; }
  /// On its first core; ends when the task has.
  template <class Body>
  auto ask(Body body) {
    return runtime_.block_on(runtime_.core(0), body);
  }
  template <class Body>
  Status run(Body body) {
    return ask(std::move(body)).status();
  }
  /// The same, for a function that does not wait and returns a Status, or nothing.
  template <class Body>
  Status on_core(Body body) {
    return run([&body](Ctx&) -> Task<> {
      if constexpr (std::is_void_v<decltype(body())>) {
        body();
        co_return ok;
      } else {
        co_return body();
      }
    });
  }

  Status started;

 private:
  static RuntimeConfig config_of(unsigned cores) {
    RuntimeConfig config;
    config.cores = cores;
    config.blocking_threads = 1;
    return config;
  }
  const AppId id_;
  MetricRegistry metrics_;
  Runtime runtime_;
  Env env_;
  std::unique_ptr<Plugin> plugin_;
  Lifecycle life_;
};

}  // namespace m3::testing
