// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/host_port.h"
#include "plugins/client/redis/redis_reply.h"

namespace m3 {

struct RedisOptions {
  HostPort address;
  std::string user;  ///< of Redis's ACL; empty: only the password is sent
  std::string password;
  unsigned db = 0;
  std::size_t max_pending = 16u << 20;  ///< bytes that may wait to be sent
  Nanos connect_timeout = std::chrono::seconds(2);
  Nanos ping_interval = std::chrono::seconds(2);
  Nanos ping_timeout = std::chrono::seconds(2);
};

/// One connection to a Redis server: hiredis's asynchronous API (RESP2) on the core's event loop.
/// Once it is lost it stays so: RedisClient makes the next one. Core-local; owned by RedisClient.
class RedisConnection {
 public:
  using OnMessage = std::function<void(std::string_view channel, std::string_view payload)>;

  /// Connected, authenticated, with the database selected. unauthenticated: user or password are
  /// wrong; permission_denied, invalid_argument: Redis refused; unavailable: not reached.
  /// `on_message`: runs for what comes over subscribed channels; not to destroy the connection.
  static Task<std::unique_ptr<RedisConnection>> connect(Ctx& ctx, const RedisOptions& options,
                                                        OnMessage on_message = {});
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;
  ~RedisConnection();  ///< nobody may wait for it then

  bool alive() const;
  /// Ends when the connection is lost.
  Task<> lost(Ctx& ctx);
  /// Why it was.
  const Status& why() const;
  void close(const Status& why);

  /// unavailable + maybe_executed: lost before the answer. Redis's own errors keep their text.
  Task<RedisReply> command(Ctx& ctx, std::vector<std::string> words);
  /// resource_exhausted: with `more` bytes, more than max_pending would wait to be sent.
  /// unavailable: lost.
  Status can_send(std::size_t more) const;
  /// Where can_send(0). Without waiting for the answer; an error reply is logged.
  Status send(std::span<const std::string_view> words);

  /// Ends when messages of the channel come. From the first one on, only channels: RESP2 allows no
  /// other command.
  Task<> subscribe(Ctx& ctx, std::string channel);
  void unsubscribe(std::string_view channel);

 private:
  struct Impl;
  explicit RedisConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
