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

/// Whom a command talks to: whoever answers at an address, one app, or the instances of a service.
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
  std::string title;  ///< where it is from: "configs/caller.toml", "cluster town"; empty: nowhere
  m3::Document document;
  m3::AppConfig config;
  /// What the token is that config.rpc.token has: "--token", "rpc.token of a.toml:3"; empty: none.
  std::string token_from;
  /// Of a cluster that runs here, its instances: an id is found also when no router knows it.
  std::vector<m3::Member> local;

  /// --config, --cluster, or the only cluster that runs here; without all of them the defaults.
  static m3::Result<RouteSource> find(const Options& options);
  /// Puts the token that m3ctl proves into config.rpc: the options', else the configuration's.
  void choose_token(const Options& options);
};

}  // namespace m3ctl
