// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

#include "m3/base/byte_size.h"
#include "m3/base/duration.h"
#include "m3/config/schema.h"
#include "m3/plugin/broker.h"
#include "m3/plugin/subscribers.h"
#include "plugins/client/redis/redis_client.h"

namespace m3 {

/// `[broker.redis]`: topics are Redis's channels (SUBSCRIBE and PUBLISH). Two connections: one
/// receives, one publishes. Messages published while the receiving one is lost are missed.
class RedisBroker final : public Broker {
 public:
  static constexpr std::string_view kName = "redis";
  static constexpr int kStage = 20;
  struct Config {
    std::string address = "127.0.0.1:6379";
    std::string user;
    std::string password;
    ByteSize max_pending{16u << 20};
    ByteSize max_message{4u << 20};
    Duration connect_timeout = std::chrono::seconds(2);
    Duration ping_interval = std::chrono::seconds(2);
    static void describe(Schema<Config>& s);
  };

  RedisBroker(Env& env, const Config& config);
  ~RedisBroker() override;

  bool reaches_other_processes() const override { return true; }
  std::size_t max_pending() const override { return max_pending_; }
  std::size_t max_payload() const override;
  Task<> start(Ctx& ctx) override;
  Task<> stop(Ctx& ctx) override;
  Task<> subscribe(Ctx& ctx, std::string topic, Subscriber& subscriber) override;
  void unsubscribe(std::string_view topic, Subscriber& subscriber) override;
  Status can_publish(std::size_t waiting) const override;
  Status publish(std::string_view topic, std::string_view payload, std::uint32_t notifies) override;

 private:
  void refuse(const std::string& topic, const Status& why);

  Core& core_;
  const std::size_t max_pending_;
  const std::size_t max_message_;
  Subscribers subscribers_;
  RefusedTopics refused_;
  RedisClient speaks_;
  RedisClient hears_;
};

}  // namespace m3
