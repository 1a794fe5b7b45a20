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
#include "m3/net/stream.h"
#include "plugins/client/redis/redis_reply.h"

namespace m3 {

struct RedisOptions {
  HostPort address;
  std::string user;  ///< of Redis's ACL; empty: the default user
  std::string password;
  unsigned db = 0;
  std::size_t max_pending = 16u << 20;  ///< bytes that may wait to be sent
  std::size_t max_value = 512u << 20;   ///< a larger one that comes is empty, and logged
  Nanos connect_timeout = std::chrono::seconds(2);
  Nanos ping_interval = std::chrono::seconds(2);
  Nanos ping_timeout = std::chrono::seconds(2);
};

/// One connection to a Redis server (RESP2). Once it is lost it stays so: RedisClient makes the
/// next one. Core-local; owned by RedisClient; it is not destroyed by its own callbacks.
class RedisConnection {
 public:
  using OnMessage = std::function<void(std::string_view channel, std::string_view payload)>;
  using Answered = std::function<void(const Status&)>;

  /// Connected, authenticated, with the database selected. unauthenticated: user or password are
  /// wrong; permission_denied, invalid_argument: Redis refused; unavailable: not reached, or it has
  /// as many clients as it may have. `on_message`: runs for what comes over subscribed channels.
  /// `transport` outlives the connection.
  static Task<std::unique_ptr<RedisConnection>> connect(Ctx& ctx, Transport& transport,
                                                        RedisOptions options,
                                                        OnMessage on_message = {});
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;
  ~RedisConnection();  ///< nobody may wait for it then

  /// Fails with the reason when the connection is lost.
  Task<> lost(Ctx& ctx);
  void close(const Status& why);
  /// Bytes that came so far.
  std::uint64_t received() const;

  /// unavailable + maybe_executed: lost before the answer. Redis's own errors keep their text.
  Task<RedisReply> command(Ctx& ctx, std::vector<std::string> words);
  /// Ends when the server has answered, whatever it said.
  Task<> ping(Ctx& ctx);
  /// resource_exhausted: with `more` bytes, more than max_pending would wait to be sent.
  /// unavailable: lost.
  Status can_send(std::size_t more) const;
  /// Where can_send(0). Does not wait for the answer. `refused` runs if that is an error reply;
  /// without it the error is logged. `weight`: in unsent().
  Status send(std::span<const std::string_view> words, Answered refused = {},
              std::uint32_t weight = 1);
  /// The weight of what send() took and the system has not; after close(), of what is lost.
  std::uint64_t unsent() const;

  /// `answered`: OK when messages of the channel come from now on; an error reply; unavailable: the
  /// connection was lost before. After the first one, channels and ping() only: RESP2 allows no
  /// other command.
  void subscribe(std::string_view channel, Answered answered);
  void unsubscribe(std::string_view channel, Answered answered);

 private:
  struct Impl;
  explicit RedisConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
