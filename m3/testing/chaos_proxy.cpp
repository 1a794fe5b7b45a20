// SPDX-License-Identifier: BSL-1.0
#include "m3/testing/chaos_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace m3::testing {
namespace {

using Way = ChaosProxy::Way;
constexpr std::size_t kMostHeld = 256u << 10;  // bytes on their way in the proxy, per direction

TimePoint now() { return std::chrono::steady_clock::now(); }

/// The faults of one direction.
struct Rules {
  Nanos delay{0};
  std::size_t slice = 0;
  bool stalled = false;
  bool black_hole = false;
  std::optional<std::uint64_t> black_hole_at;
  std::optional<std::uint64_t> corrupt_at;
  std::optional<std::uint64_t> cut_at;
};

/// One direction of one connection.
struct Lane {
  struct Piece {
    TimePoint due;
    std::string bytes;
  };
  int from = -1;
  int to = -1;
  std::deque<Piece> pieces;
  std::size_t held = 0;
  std::uint64_t read = 0;
  std::uint64_t written = 0;
  TimePoint next_write = TimePoint::min();
  bool ended = false;     // the sender closed
  bool end_told = false;  // and the receiver knows

  bool wants_read(const Rules& rules) const { return !ended && !rules.stalled && held < kMostHeld; }
  /// When there is something to do besides reading; max() = never.
  TimePoint next_action(const Rules& rules) const {
    if (rules.stalled || end_told) return TimePoint::max();
    if (!pieces.empty()) return std::max(pieces.front().due, next_write);
    return ended && !rules.black_hole ? TimePoint::min() : TimePoint::max();
  }
};

struct Connection {
  Connection(int client, int server) {
    lanes[0].from = lanes[1].to = client;
    lanes[0].to = lanes[1].from = server;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    for (Lane& lane : lanes) ::close(lane.from);
  }
  /// Its end is a reset.
  void cut() {
    const linger at_once{1, 0};
    for (Lane& lane : lanes) setsockopt(lane.from, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    broken = true;
  }
  bool over() const { return broken || (lanes[0].end_told && lanes[1].end_told); }
  std::array<Lane, 2> lanes;  // to_server, to_client
  bool broken = false;
};

int plain_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

bool would_wait(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == EINPROGRESS ||
         error == ENOTCONN;
}

}  // namespace

struct ChaosProxy::Impl {
  Impl(int listening, sockaddr_in to) : listener(listening), target(to) {
    wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    thread = std::thread([this] { run(); });
  }
  ~Impl() {
    change([this] { stopping = true; });
    thread.join();
    connections.clear();
    ::close(listener);
    ::close(wake_fd);
  }

  template <class Change>
  void change(Change apply) {
    std::lock_guard lock(mutex);
    apply();
    eventfd_write(wake_fd, 1);
  }
  template <class Change>
  void change_rules(Way way, Change apply) {
    change([&] {
      if (way != Way::to_client) apply(rules[0]);
      if (way != Way::to_server) apply(rules[1]);
    });
  }

  void run() {
    std::unique_lock lock(mutex);
    while (!stopping) {
      std::vector<pollfd> fds = what_to_watch();
      const int timeout = how_long();
      lock.unlock();
      ::poll(fds.data(), fds.size(), timeout);
      lock.lock();
      eventfd_t count = 0;
      eventfd_read(wake_fd, &count);
      if (fds[1].revents) accept_one();
      for (auto& connection : connections) serve(*connection);
      std::erase_if(connections, [](const auto& connection) { return connection->over(); });
    }
  }
  std::vector<pollfd> what_to_watch() {
    std::vector<pollfd> fds = {{wake_fd, POLLIN, 0}, {listener, POLLIN, 0}};
    for (const auto& connection : connections) {
      for (std::size_t i = 0; i < 2; ++i) {
        const Lane& lane = connection->lanes[i];
        if (lane.wants_read(rules[i])) fds.push_back({lane.from, POLLIN, 0});
        if (lane.next_action(rules[i]) <= now()) fds.push_back({lane.to, POLLOUT, 0});
      }
    }
    return fds;
  }
  int how_long() {
    TimePoint next = TimePoint::max();
    for (const auto& connection : connections)
      for (std::size_t i = 0; i < 2; ++i) {
        const TimePoint at = connection->lanes[i].next_action(rules[i]);
        if (at > now()) next = std::min(next, at);
      }
    if (next == TimePoint::max()) return -1;
    return static_cast<int>(
        std::chrono::ceil<std::chrono::milliseconds>(std::max(next - now(), Nanos(0))).count());
  }

  void accept_one() {
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) return;
    const int one = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const int server = plain_socket();
    ++accepted;
    connections.push_back(std::make_unique<Connection>(client, server));
    const bool dialled =
        ::connect(server, reinterpret_cast<sockaddr*>(&target), sizeof target) == 0 ||
        errno == EINPROGRESS;
    if (!dialled || refusing) connections.back()->cut();
  }
  void serve(Connection& connection) {
    for (std::size_t i = 0; i < 2 && !connection.broken; ++i) {
      Lane& lane = connection.lanes[i];
      if (!take_in(lane, rules[i]) || !pass_on(lane, rules[i], passed[i])) connection.cut();
    }
  }

  // False: the connection is at its end.
  static bool take_in(Lane& lane, const Rules& rules) {
    char buffer[16 << 10];
    while (lane.wants_read(rules)) {
      const ssize_t got = ::recv(lane.from, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got < 0 && would_wait(errno)) return true;
      if (got < 0 && !rules.black_hole) return false;
      if (got <= 0) {
        lane.ended = true;
        return true;
      }
      const auto size = static_cast<std::size_t>(got);
      if (rules.corrupt_at && *rules.corrupt_at >= lane.read &&
          *rules.corrupt_at < lane.read + size)
        buffer[*rules.corrupt_at - lane.read] ^= 1;
      std::size_t kept = rules.black_hole ? 0 : size;
      if (rules.black_hole_at)
        kept = std::min<std::uint64_t>(
            kept, *rules.black_hole_at - std::min(*rules.black_hole_at, lane.read));
      lane.read += size;
      if (kept == 0) continue;
      lane.pieces.push_back({now() + rules.delay, std::string(buffer, kept)});
      lane.held += kept;
    }
    return true;
  }
  static bool pass_on(Lane& lane, const Rules& rules, std::uint64_t& total) {
    if (rules.cut_at && lane.written >= *rules.cut_at) return false;
    while (lane.next_action(rules) <= now()) {
      if (lane.pieces.empty()) {
        ::shutdown(lane.to, SHUT_WR);
        lane.end_told = true;
        return true;
      }
      std::string& bytes = lane.pieces.front().bytes;
      std::size_t most = bytes.size();
      if (rules.slice) most = std::min(most, rules.slice);
      if (rules.cut_at) most = std::min<std::uint64_t>(most, *rules.cut_at - lane.written);
      const ssize_t sent = ::send(lane.to, bytes.data(), most, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0) return would_wait(errno);
      lane.written += static_cast<std::size_t>(sent);
      lane.held -= static_cast<std::size_t>(sent);
      total += static_cast<std::size_t>(sent);
      bytes.erase(0, static_cast<std::size_t>(sent));
      if (bytes.empty()) lane.pieces.pop_front();
      if (rules.slice) lane.next_write = now() + std::chrono::milliseconds(1);
      if (rules.cut_at && lane.written >= *rules.cut_at) return false;
    }
    return true;
  }

  const int listener;
  int wake_fd = -1;
  sockaddr_in target;
  mutable std::mutex mutex;
  std::array<Rules, 2> rules;  // to_server, to_client
  std::array<std::uint64_t, 2> passed{};
  std::vector<std::unique_ptr<Connection>> connections;
  std::uint64_t accepted = 0;
  bool refusing = false;
  bool stopping = false;
  std::thread thread;
};

Result<std::unique_ptr<ChaosProxy>> ChaosProxy::start(const HostPort& target) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(target.port);
  if (inet_pton(AF_INET, target.host.c_str(), &to.sin_addr) != 1)
    return Status(Errc::invalid_argument,
                  "chaos proxy: " + target.to_string() + " is not an IPv4 address with a port");
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof here;
  auto* name = reinterpret_cast<sockaddr*>(&here);
  const int listener = plain_socket();
  if (listener < 0 || ::bind(listener, name, size) != 0 || ::listen(listener, 128) != 0 ||
      ::getsockname(listener, name, &size) != 0) {
    const int error = errno;
    if (listener >= 0) ::close(listener);
    return Status(Errc::unavailable, std::string("chaos proxy: ") + std::strerror(error));
  }
  std::unique_ptr<ChaosProxy> proxy(new ChaosProxy(std::make_unique<Impl>(listener, to)));
  proxy->address_.host = "127.0.0.1";
  proxy->address_.port = ntohs(here.sin_port);
  return proxy;
}

ChaosProxy::ChaosProxy(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChaosProxy::~ChaosProxy() = default;

void ChaosProxy::delay(Nanos by, Way way) {
  impl_->change_rules(way, [&](Rules& rules) { rules.delay = by; });
}
void ChaosProxy::slice(std::size_t bytes, Way way) {
  impl_->change_rules(way, [&](Rules& rules) { rules.slice = bytes; });
}
void ChaosProxy::stall(bool stalled, Way way) {
  impl_->change_rules(way, [&](Rules& rules) { rules.stalled = stalled; });
}
void ChaosProxy::black_hole(bool dropping, Way way) {
  impl_->change_rules(way, [&](Rules& rules) { rules.black_hole = dropping; });
}
void ChaosProxy::black_hole_at(std::uint64_t offset, Way way) {
  impl_->change_rules(way, [&](Rules& rules) { rules.black_hole_at = offset; });
}
void ChaosProxy::corrupt_at(std::uint64_t offset, Way way) {
  impl_->change_rules(way, [&](Rules& rules) { rules.corrupt_at = offset; });
}
void ChaosProxy::cut_at(std::uint64_t offset, Way way) {
  impl_->change_rules(way, [&](Rules& rules) { rules.cut_at = offset; });
}
void ChaosProxy::behave() {
  impl_->change_rules(Way::both, [](Rules& rules) { rules = {}; });
}
void ChaosProxy::cut_all() {
  impl_->change([this] {
    for (auto& connection : impl_->connections) connection->cut();
    impl_->connections.clear();
  });
}
void ChaosProxy::refuse(bool refusing) {
  impl_->change([&] { impl_->refusing = refusing; });
}

std::size_t ChaosProxy::connections() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->connections.size();
}
std::uint64_t ChaosProxy::accepted() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->accepted;
}
std::uint64_t ChaosProxy::passed(Way way) const {
  std::lock_guard lock(impl_->mutex);
  return (way != Way::to_client ? impl_->passed[0] : 0) +
         (way != Way::to_server ? impl_->passed[1] : 0);
}

}  // namespace m3::testing
