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

/// One connection to a NATS server. Once it is lost it stays so. Core-local; it is not destroyed
/// by its own callbacks.
class NatsConnection {
 public:
  /// The views end with the call.
  struct Events {
    std::function<void(std::string_view subject, std::string_view payload)> on_message;
    /// The server did not take a message for that subject; it is lost.
    std::function<void(std::string_view subject, const Status& why)> on_publish_refused;
    /// The server has ended a subscription that it had taken: its permissions have changed.
    std::function<void(std::string_view subject, const Status& why)> on_subscription_ended;
  };
  using Answered = std::function<void(const Status&)>;

  /// unauthenticated: the server does not let us in; failed_precondition: it wants TLS;
  /// unavailable: not reached, or the server has as many connections as it may have. `transport`
  /// outlives the connection.
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
  /// Bytes that came so far.
  std::uint64_t received() const;

  /// resource_exhausted: with `more` bytes, more than max_pending would wait to be sent.
  /// unavailable: lost.
  Status can_publish(std::size_t more) const;
  /// Where can_publish(0). `weight`: in unsent().
  void publish(std::string_view subject, std::string_view payload, std::uint32_t weight);
  /// The weight of what publish() took and the system has not; after close(), of what is lost.
  std::uint64_t unsent() const;
  /// `answered`: OK when the server has taken it; permission_denied, resource_exhausted: it does
  /// not; unavailable: the connection was lost before.
  void subscribe(std::string_view subject, std::uint64_t sid, Answered answered);
  void unsubscribe(std::uint64_t sid, Answered answered);
  /// Ends when the server has read all that was sent before.
  Task<> flush(Ctx& ctx);

 private:
  struct Impl;
  explicit NatsConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
