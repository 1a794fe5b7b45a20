// SPDX-License-Identifier: BSL-1.0
#include "m3/testing/http_client.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

namespace m3::testing {
namespace {
constexpr int kPatienceMs = 20000;
}

HttpClient::HttpClient(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
}

HttpClient::~HttpClient() { end(); }

void HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string HttpClient::answer(bool to_head) {
  static constexpr std::string_view kLength = "Content-Length: ";
  for (;;) {
    const std::size_t head = in_.find("\r\n\r\n");
    if (head != std::string::npos) {
      const std::size_t at = in_.find(kLength);
      std::size_t body = 0;
      if (!to_head && at < head)
        body = std::strtoul(in_.c_str() + at + kLength.size(), nullptr, 10);
      if (in_.size() >= head + 4 + body) {
        std::string out = in_.substr(0, head + 4 + body);
        in_.erase(0, out.size());
        return out;
      }
    }
    if (!read()) return std::exchange(in_, {});
  }
}

std::string HttpClient::rest() {
  while (read()) {
  }
  return std::exchange(in_, {});
}

bool HttpClient::read() {
  pollfd wish{fd_, POLLIN, 0};
  if (poll(&wish, 1, kPatienceMs) != 1) {
    in_ += "[nothing came in 20 s]";
    return false;
  }
  std::array<char, 16384> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): is filled
  const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
  reset_ = got < 0;
  if (got > 0) in_.append(buffer.data(), static_cast<std::size_t>(got));
  return got > 0;
}

void HttpClient::finish_sending() { shutdown(fd_, SHUT_WR); }

void HttpClient::end() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void HttpClient::abort() {
  const linger hard{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  end();
}

HttpReply http_get(std::uint16_t port, const std::string& path, const std::string& token,
                   const std::string& method) {
  HttpClient client(port);
  HttpReply out;
  if (!client.connected()) return out;
  std::string request = method + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  if (!token.empty()) request += "Authorization: Bearer " + token + "\r\n";
  client.send(request + "Connection: close\r\n\r\n");
  const std::string text = client.rest();
  const std::size_t head = text.find("\r\n\r\n");
  if (!text.starts_with("HTTP/1.1 ") || head == std::string::npos) return out;
  out.status = std::atoi(text.c_str() + 9);
  out.head = text.substr(0, head + 2);
  out.body = text.substr(head + 4);
  return out;
}

}  // namespace m3::testing
