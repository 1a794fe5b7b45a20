// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "m3/async/backoff.h"
#include "m3/async/scope.h"
#include "m3/base/byte_size.h"
#include "m3/base/duration.h"
#include "m3/config/schema.h"
#include "m3/plugin/broker.h"
#include "plugins/broker/nats/nats_connection.h"

namespace m3 {

/// `[broker.nats]`: topics are NATS subjects (core NATS, at most once). One connection, to the
/// first of the servers that lets us in; when it is lost, to the next.
class NatsBroker final : public Broker {
 public:
  static constexpr std::string_view kName = "nats";
  static constexpr int kStage = 20;
  struct Config {
    std::vector<std::string> servers{"127.0.0.1:4222"};
    std::string user;
    std::string password;
    std::string token;
    ByteSize max_pending{16u << 20};
    Duration connect_timeout = std::chrono::seconds(2);
    Duration ping_interval = std::chrono::seconds(2);
    static void describe(Schema<Config>& s);
  };

  NatsBroker(Env& env, Config config);
  ~NatsBroker() override;

  bool reaches_other_processes() const override { return true; }
  /// What the server said last.
  std::size_t max_payload() const override { return max_payload_; }
  Task<> start(Ctx& ctx) override;
  Task<> stop(Ctx& ctx) override;
  Task<> subscribe(Ctx& ctx, std::string topic, Subscriber& subscriber) override;
  void unsubscribe(std::string_view topic, Subscriber& subscriber) override;
  Status can_publish(std::size_t waiting) const override;
  Status publish(std::string_view topic, std::string_view payload) override;

 private:
  struct Topic {
    std::uint64_t sid = 0;
    std::vector<Subscriber*> subscribers;
  };
  using Made = std::unique_ptr<NatsConnection>;

  Task<> connect(Ctx& ctx);
  Task<> connect_to(Ctx& ctx, const std::string& server);
  Task<> keep(Ctx& ctx);
  Task<> watch(Ctx& ctx);
  Task<> again(Ctx& ctx);
  void on_message(std::uint64_t sid, std::string_view payload);

  Core& core_;
  const Config config_;
  const std::string name_;
  Made connection_;
  std::size_t next_server_ = 0;
  std::size_t max_payload_ = 1u << 20;
  std::uint64_t last_sid_ = 0;
  std::map<std::string, Topic, std::less<>> topics_;
  std::unordered_map<std::uint64_t, std::string> by_sid_;
  // While a message is handed on; kept for their memory. One connection reads at a time.
  std::string told_topic_;
  std::vector<Subscriber*> told_;
  Status status_;  // OK while connected
  Backoff backoff_{server_backoff()};
  Scope scope_;
};

}  // namespace m3
