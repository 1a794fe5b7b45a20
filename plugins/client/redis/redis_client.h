// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "m3/net/tcp.h"
#include "m3/plugin/reconciler.h"
#include "plugins/client/redis/redis_connection.h"

namespace m3 {

/// A self-healing Redis connection: connects, pings, and reconnects with exponential backoff.
/// Commands in progress then fail; nothing is sent twice. Channels are resubscribed automatically.
/// Core-local; owned by a plugin, which stops it.
class RedisClient final : private Reconciler::Link {
 public:
  struct Events {
    /// Called for messages on subscribed channels.
    RedisConnection::OnMessage on_message;
    /// A channel is subscribed, on this connection; may call subscribe() and unsubscribe().
    std::function<void(const std::string& channel)> on_subscribed;
    /// A connection has ended before everything that send() accepted was sent; this weight is lost.
    std::function<void(std::uint64_t weight)> on_lost;
    /// Runs on each new connection before anything else is sent over it. An error ends the
    /// connection, as one of connect() would.
    std::function<Task<>(Ctx& ctx, RedisConnection& connection)> prepare = {};
  };
  RedisClient(Core& core, std::string name, RedisOptions options, Events events);
  RedisClient(Core& core, std::string name, RedisOptions options)
      : RedisClient(core, std::move(name), std::move(options), Events()) {}
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;
  ~RedisClient();

  /// As Reconciler's.
  Task<> start(Ctx& ctx) { return reconciler_.start(ctx); }
  Task<> stop(Ctx& ctx) { return reconciler_.stop(ctx); }

  Task<RedisReply> command(Ctx& ctx, std::vector<std::string> words);
  /// As RedisConnection::ask().
  Task<RedisReply> ask(Ctx& ctx, std::span<const std::string_view> words);
  /// As Reconciler::connected().
  Task<> connected(Ctx& ctx) { return reconciler_.connected(ctx); }
  /// Leaves this connection, if there is one, and makes the next.
  void leave(const Status& why) {
    if (connection_) connection_->close(why);
  }
  /// What send() would return if `more` bytes were sent before.
  Status can_send(std::size_t more) const;
  Status send(std::span<const std::string_view> words, RedisConnection::Answered refused = {},
              std::uint32_t weight = 1);
  /// Why there is no connection; OK while there is one.
  const Status& status() const { return reconciler_.status(); }

  /// As Reconciler::settled(). A client with channels is for channels only.
  Task<> subscribe(Ctx& ctx, std::string channel);
  void unsubscribe(std::string_view channel) { reconciler_.drop(channel); }

 private:
  Task<> connect(Ctx& ctx) override;
  Task<> watch(Ctx& ctx) override;
  Task<> send(Ctx& ctx, std::vector<Reconciler::Order> orders) override;
  Task<> disconnect(Ctx& ctx, Status why) override;
  std::uint64_t heard() const override { return connection_ ? connection_->received() : 0; }
  void on_confirmed(const std::string& channel) override {
    if (events_.on_subscribed) events_.on_subscribed(channel);
  }

  const RedisOptions options_;
  const Events events_;
  StreamBuffers buffers_;
  TcpTransport transport_;
  std::unique_ptr<RedisConnection> connection_;
  Reconciler reconciler_;
};

}  // namespace m3
