// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/m3ctl/target.h"
#include "m3/async/runtime.h"
#include "m3/mesh/mesh.h"
#include "m3/obs/metric.h"
#include "m3/plugin/plugin_set.h"
#include "m3/plugin/registry.h"
#include "m3/rpc/node.h"

namespace m3ctl {

/// Finds instances as the app of a configuration does: by its router, checked by a mesh. Announces
/// nothing to others. The runtime and metrics must outlive it.
class Routing {
 public:
  /// invalid_argument: the section is wrong.
  static m3::Result<std::unique_ptr<Routing>> make(const RouteSource& source, m3::AppId self,
                                                   m3::Runtime& runtime,
                                                   m3::MetricRegistry& metrics);
  /// Whether m3ctl contains that router; an app may have its own.
  static bool knows(std::string_view router);
  Routing(const Routing&) = delete;
  Routing& operator=(const Routing&) = delete;

  m3::Mesh& mesh() { return *mesh_; }
  /// "router.consul of configs/town.toml".
  const std::string& title() const { return title_; }
  /// OK, or why only the app of the configuration is found: m3ctl does not contain its router.
  const m3::Status& own_router() const { return own_router_; }
  /// Whether instances are discovered there; else they are in a file.
  bool is_discovery() const;

  // On core 0:
  m3::Task<> start(m3::Ctx& ctx, m3::RpcNode& node);
  /// Before the node stops.
  m3::Task<> stop_mesh(m3::Ctx& ctx);
  /// After it has.
  m3::Task<> stop_router(m3::Ctx& ctx);
  /// The instances of a service; of the whole environment when it is empty.
  m3::Task<std::vector<m3::Member>> members(m3::Ctx& ctx, m3::ServiceId service);

 private:
  Routing(const RouteSource& source, m3::AppId self)
      : config_(source.config), self_(std::move(self)) {}

  const m3::AppConfig config_;
  const m3::AppId self_;
  std::string title_;
  m3::Status own_router_;
  m3::Registry registry_;
  std::optional<m3::Env> env_;
  m3::PluginSet plugins_;  // the router alone
  m3::Router* router_ = nullptr;
  std::optional<m3::Mesh> mesh_;
  bool started_ = false;
};

}  // namespace m3ctl
