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
  /// To make room for a new one, the connection that has waited longest for a request is closed, of
  /// the address that has the most; if all are handling a request, the new one is answered with 503
  /// and closed.
  unsigned max_connections = 64;
  unsigned max_requests = 1000;                    ///< on one connection, which is then closed
  Nanos idle_timeout = std::chrono::seconds(60);   ///< between two requests
  Nanos read_timeout = std::chrono::seconds(10);   ///< for a whole request, and for the first byte
  Nanos write_timeout = std::chrono::seconds(10);  ///< for a whole answer
  Nanos handler_timeout = std::chrono::seconds(10);  ///< the handler's deadline; then 504
};

/// A small HTTP/1.1 server for people, tools and checks, not for the internet: there is no TLS, and
/// a handful of connections is normal. Requests of one connection are answered one after the other,
/// in order, even if they arrived together.
///
/// Runs on one core, with its handlers. If a handler misses its deadline, the server answers 504 in
/// its place; a handler that ignores cancellation delays only stop(). `metrics` outlives it.
class HttpServer {
 public:
  /// `host`: the app of the handlers' contexts.
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

  /// Accepts no more connections, closes the idle ones, gives answers in progress a second, cancels
  /// the rest and waits for them.
  Task<> stop(Ctx& ctx);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
