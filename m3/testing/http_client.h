// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace m3::testing {

/// One connection to an HTTP server on 127.0.0.1, with blocking calls: for a thread that is not a
/// core. Sends any bytes, valid or not. Waiting ends after 20 s, with a text about it.
class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port);
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  bool connected() const { return connected_; }
  void send(std::string_view bytes);
  /// The next whole answer, or the bytes received until the other side closed.
  std::string answer(bool to_head = false);
  std::string ask(std::string_view request) { return send(request), answer(); }
  /// Everything until the other side ends.
  std::string rest();
  /// The last read found the connection reset.
  bool was_reset() const { return reset_; }

  void finish_sending();  ///< half-closes
  void end();             ///< closes
  void abort();           ///< closes with a reset

 private:
  bool read();
  int fd_ = -1;
  std::string in_;
  bool connected_ = false;
  bool reset_ = false;
};

struct HttpReply {
  int status = 0;  ///< 0: there was no answer
  std::string head;
  std::string body;
};
/// One request on its own connection.
HttpReply http_get(std::uint16_t port, const std::string& path, const std::string& token = "",
                   const std::string& method = "GET");

}  // namespace m3::testing
