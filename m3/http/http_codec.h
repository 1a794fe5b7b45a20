// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "m3/http/http_message.h"

namespace m3 {

/// What a server takes of one request. Nothing beyond it is ever allocated.
struct HttpSizes {
  std::uint32_t max_header_bytes = 16u << 10;  ///< request line and fields, at least 64
  std::uint32_t max_body_bytes = 1u << 20;
};

/// Cuts a connection's bytes into HTTP/1.0 and 1.1 requests; one reader for each request. Knows no
/// socket. What it refuses (a message that two readers might understand differently among it) ends
/// the connection: nobody knows where the next request begins.
class HttpRequestReader {
 public:
  enum class State { reading, complete, failed };

  explicit HttpRequestReader(HttpSizes sizes);
  HttpRequestReader(HttpRequestReader&&) noexcept;
  HttpRequestReader& operator=(HttpRequestReader&&) noexcept;
  ~HttpRequestReader();

  /// `bytes`: what was not taken up to now, and what has come since. Gives how many were taken;
  /// those behind a complete request stay.
  std::size_t feed(std::string_view bytes);
  State state() const noexcept;

  /// Once true: the peer keeps its body back until it hears "100 Continue".
  bool wants_continue() noexcept;

  /// When complete. Once.
  HttpRequest take();
  /// When complete: the peer's wish, by its version and `Connection`.
  bool keep_alive() const noexcept;
  /// 10 or 11; 11 while it is not known.
  int version() const noexcept;

  /// When failed: what to answer before hanging up (400, 413, 431, 501 or 505).
  const HttpResponse& error() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// How an answer depends on its request.
struct HttpAnswerTo {
  bool head = false;  ///< the length is told, the body is not sent
  bool keep_alive = true;
  int version = 11;
};

/// The bytes of a response. Content-Length, Connection and Date are added; what `response` says of
/// them, and of Transfer-Encoding, is left out. A status that is none is sent as 500.
std::string encode_http_response(const HttpResponse& response, HttpAnswerTo to);

}  // namespace m3
