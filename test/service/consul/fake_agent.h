// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "m3/base/host_port.h"

namespace consul_test {

/// A server on 127.0.0.1 that answers each request (its head and body) with what `answers` gives:
/// whole bytes of HTTP; "" keeps silent, kHangUp ends the connection.
class FakeAgent {
 public:
  using Answers = std::function<std::string(const std::string& request)>;
  static constexpr const char* kHangUp = "hang up";

  explicit FakeAgent(Answers answers) : answers_(std::move(answers)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    auto* address = reinterpret_cast<sockaddr*>(&name);
    if (listener_ < 0 || ::bind(listener_, address, size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, address, &size) != 0)
      throw std::runtime_error("no port");
    port_ = ntohs(name.sin_port);
    acceptor_ = std::thread([this] { accept(); });
  }
  FakeAgent(const FakeAgent&) = delete;
  FakeAgent& operator=(const FakeAgent&) = delete;
  ~FakeAgent() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& reader : readers_) reader.join();
    for (const int fd : open_) ::close(fd);
  }

  std::uint16_t port() const { return port_; }
  m3::HostPort address() const { return {"127.0.0.1", port_}; }
  int requests() const { return requests_; }
  int connections() const { return connections_; }
  void set(Answers answers) {
    const std::lock_guard lock(mutex_);
    answers_ = std::move(answers);
  }
  /// An answer with that index, kept alive.
  static std::string answer(int status, const std::string& body, const std::string& more = "") {
    return "HTTP/1.1 " + std::to_string(status) + " x\r\n" + more +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

 private:
  void accept() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections_;
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      readers_.emplace_back([this, fd] { serve(fd); });
    }
  }
  void serve(int fd) {
    std::string bytes;
    char buffer[4096];
    for (;;) {
      const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
      if (got <= 0) return;
      bytes.append(buffer, static_cast<std::size_t>(got));
      for (std::string request; take(bytes, request);) {
        ++requests_;
        std::string reply;
        {
          const std::lock_guard lock(mutex_);
          reply = answers_(request);
        }
        if (reply == kHangUp) {
          ::shutdown(fd, SHUT_RDWR);
          return;
        }
        if (!reply.empty() && ::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) return;
      }
    }
  }
  static bool take(std::string& bytes, std::string& request) {
    const std::size_t head = bytes.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    std::size_t size = head + 4;
    const std::size_t length = bytes.find("Content-Length: ");
    if (length < head) size += std::stoul(bytes.substr(length + 16));
    if (bytes.size() < size) return false;
    request = bytes.substr(0, size);
    bytes.erase(0, size);
    return true;
  }

  Answers answers_;
  int listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::uint16_t port_ = 0;
  std::atomic<int> requests_{0};
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::vector<int> open_;
  std::vector<std::thread> readers_;
  std::thread acceptor_;
};

}  // namespace consul_test
