// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/m3ctl/options.h"
#include "m3/base/app_id.h"
#include "m3/rpc/resolver.h"
#include "m3/rpc/rpc_config.h"

namespace m3ctl {

/// Whom a command talks to: whoever answers at an address, one app, or the instances of a service.
struct Target {
  std::string text;                ///< as the user wrote it
  std::string key;                 ///< of a P2P route; empty for a service
  m3::ServiceId service;           ///< empty for an address
  std::vector<std::string> peers;  ///< of --config: env.world.func.ins@host:port
  m3::RpcConfig rpc;

  bool is_service() const { return key.empty(); }
};

/// ADDRESS, env.world.func.ins or env.world.func; ids need --config, where their addresses stand.
m3::Result<Target> find_target(const std::string& text, const Options& options);

/// The list of instances, and whom the last call went to. One call at a time.
class Directory final : public m3::Resolver {
 public:
  /// `target` was made by find_target, so that its peers are good.
  explicit Directory(const Target& target);
  m3::Pick pick(const m3::RouteQuery& query) override;
  std::vector<std::shared_ptr<const m3::Instance>> all(m3::Core& core,
                                                       const m3::ServiceId& service) override {
    return list_.all(core, service);
  }

  /// Null before the first call found somebody.
  const m3::Instance* last() const { return last_; }
  /// Those that the target means: one, or a service's.
  std::vector<const m3::Instance*> targets() const { return targets_; }

 private:
  m3::StaticResolver list_;
  std::vector<const m3::Instance*> targets_;
  const m3::Instance* last_ = nullptr;
};

/// The key of a P2P route to the instance.
std::string key_of(const m3::Instance& instance);

}  // namespace m3ctl
