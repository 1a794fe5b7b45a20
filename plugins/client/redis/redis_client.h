// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "m3/async/backoff.h"
#include "m3/async/scope.h"
#include "plugins/client/redis/redis_connection.h"

namespace m3 {

/// A Redis server that is always there again: connects, pings, and makes a new connection with
/// growing pauses when one is lost. What was under way then fails; nothing is sent twice.
/// Core-local; owned by a plugin, which stops it.
class RedisClient {
 public:
  struct Events {
    /// Over subscribed channels; with this set, the connection is for channels only.
    RedisConnection::OnMessage on_message;
    /// A new connection, before anybody else uses it; not for the first one. An error: try again.
    std::function<Task<>(Ctx&, RedisConnection&)> on_reconnected;
  };
  RedisClient(Core& core, std::string name, RedisOptions options, Events events);
  RedisClient(Core& core, std::string name, RedisOptions options)
      : RedisClient(core, std::move(name), std::move(options), Events()) {}
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;
  ~RedisClient();

  /// Ends when it is connected. Waits as long as `ctx` does while the server cannot be reached;
  /// another error (a wrong password) is told at once.
  Task<> start(Ctx& ctx);
  Task<> stop(Ctx& ctx);

  /// Null while there is no connection.
  RedisConnection* connection() { return connection_.get(); }
  Task<RedisReply> command(Ctx& ctx, std::vector<std::string> words);
  /// What send() would answer if `more` bytes were sent before.
  Status can_send(std::size_t more) const {
    return status_ ? connection_->can_send(more) : absent();
  }
  Status send(std::span<const std::string_view> words);
  /// Why there is no connection; OK while there is one.
  const Status& status() const { return status_; }

 private:
  using Made = std::unique_ptr<RedisConnection>;
  Task<Made> connect(Ctx& ctx);
  Task<> keep(Ctx& ctx);
  Task<> watch(Ctx& ctx);
  Task<> again(Ctx& ctx);
  Task<> ping(Ctx& ctx);
  Task<> greet(Ctx& ctx);
  Status absent() const;

  Core& core_;
  const std::string name_;
  const RedisOptions options_;
  const Events events_;
  Made connection_;
  Status status_;
  Backoff backoff_{server_backoff()};
  Scope scope_;
};

}  // namespace m3
