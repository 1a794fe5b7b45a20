// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "m3/async/core.h"
#include "m3/async/task.h"
#include "m3/base/host_port.h"
#include "m3/http/http_codec.h"
#include "m3/http/http_message.h"
#include "m3/obs/metric.h"

namespace m3 {

class Host;

struct HttpServerConfig {
  std::string name = "http";  ///< in the log and as a label of the metrics
  HttpSizes sizes;
  /// For one more, the connection that waits longest for a request is closed, of the address that
  /// has the most; if all have one under way, the new one is told 503 and closed.
  unsigned max_connections = 64;
  unsigned max_requests = 1000;                    ///< on one connection, which then is closed
  Nanos idle_timeout = std::chrono::seconds(60);   ///< between two requests
  Nanos read_timeout = std::chrono::seconds(10);   ///< for a whole request, and for the first byte
  Nanos write_timeout = std::chrono::seconds(10);  ///< for a whole answer
  Nanos handler_timeout = std::chrono::seconds(10);  ///< the handler's deadline; then 504
};

/// A small HTTP/1.1 server for people, tools and checks; not for the world: there is no TLS, and a
/// handful of connections is normal. Requests of one connection are answered one after the other,
/// in order, also when they came together.
///
/// Lives on one core, where the handlers run. A handler that does not end at its deadline is
/// answered for; one that ignores its cancellation holds up stop() alone. `metrics` outlives it.
class HttpServer {
 public:
  /// `host`: of the handlers' contexts.
  HttpServer(Core& core, HttpHandler handler, HttpServerConfig config, MetricRegistry& metrics,
             Host* host = nullptr);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();  ///< after stop(), when it listened

  /// Port 0: any free one. already_exists when the address is in use.
  Status listen(const HostPort& address);
  /// 0 when it does not listen.
  std::uint16_t port() const noexcept;
  std::size_t connections() const noexcept;

  /// Takes no connection any more, closes the idle ones, gives answers under way a second, cancels
  /// what is left and waits for it.
  Task<> stop(Ctx& ctx);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
