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

/// What an error reply means. not_executed when Redis refused the command before it did anything.
Status to_status(const RedisReply& error);

struct RedisOptions {
  HostPort address;
  std::string user;  ///< of Redis's ACL; empty: the default user
  std::string password;
  unsigned db = 0;
  std::size_t max_pending = 16u << 20;  ///< largest backlog of unsent bytes
  std::size_t max_value = 512u << 20;   ///< a larger one that arrives is replaced by an empty one,
                                        ///< and logged
  Nanos connect_timeout = std::chrono::seconds(2);
  Nanos ping_interval = std::chrono::seconds(2);
  Nanos ping_timeout = std::chrono::seconds(2);
};

/// One connection to a Redis server (RESP2). Once lost, it is not re-established: RedisClient makes
/// the next one. Core-local; owned by RedisClient; it is not destroyed by its own callbacks.
class RedisConnection {
 public:
  using OnMessage = std::function<void(std::string_view channel, std::string_view payload)>;
  using Answered = std::function<void(const Status&)>;

  /// Connected, authenticated, with the database selected. unauthenticated: user or password are
  /// wrong; permission_denied, invalid_argument: Redis refused; unavailable: not reached, or it is
  /// at its limit of clients. `on_message`: runs for messages on subscribed channels. `transport`
  /// must outlive the connection.
  static Task<std::unique_ptr<RedisConnection>> connect(Ctx& ctx, Transport& transport,
                                                        RedisOptions options,
                                                        OnMessage on_message = {});
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;
  ~RedisConnection();  ///< nothing may be waiting for it then

  /// Fails with the reason when the connection is lost.
  Task<> lost(Ctx& ctx);
  void close(const Status& why);
  /// Bytes received so far.
  std::uint64_t received() const;

  /// unavailable + maybe_executed: lost before the answer. Redis's own errors keep their text.
  Task<RedisReply> command(Ctx& ctx, std::vector<std::string> words);
  /// The same, but an error reply is a reply. `words` stay as they are until it has ended.
  Task<RedisReply> ask(Ctx& ctx, std::span<const std::string_view> words);
  /// Returns when the server has answered, even with an error.
  Task<> ping(Ctx& ctx);
  /// resource_exhausted: with `more` bytes, the unsent backlog would exceed max_pending.
  /// unavailable: lost.
  Status can_send(std::size_t more) const;
  /// Fails as can_send(0) would. Does not wait for the answer. `refused` runs if that is an error
  /// reply; without it the error is logged. `weight`: its part of unsent().
  Status send(std::span<const std::string_view> words, Answered refused = {},
              std::uint32_t weight = 1);
  /// The weight of the commands that send() accepted but that are unsent; after close(), of those
  /// that are lost.
  std::uint64_t unsent() const;

  /// `answered`: OK when messages of the channel arrive from now on; an error reply; unavailable:
  /// the connection was lost before. After the first one, channels and ping() only: RESP2 allows no
  /// other command.
  void subscribe(std::string_view channel, Answered answered);
  void unsubscribe(std::string_view channel, Answered answered);

 private:
  struct Impl;
  explicit RedisConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
