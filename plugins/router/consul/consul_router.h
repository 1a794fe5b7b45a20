// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "m3/base/byte_size.h"
#include "m3/base/duration.h"
#include "m3/config/schema.h"
#include "m3/plugin/router.h"
#include "plugins/client/consul/consul_client.h"
#include "plugins/router/consul/consul_announcer.h"
#include "plugins/router/consul/consul_watches.h"

namespace m3 {

/// `[router.consul]`: instances are services of a Consul agent; changes are pushed by blocking
/// queries, one for each service that is watched. docs/guide/consul.md describes the entries.
class ConsulRouter final : public Router {
 public:
  static constexpr std::string_view kName = "consul";
  static constexpr int kStage = 35;
  struct Config {
    std::vector<std::string> addresses{"127.0.0.1:8500"};
    std::string token;
    Duration connect_timeout = std::chrono::seconds(1);
    Duration request_timeout = std::chrono::seconds(5);
    Duration wait = std::chrono::seconds(60);
    unsigned max_watches = 64;
    ByteSize max_response{16u << 20};
    Duration check_interval = std::chrono::seconds(2);
    Duration deregister_after = std::chrono::minutes(1);
    static void describe(Schema<Config>& s);
  };

  ConsulRouter(Env& env, const Config& config);
  ~ConsulRouter() override;

  bool reaches_other_processes() const override { return true; }
  Task<> start(Ctx& ctx) override;
  Task<> stop(Ctx& ctx) override;
  Task<> announce(Ctx& ctx, Member self) override;
  Task<> withdraw(Ctx& ctx) override;
  void watch(const ServiceId& service, Watcher& watcher) override;
  void unwatch(const ServiceId& service) override;
  Task<std::vector<Member>> members(Ctx& ctx, ServiceId service) override;

 private:
  Task<std::vector<Member>> all(Ctx& ctx);

  Core& core_;
  const AppId id_;
  ConsulClient client_;
  ConsulAnnouncer announcer_;
  ConsulWatches watches_;
};

}  // namespace m3
