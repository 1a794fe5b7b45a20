// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "apps/m3ctl/options.h"
#include "m3/app/app_config.h"
#include "m3/base/app_id.h"
#include "m3/base/member.h"
#include "m3/config/document.h"

namespace m3ctl {

/// The target of a command: the app at an address, one app by its id, or the instances of a
/// service.
struct Target {
  std::string text;       ///< as the user wrote it
  std::string key;        ///< of a P2P route; empty for a service
  m3::ServiceId service;  ///< empty for an address

  /// ADDRESS, env.world.func.ins or env.world.func.
  static m3::Result<Target> parse(const std::string& text);
  bool is_address() const { return service.empty(); }
  bool is_service() const { return key.empty(); }
};

/// An app's configuration, of which m3ctl uses the id, [rpc] and [router.NAME].
struct RouteSource {
  std::string title;  ///< its source: "configs/caller.toml", "cluster town"; empty: none
  m3::Document document;
  m3::AppConfig config;
  /// The source of config.rpc.token: "--token", "rpc.token of a.toml:3"; empty: none.
  std::string token_from;
  /// The instances of a cluster that runs here: an id is found even if no router knows it.
  std::vector<m3::Member> local;

  /// --config, --cluster, or the only cluster that runs here; without all of them the defaults.
  static m3::Result<RouteSource> find(const Options& options);
  /// Puts the token that m3ctl proves into config.rpc: the options', else the configuration's.
  void choose_token(const Options& options);
};

}  // namespace m3ctl
