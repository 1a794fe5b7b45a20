// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/byte_size.h"
#include "m3/base/duration.h"
#include "m3/config/schema.h"
#include "m3/net/tcp.h"
#include "m3/plugin/broker.h"
#include "m3/plugin/reconciler.h"
#include "m3/plugin/subscribers.h"
#include "plugins/broker/nats/nats_connection.h"

namespace m3 {

/// `[broker.nats]`: topics are NATS subjects (core NATS, at most once). One connection, to the
/// first of the servers that accepts it; when it is lost, to the next.
class NatsBroker final : public Broker, private Reconciler::Link {
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
  std::size_t max_pending() const override { return config_.max_pending.bytes; }
  /// The limit that the server announced last.
  std::size_t max_payload() const override;
  Task<> start(Ctx& ctx) override;
  Task<> stop(Ctx& ctx) override;
  Task<> subscribe(Ctx& ctx, std::string topic, Subscriber& subscriber) override;
  void unsubscribe(std::string_view topic, Subscriber& subscriber) override;
  Status can_publish(std::size_t waiting) const override;
  Status publish(std::string_view topic, std::string_view payload, std::uint32_t notifies) override;

 private:
  using Order = Reconciler::Order;

  Task<> connect(Ctx& ctx) override;
  Task<> watch(Ctx& ctx) override;
  Task<> send(Ctx& ctx, std::vector<Order> orders) override;
  Task<> disconnect(Ctx& ctx, Status why) override;
  std::uint64_t heard() const override { return connection_ ? connection_->received() : 0; }
  void on_confirmed(const std::string& topic) override { subscribers_.tell_resubscribed(topic); }
  Task<> connect_to(Ctx& ctx, const std::string& server);
  void refuse(std::string_view topic, const Status& why);
  void end_subscription(std::string_view topic, const Status& why);

  Core& core_;
  const Config config_;
  const std::string name_;
  StreamBuffers buffers_;
  TcpTransport transport_;
  std::unique_ptr<NatsConnection> connection_;
  std::size_t next_server_ = 0;
  std::size_t max_payload_ = 1u << 20;
  std::map<std::string, std::uint64_t> sids_;  // on this connection
  Subscribers subscribers_;
  RefusedTopics refused_;
  Reconciler reconciler_;
};

}  // namespace m3
