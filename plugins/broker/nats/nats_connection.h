// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/net/stream.h"
#include "plugins/broker/nats/nats_protocol.h"

namespace m3 {

/// One connection to a NATS server. Once lost, it is not re-established. Core-local; it is not
/// destroyed by its own callbacks.
class NatsConnection {
 public:
  /// The views end with the call.
  struct Events {
    std::function<void(std::string_view subject, std::string_view payload)> on_message;
    /// The server refused a message to that subject; it is lost.
    std::function<void(std::string_view subject, const Status& why)> on_publish_refused;
    /// The server has ended a confirmed subscription: its permissions have changed.
    std::function<void(std::string_view subject, const Status& why)> on_subscription_ended;
  };
  using Answered = std::function<void(const Status&)>;

  /// unauthenticated: the server refuses the credentials; failed_precondition: it requires TLS;
  /// unavailable: not reached, or the server is at its limit of connections. `transport` must
  /// outlive the connection.
  static Task<std::unique_ptr<NatsConnection>> connect(Ctx& ctx, Transport& transport,
                                                       HostPort address, NatsLogin login,
                                                       std::size_t max_pending, Events events);
  NatsConnection(const NatsConnection&) = delete;
  NatsConnection& operator=(const NatsConnection&) = delete;
  ~NatsConnection();

  const NatsInfo& info() const;
  const HostPort& address() const;
  /// Fails with the reason when the connection is lost.
  Task<> lost(Ctx& ctx);
  void close(const Status& why);
  /// Bytes received so far.
  std::uint64_t received() const;

  /// resource_exhausted: with `more` bytes, the unsent backlog would exceed max_pending.
  /// unavailable: lost.
  Status can_publish(std::size_t more) const;
  /// Fails as can_publish(0) would. `weight`: its part of unsent().
  void publish(std::string_view subject, std::string_view payload, std::uint32_t weight);
  /// The weight of the messages that publish() accepted but that are unsent; after close(), of
  /// those that are lost.
  std::uint64_t unsent() const;
  /// `answered`: OK when the server has accepted it; permission_denied, resource_exhausted: it
  /// refused; unavailable: the connection was lost before.
  void subscribe(std::string_view subject, std::uint64_t sid, Answered answered);
  void unsubscribe(std::uint64_t sid, Answered answered);
  /// Returns when the server has read everything sent before.
  Task<> flush(Ctx& ctx);

 private:
  struct Impl;
  explicit NatsConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
