// SPDX-License-Identifier: BSL-1.0
// A publisher and a subscriber over core NATS: a blocking socket and nothing else.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "peers/bare_broadcast.h"
#include "support/hearing.h"

namespace bench {
namespace {

constexpr std::uint64_t kAtOnce = 64;  // PUB operations in one send

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

class Connection {
 public:
  explicit Connection(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fail("bare_nats: connect");
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    line();  // INFO
    send("CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n");
    while (line() != "PONG") {
    }
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) fail("bare_nats: send");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  /// Without its end; stays until the next call.
  std::string_view line() {
    for (;;) {
      const char* begin = buffer_.data() + at_;
      const void* end = std::memchr(begin, '\n', filled_ - at_);
      if (end) {
        const auto size = static_cast<std::size_t>(static_cast<const char*>(end) - begin);
        at_ += size + 1;
        return {begin, size - 1};
      }
      fill();
    }
  }
  std::string_view bytes(std::size_t size) {
    while (filled_ - at_ < size + 2) fill();
    const std::string_view out(buffer_.data() + at_, size);
    at_ += size + 2;
    return out;
  }

 private:
  void fill() {
    std::memmove(buffer_.data(), buffer_.data() + at_, filled_ - at_);
    filled_ -= at_;
    at_ = 0;
    const ssize_t n = recv(fd_, buffer_.data() + filled_, buffer_.size() - filled_, 0);
    if (n < 0) fail("bare_nats: recv");
    if (n == 0) std::exit(0);
    filled_ += static_cast<std::size_t>(n);
  }
  int fd_;
  std::string buffer_ = std::string(256 << 10, '\0');
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
};

void subscribe(int port) {
  Connection nats(port);
  nats.send("SUB " + std::string(kBareTopic) + " 1\r\nPING\r\n");
  Hearing hearing;
  bool ready = false;
  for (;;) {
    const std::string_view line = nats.line();
    if (line.starts_with("MSG ")) {
      const std::string_view digits = line.substr(line.rfind(' ') + 1);
      std::size_t size = 0;
      std::from_chars(digits.data(), digits.data() + digits.size(), size);
      hearing.heard(nats.bytes(size));
    } else if (line == "PING") {
      nats.send("PONG\r\n");
    } else if (line == "PONG" && !ready) {
      ready = true;
      JsonLine().text("event", "ready").print();
    }
  }
}

std::string operation(const std::string& text) {
  return "PUB " + std::string(kBareTopic) + " " + std::to_string(text.size()) + "\r\n" + text +
         "\r\n";
}

void shout(Connection& nats, std::uint64_t count) {
  const std::string message = operation(message_text());
  const std::uint64_t cpu = own_cpu_ns();
  const std::uint64_t began = now_ns();
  std::string out = operation(first_text());
  for (std::uint64_t i = 2; i < count; ++i) {
    out += message;
    if (i % kAtOnce != 0) continue;
    nats.send(out);
    out.clear();
  }
  out += operation(last_text());
  nats.send(out);
  print_published(count, began, own_cpu_ns() - cpu);
}

void publish(int port) {
  Connection nats(port);
  JsonLine().text("event", "ready").print();
  for (Command command; next_command(command);) {
    if (command.word == "probe")
      nats.send(operation(probe_text()));
    else
      shout(nats, command.count);
  }
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_bare(argc, argv);
  options.publish ? bench::publish(options.port) : bench::subscribe(options.port);
}
