// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "m3/http/http_message.h"

namespace m3 {

/// The limits of one request. Nothing beyond them is ever allocated.
struct HttpSizes {
  std::uint32_t max_header_bytes = 16u << 10;  ///< request line and fields, at least 64
  std::uint32_t max_body_bytes = 1u << 20;
};

/// Cuts a connection's bytes into HTTP/1.0 and 1.1 requests; one reader for each request. Knows no
/// socket. A refused request (for example one that two readers might understand differently) ends
/// the connection: it is not known where the next request begins.
class HttpRequestReader {
 public:
  enum class State { reading, complete, failed };

  explicit HttpRequestReader(HttpSizes sizes);
  HttpRequestReader(HttpRequestReader&&) noexcept;
  HttpRequestReader& operator=(HttpRequestReader&&) noexcept;
  ~HttpRequestReader();

  /// `bytes`: the bytes not taken so far, and those received since. Returns how many were taken;
  /// those after a complete request are left.
  std::size_t feed(std::string_view bytes);
  State state() const noexcept;

  /// True once: the peer sends its body only after "100 Continue".
  bool wants_continue() noexcept;

  /// When complete. Once.
  HttpRequest take();
  /// When complete: whether the peer wants to keep the connection, by its version and `Connection`.
  bool keep_alive() const noexcept;
  /// 10 or 11; 11 while it is not known.
  int version() const noexcept;

  /// When failed: the answer to send before closing (400, 413, 431, 501 or 505).
  const HttpResponse& error() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// How an answer depends on its request.
struct HttpAnswerTo {
  bool head = false;  ///< the length is sent, the body is not
  bool keep_alive = true;
  int version = 11;
};

/// The bytes of a response. Content-Length, Connection and Date are added; those in `response`, and
/// Transfer-Encoding, are left out. An invalid status is sent as 500.
std::string encode_http_response(const HttpResponse& response, HttpAnswerTo to);

}  // namespace m3
