// SPDX-License-Identifier: BSL-1.0
#include "m3/net/connector.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <optional>

#include "m3/async/asio.h"
#include "m3/async/channel.h"
#include "m3/async/edge_op.h"
#include "m3/async/scope.h"
#include "m3/async/timer.h"
#include "m3/net/detail/name_lookup.h"
#include "m3/net/detail/socket.h"

namespace m3 {

using async_detail::EdgeWatch;
using net_detail::errno_status;
using net_detail::name_of;
using net_detail::NameLookups;
using net_detail::no_delay;
using tcp = boost::asio::ip::tcp;

namespace {

/// Waits for a connect in progress.
class ConnectOp final : public async_detail::CtxOp {
 public:
  using value_type = void;
  ConnectOp(Ctx& ctx, int fd) : CtxOp(ctx), fd_(fd) {}
  ConnectOp(ConnectOp&& other) noexcept : CtxOp(other.ctx()), fd_(other.fd_) {}

  bool start(async_detail::Waiter& waiter) {
    if (refused()) return true;
    watch_ = std::make_unique<EdgeWatch>(io_context(ctx().core()), fd_, [](void*) {}, this);
    watch_->wait_writable(&ConnectOp::on_edge);
    suspend(waiter);
    return false;
  }
  void take() const noexcept {}

 private:
  static void on_edge(void* arg) {
    auto* self = static_cast<ConnectOp*>(arg);
    pollfd look{self->fd_, POLLOUT, 0};
    // The reactor may wake for an earlier owner of the descriptor's slot.
    if (::poll(&look, 1, 0) == 0) return self->watch_->wait_writable(&ConnectOp::on_edge);
    Turn turn(self->ctx().core());
    self->watch_->close();
    self->finish();
  }
  void detach() noexcept override { watch_->close(); }
  int fd_;
  std::unique_ptr<EdgeWatch> watch_;
};

int error_of(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

/// A dial to a free port of this machine may get that very port as its own and connect to itself.
bool met_itself(int fd) {
  tcp::endpoint here;
  tcp::endpoint there;
  socklen_t here_size = static_cast<socklen_t>(here.capacity());
  socklen_t there_size = static_cast<socklen_t>(there.capacity());
  return getsockname(fd, here.data(), &here_size) == 0 &&
         getpeername(fd, there.data(), &there_size) == 0 && here == there;
}

Task<ConnectedSocket> connect_to(Ctx& ctx, tcp::endpoint endpoint) {
  const int fd =
      ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) co_return errno_status(errno, "socket");
  ConnectedSocket socket(fd, name_of(endpoint));
  no_delay(socket.fd());
  int error = 0;
  if (::connect(socket.fd(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    error = errno;
    if (error == EINPROGRESS) {
      ConnectOp connected(ctx, socket.fd());
      co_await connected;
      error = error_of(socket.fd());
    }
  }
  if (!error && met_itself(socket.fd())) error = ECONNREFUSED;
  if (error) co_return errno_status(error, "connect to " + socket.peer());
  co_return socket;
}

std::optional<tcp::endpoint> literal(const std::string& host, std::uint16_t port) {
  boost::system::error_code not_numeric;
  const auto ip = boost::asio::ip::make_address(host, not_numeric);
  if (not_numeric) return std::nullopt;
  return tcp::endpoint(ip, port);
}

/// The families alternate, beginning with that of the best address.
std::vector<tcp::endpoint> alternating(const std::vector<tcp::endpoint>& all) {
  std::vector<tcp::endpoint> first, second, out;
  for (const tcp::endpoint& one : all)
    (one.protocol() == all.front().protocol() ? first : second).push_back(one);
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) out.push_back(first[i]);
    if (i < second.size()) out.push_back(second[i]);
  }
  return out;
}

/// Attempts at several addresses, of which the first to succeed wins.
class Race {
 public:
  explicit Race(Core& core) : scope_(core) {}

  void begin(const tcp::endpoint& endpoint) {
    ++running_;
    scope_.spawn("connect", [this, endpoint](Ctx& own) { return attempt(own, endpoint); });
  }
  bool running() const { return running_ > 0; }
  bool won() const { return winner_.is_open(); }
  /// Until an attempt has ended.
  Task<> news(Ctx& ctx) {
    co_await ended_.receive(ctx);
    co_return ok;
  }
  Task<> close(Ctx& ctx) { return scope_.close(ctx); }
  ConnectedSocket winner() { return std::move(winner_); }
  Status why() { return std::move(why_); }

 private:
  Task<> attempt(Ctx& ctx, tcp::endpoint endpoint) {
    auto socket = co_await as_result(connect_to(ctx, endpoint));
    --running_;
    if (!socket.is_ok())
      why_ = std::move(socket).status();
    else if (!won())
      winner_ = *std::move(socket);
    (void)ended_.try_send(0).is_ok();  // full: it is known already
    co_return ok;
  }

  std::size_t running_ = 0;
  ConnectedSocket winner_;
  Status why_;
  Channel<char> ended_{1};
  Scope scope_;
};

/// Starts the attempts and waits until one has won or all have failed; never fails itself.
Task<> run(Ctx& ctx, Race& race, const std::vector<tcp::endpoint>& endpoints, Nanos stagger) {
  for (const tcp::endpoint& endpoint : endpoints) {
    race.begin(endpoint);
    // The next one starts when this one has been silent for a while, or at once when one has
    // failed.
    if (!race.won())
      (void)co_await as_result(within(ctx, stagger, [&](Ctx& soon) { return race.news(soon); }));
    if (race.won() || ctx.cancelled() || ctx.remaining() <= Nanos(0)) break;
  }
  while (race.running() && !race.won()) {
    co_await race.news(ctx);
  }
  co_return ok;
}

Task<ConnectedSocket> connect_to_any(Ctx& ctx, std::vector<tcp::endpoint> endpoints,
                                     Nanos stagger) {
  // With little time left, each still gets its turn.
  if (ctx.remaining() != Nanos::max())
    stagger = std::min(stagger, ctx.remaining() / static_cast<std::int64_t>(endpoints.size()));
  Race race(ctx.core());
  const Status ran = (co_await as_result(run(ctx, race, endpoints, stagger))).status();
  Ctx patient(ctx.core());
  co_await race.close(patient);  // the losers end at once
  if (race.won()) co_return race.winner();
  if (!ran) co_return ran;
  co_return ctx.cancelled() ? ctx.status() : race.why();
}

}  // namespace

ConnectedSocket::~ConnectedSocket() {
  if (fd_ >= 0) ::close(fd_);
}

struct Connector::Impl {
  Impl(Core& core, Options given) : options(given), lookups(core, std::move(given.resolve)) {}

  Task<std::vector<tcp::endpoint>> endpoints(Ctx& ctx, const HostPort& address) {
    std::vector<tcp::endpoint> out;
    if (const auto one = literal(address.host, address.port)) {
      out.push_back(*one);
      co_return out;
    }
    const std::vector<std::string> found = co_await NameLookups::Op(ctx, lookups, address.host);
    for (const std::string& text : found)
      if (const auto one = literal(text, address.port)) out.push_back(*one);
    if (out.empty()) co_return Status(Errc::unavailable, "no address of " + address.host);
    co_return alternating(out);
  }

  const Options options;
  NameLookups lookups;
};

Connector::Connector(Core& core, Options options)
    : impl_(std::make_unique<Impl>(core, std::move(options))) {}
Connector::~Connector() = default;
std::size_t Connector::look_ups() const { return impl_->lookups.size(); }

Task<ConnectedSocket> Connector::connect(Ctx& ctx, HostPort address) {
  auto endpoints = co_await as_result(impl_->endpoints(ctx, address));
  if (!endpoints.is_ok()) co_return std::move(endpoints).status().not_executed();
  const Nanos stagger = impl_->options.stagger;
  auto socket = endpoints->size() == 1
                    ? co_await as_result(connect_to(ctx, endpoints->front()))
                    : co_await as_result(connect_to_any(ctx, *std::move(endpoints), stagger));
  if (!socket.is_ok()) co_return std::move(socket).status().not_executed();
  co_return socket;
}

}  // namespace m3
