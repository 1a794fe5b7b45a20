// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "m3/async/ctx.h"
#include "m3/async/runtime.h"
#include "m3/async/task.h"
#include "m3/base/app_id.h"
#include "m3/obs/metric.h"
#include "m3/plugin/shared_parts.h"

namespace m3 {

/// A part of an app that its configuration chooses. A contract derives from it and names its kind;
/// a back end derives from the contract:
///
///   class Lease : public Plugin { public: static constexpr std::string_view kKind = "lease"; … };
///   class RedisLease final : public Lease {
///    public:
///     static constexpr std::string_view kName = "redis";  // [lease.redis]
///     static constexpr int kStage = 20;                   // when it starts: m3/app/lifecycle.h
///     // What must be there; may be left out. Then --check-config knows it too:
///     static constexpr std::array<std::string_view, 1> kNeeds{"database"};
///     struct Config { … static void describe(m3::Schema<Config>&); };
///     RedisLease(m3::Env&, Config);
///     // May be left out; then a change needs a restart:
///     m3::Task<> reload(m3::Ctx&, Config);
///   };
///
/// Made before anything starts; owned by the app. All of this runs on core 0.
class Plugin {
 public:
  virtual ~Plugin() = default;
  /// What it needs is started. An error ends the app's start.
  virtual Task<> start(Ctx&) { co_return ok; }
  /// What needs it is stopped. Not called when start() failed.
  virtual Task<> stop(Ctx&) { co_return ok; }
};

/// What a plugin's constructor throws when it cannot do with what is there; the text follows the
/// plugin's name: "needs a lease: …". It ends the app's start.
class PluginError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The app, as its plugins see it. Outlives them.
class Env {
 public:
  /// `find`: the plugin of a kind; null when there is none.
  Env(const AppId& id, Runtime& runtime, MetricRegistry& metrics,
      std::shared_ptr<SharedParts> shared, std::function<Plugin*(std::string_view kind)> find)
      : id_(id),
        runtime_(runtime),
        metrics_(metrics),
        shared_(std::move(shared)),
        find_(std::move(find)) {}

  const AppId& app_id() const { return id_; }
  Runtime& runtime() const { return runtime_; }
  MetricRegistry& metrics() const { return metrics_; }
  /// What the apps embedded with this one share.
  SharedParts& shared() const { return *shared_; }
  /// The plugin behind a contract; null when none is chosen. Asking in a constructor is depending
  /// on it: it is made and started before, and stopped after the one that asks.
  template <class Contract>
  Contract* find() const {
    return dynamic_cast<Contract*>(find_(Contract::kKind));
  }
  /// For constructors: the same, and a PluginError that names the missing section.
  template <class Contract>
  Contract& need() const {
    if (Contract* found = find<Contract>()) return *found;
    const std::string kind(Contract::kKind);
    throw PluginError("needs a " + kind + ": add a section [" + kind + ".NAME]");
  }

 private:
  const AppId& id_;
  Runtime& runtime_;
  MetricRegistry& metrics_;
  std::shared_ptr<SharedParts> shared_;
  std::function<Plugin*(std::string_view)> find_;
};

}  // namespace m3
