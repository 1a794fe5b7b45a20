// SPDX-License-Identifier: BSL-1.0
#include "m3/testing/chaos_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "m3/testing/catch.h"

namespace m3::testing {
namespace {

using namespace std::chrono_literals;
using Way = ChaosProxy::Way;

/// A blocking socket whose reads give up.
struct Socket {
  explicit Socket(int descriptor) : fd(descriptor) {
    const timeval patience{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  Socket(Socket&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
  ~Socket() { close(); }
  void close() {
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
  void send(std::string_view bytes) const {
    CHECK(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(bytes.size()));
  }
  /// Reads until there are `size` bytes, or the end; errno tells how it ended.
  std::string read(std::size_t size) const {
    std::string out;
    char buffer[4096];
    errno = 0;
    while (out.size() < size) {
      const ssize_t got = ::recv(fd, buffer, std::min(sizeof buffer, size - out.size()), 0);
      if (got <= 0) break;
      out.append(buffer, static_cast<std::size_t>(got));
    }
    return out;
  }
  bool has_bytes_within(std::chrono::milliseconds wait) const {
    pollfd look{fd, POLLIN, 0};
    return ::poll(&look, 1, static_cast<int>(wait.count())) > 0;
  }
  bool ends() const {
    char byte = 0;
    errno = 0;
    return ::recv(fd, &byte, 1, 0) == 0;
  }
  bool is_reset() const { return !ends() && errno == ECONNRESET; }
  int fd;
};

struct Listening {
  Listening() : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* name = reinterpret_cast<sockaddr*>(&at);
    CHECK((::bind(fd, name, size) == 0 && ::listen(fd, 10) == 0));
    CHECK(::getsockname(fd, name, &size) == 0);
    address.host = "127.0.0.1";
    address.port = ntohs(at.sin_port);
  }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;
  ~Listening() { ::close(fd); }
  Socket accept() const { return Socket(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC)); }
  int fd;
  HostPort address;
};

Socket dial(const HostPort& address) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(address.port);
  inet_pton(AF_INET, address.host.c_str(), &to.sin_addr);
  Socket made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(::connect(made.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  return made;
}

/// client — proxy — server.
struct Line {
  Listening listening;
  std::unique_ptr<ChaosProxy> proxy = *ChaosProxy::start(listening.address);
  Socket client = dial(proxy->address());
  Socket server = listening.accept();
};

std::string text(std::size_t size) {
  std::string out(size, ' ');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + i % 23);
  return out;
}

using Steady = std::chrono::steady_clock;

}  // namespace

TEST_CASE("chaos proxy: left alone it passes everything, and each end by itself") {
  Line line;
  const std::string much = text(3u << 20);
  std::string arrived;
  std::thread reader([&] { arrived = line.server.read(much.size()); });
  line.client.send(much);
  reader.join();
  CHECK(arrived == much);
  ::shutdown(line.client.fd, SHUT_WR);
  CHECK(line.server.ends());
  line.server.send("answer");
  CHECK(line.client.read(6) == "answer");
  CHECK(line.proxy->passed(Way::to_server) == much.size());
  CHECK(line.proxy->passed(Way::to_client) == 6);
  CHECK(line.proxy->connections() == 1);
  line.server.close();
  CHECK(line.client.ends());
}

TEST_CASE("chaos proxy: a delay holds bytes back one way") {
  Line line;
  line.proxy->delay(60ms, Way::to_server);
  const auto began = Steady::now();
  line.client.send("late");
  line.server.send("at once");
  CHECK(line.client.read(7) == "at once");
  CHECK(line.server.read(4) == "late");
  CHECK(Steady::now() - began >= 60ms);
}

TEST_CASE("chaos proxy: slices arrive one by one, and nothing is lost") {
  Line line;
  line.proxy->slice(3);
  const std::string words = text(40);
  const auto began = Steady::now();
  line.client.send(words);
  CHECK(line.server.read(words.size()) == words);
  CHECK(Steady::now() - began >= 12ms);
}

TEST_CASE("chaos proxy: a stall stops one way only, and ends") {
  Line line;
  line.proxy->stall(true, Way::to_client);
  line.server.send("held");
  line.client.send("passes");
  CHECK(line.server.read(6) == "passes");
  CHECK_FALSE(line.client.has_bytes_within(40ms));
  line.proxy->stall(false, Way::to_client);
  CHECK(line.client.read(4) == "held");
}

TEST_CASE("chaos proxy: a black hole swallows bytes and closes") {
  Line line;
  line.proxy->black_hole(true, Way::to_server);
  line.client.send("gone");
  CHECK_FALSE(line.server.has_bytes_within(30ms));
  line.client.close();
  CHECK_FALSE(line.server.has_bytes_within(30ms));
  line.proxy->cut_all();
  CHECK(line.server.is_reset());
}

TEST_CASE("chaos proxy: one bit of one byte is turned") {
  Line line;
  line.proxy->corrupt_at(5, Way::to_client);
  line.server.send("0123");
  line.server.send("456789");
  CHECK(line.client.read(10) == "0123446789");
}

TEST_CASE("chaos proxy: a cut happens after exactly that many bytes, on every connection") {
  Line line;
  line.proxy->cut_at(7, Way::to_server);
  line.client.send("0123456789");
  CHECK(line.server.read(100) == "0123456");
  CHECK(errno == ECONNRESET);
  CHECK(line.client.is_reset());
  line.proxy->behave();
  Socket again = dial(line.proxy->address());
  Socket accepted = line.listening.accept();
  again.send("0123456789");
  CHECK(accepted.read(10) == "0123456789");
  line.proxy->cut_all();
  CHECK(again.is_reset());
  CHECK(accepted.is_reset());
  CHECK(line.proxy->connections() == 0);
  CHECK(line.proxy->accepted() == 2);
}

TEST_CASE("chaos proxy: a connection falls silent in its middle") {
  Line line;
  line.proxy->black_hole_at(4, Way::to_server);
  line.client.send("hear");
  CHECK(line.server.read(4) == "hear");
  line.client.send("me");
  CHECK_FALSE(line.server.has_bytes_within(50ms));
  line.server.send("what?");
  CHECK(line.client.read(5) == "what?");
  line.proxy->behave();
  line.client.send("again");
  CHECK(line.server.read(5) == "again");
}

TEST_CASE("chaos proxy: refused and unreachable look the same to the client") {
  Line line;
  line.proxy->refuse(true);
  CHECK_FALSE(dial(line.proxy->address()).ends());  // reset
  line.proxy->refuse(false);
  line.server.send("still here");
  CHECK(line.client.read(10) == "still here");

  HostPort nobody;
  {
    Listening gone;
    nobody = gone.address;
  }
  auto proxy = *ChaosProxy::start(nobody);
  CHECK_FALSE(dial(proxy->address()).ends());
  CHECK(ChaosProxy::start(*HostPort::parse("localhost:1")).code() == Errc::invalid_argument);
}

}  // namespace m3::testing
