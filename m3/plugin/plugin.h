// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/runtime.h"
#include "m3/async/task.h"
#include "m3/base/app_id.h"
#include "m3/obs/metric.h"
#include "m3/plugin/part_index.h"
#include "m3/plugin/shared_parts.h"
#include "m3/plugin/steps.h"

namespace m3 {

class Host;
class PluginSet;

/// A part of an app that its configuration chooses. A contract derives from it and names its kind;
/// a back end derives from the contract:
///
///   class Lease : public Plugin {
///    public:
///     static constexpr std::string_view kKind = "lease";
///     // … what every lease does
///   };
///   class RedisLease final : public Lease {
///    public:
///     static constexpr std::string_view kName = "redis";   // [lease.redis]
///     static constexpr int kStage = m3::Stage::store;      // when it starts
///     // What must be there; may be left out. Then --check-config knows it too:
///     static constexpr std::array<std::string_view, 1> kNeeds{"database"};
///     struct Config {
///       // … its keys
///       static void describe(m3::Schema<Config>&);
///     };
///     RedisLease(m3::Env&, Config);
///     // May be left out; then a change needs a restart:
///     m3::Task<> reload(m3::Ctx&, Config);
///   };
///
/// A contract of which an app may have several declares `static constexpr bool kMany = true`.
/// Constructed before anything starts; owned by the app. All of this runs on core 0.
class Plugin : public Part {
 public:
  /// Called when the plugins it needs are started. unavailable: called again, within start_timeout.
  /// Any other error ends the app's start.
  virtual Task<> start(Ctx&) { co_return ok; }
  /// Called when the plugins that need it are stopped. Once, if start() was called, even if that
  /// failed or was interrupted.
  virtual Task<> stop(Ctx&) { co_return ok; }
  /// One step, start() and stop() at kStage. Override it for more steps, at other stages.
  void steps(Steps& steps) override {
    steps.add([this](Ctx& ctx) { return start(ctx); }, [this](Ctx& ctx) { return stop(ctx); });
  }
};

/// Thrown by a plugin's constructor when something it needs is missing; the text follows the
/// plugin's name: "needs a lease: …". It ends the app's start.
class PluginError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The app, as its parts see it. Outlives them.
class Env {
 public:
  /// Objects of the app; they outlive the Env.
  struct App {
    const AppId& id;
    Runtime& runtime;
    MetricRegistry& metrics;
    std::shared_ptr<SharedParts> shared;
    const std::atomic<std::uint64_t>* generation = nullptr;
    Host* host = nullptr;
    PartIndex* parts = nullptr;
  };
  explicit Env(App app) : app_(std::move(app)) {}

  const AppId& app_id() const { return app_.id; }
  /// The number of this start. A later start of this app id has a higher one, whatever the clock
  /// does, if the app has a database; without one it grows as far as the clock does. Final when the
  /// step "generation" of stage mesh has ended. 0 in tests of a plugin alone.
  std::uint64_t generation() const { return app_.generation ? app_.generation->load() : 0; }
  Runtime& runtime() const { return app_.runtime; }
  MetricRegistry& metrics() const { return app_.metrics; }
  /// Objects shared by the apps embedded with this one.
  SharedParts& shared() const { return *app_.shared; }
  /// The app itself, for contexts, clients and callers: usable from the first step on. Null in
  /// tests of a plugin alone.
  Host* host() const { return app_.host; }
  /// Objects that the app offers while its parts are created (m3/plugin/part_index.h): AdminPages,
  /// HealthChecks, InterceptorLists, AdmissionList. Null in tests of a plugin alone.
  template <class T>
  T* part() const {
    return app_.parts ? app_.parts->find<T>() : nullptr;
  }

  /// The plugin for a contract, the first if there are several; null when none is chosen. A call in
  /// a constructor declares a dependency: that plugin is created and started before the calling
  /// one, and stopped after it.
  template <class Contract>
  Contract* find() const {
    return dynamic_cast<Contract*>(find_plugin(Contract::kKind, {}));
  }
  /// The one that the section [kind.name] chose.
  template <class Contract>
  Contract* find(std::string_view name) const {
    return dynamic_cast<Contract*>(find_plugin(Contract::kKind, name));
  }
  /// All of the kind, in the order of their start.
  template <class Contract>
  std::vector<Contract*> all() const {
    static_assert(Contract::kMany, "an app has only one plugin of this kind: use find()");
    std::vector<Contract*> out;
    for (Plugin* plugin : all_plugins(Contract::kKind))
      if (auto* one = dynamic_cast<Contract*>(plugin)) out.push_back(one);
    return out;
  }
  /// For constructors: find(), and a PluginError that names the missing section.
  template <class Contract>
  Contract& need() const {
    if (Contract* found = find<Contract>()) return *found;
    const std::string kind(Contract::kKind);
    throw PluginError("needs a " + kind + ": add a section [" + kind + ".NAME]");
  }

 private:
  friend class PluginSet;
  Plugin* find_plugin(std::string_view kind, std::string_view name) const;
  std::vector<Plugin*> all_plugins(std::string_view kind) const;

  const App app_;
  PluginSet* set_ = nullptr;  // once it makes or has made the plugins
};

}  // namespace m3
