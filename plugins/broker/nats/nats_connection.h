// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/host_port.h"
#include "plugins/broker/nats/nats_protocol.h"

namespace m3 {

/// One connection to a NATS server, over Asio. Once it is lost it stays so. Core-local; stop()
/// before it is destroyed.
class NatsConnection {
 public:
  /// Runs for each message; the views end with it.
  using OnMessage = std::function<void(std::uint64_t sid, std::string_view payload)>;

  /// unauthenticated: the server does not let us in; failed_precondition: it wants TLS;
  /// unavailable: not reached.
  static Task<std::unique_ptr<NatsConnection>> connect(Ctx& ctx, HostPort address, NatsLogin login,
                                                       std::size_t max_pending,
                                                       OnMessage on_message);
  NatsConnection(const NatsConnection&) = delete;
  NatsConnection& operator=(const NatsConnection&) = delete;
  ~NatsConnection();

  const NatsInfo& info() const;
  /// Ends when the connection is lost.
  Task<> lost(Ctx& ctx);
  bool alive() const;
  const Status& why() const;
  void close(const Status& why);
  /// close(), and waits for what runs.
  Task<> stop(Ctx& ctx);

  /// resource_exhausted: with `more` bytes, more than max_pending would wait to be sent.
  /// unavailable: lost.
  Status can_publish(std::size_t more) const;
  /// Where can_publish(0).
  void publish(std::string_view subject, std::string_view payload);
  void subscribe(std::string_view subject, std::uint64_t sid);
  void unsubscribe(std::uint64_t sid);
  /// Ends when the server has read all that was sent before.
  Task<> flush(Ctx& ctx);

 private:
  struct Impl;
  explicit NatsConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
