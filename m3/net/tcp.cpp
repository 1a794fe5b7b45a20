// SPDX-License-Identifier: BSL-1.0
#include "m3/net/tcp.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "m3/async/asio.h"
#include "m3/async/edge_op.h"
#include "m3/obs/log.h"

namespace m3 {

namespace asio = boost::asio;
using async_detail::EdgeWatch;
using tcp = asio::ip::tcp;

namespace {

Status errno_status(int error, std::string_view what) {
  return to_status(boost::system::error_code(error, boost::system::system_category()))
      .add_context(what);
}

std::string name_of(const tcp::endpoint& endpoint) {
  HostPort address;
  address.host = endpoint.address().to_string();
  address.port = endpoint.port();
  return address.to_string();
}

void no_delay(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/// Reads into the core's buffer; keeps only what is unfinished.
class TcpStream final : public Stream {
 public:
  TcpStream(Core& core, StreamBuffers& buffers, int fd, std::string peer_name)
      : core_(core),
        buffers_(buffers),
        fd_(fd),
        peer_name_(std::move(peer_name)),
        watch_(io_context(core), fd, &TcpStream::on_edge, this),
        again_(std::make_shared<Again>(*this)) {}
  ~TcpStream() override {
    close();
    again_->stream = nullptr;
  }

  void start(StreamHandler& handler) override {
    handler_ = &handler;
    waiting_ = true;
    watch_.wait();
  }
  std::size_t send(std::string_view bytes) override;
  void pause_reading(bool paused) override {
    paused_ = paused;
    if (!paused && !waiting_ && fd_ >= 0) go_on_later();
  }
  void close() override {
    if (fd_ < 0) return;
    handler_ = nullptr;
    watch_.close();
    ::close(std::exchange(fd_, -1));
    buffers_.pool.give(std::exchange(tail_, {}));
    tail_size_ = 0;
  }
  const std::string& peer_name() const override { return peer_name_; }

 private:
  /// Reading that goes on from the ready queue. Outlives the stream while it is queued.
  struct Again final : Core::Runnable {
    explicit Again(TcpStream& owner) : Runnable(&Again::fire), stream(&owner) {}
    static void fire(Core::Runnable& work) {
      auto keep = std::move(static_cast<Again&>(work).self);
      if (keep->stream) keep->stream->go_on();
    }
    TcpStream* stream;
    std::shared_ptr<Again> self;  // while queued
  };

  static void on_edge(void* arg) {
    auto* self = static_cast<TcpStream*>(arg);
    Turn turn(self->core_);
    self->waiting_ = false;
    self->read();
  }
  static void on_write_edge(void* arg) {
    auto* self = static_cast<TcpStream*>(arg);
    Turn turn(self->core_);
    if (self->handler_) self->handler_->on_writable();
  }
  void go_on_later() {
    if (again_->self) return;
    again_->self = again_;
    core_.ready(*again_);
  }
  void go_on() {
    if (fd_ < 0) return;
    if (send_error_) return broke(errno_status(send_error_, "send"));
    if (!waiting_) read();
  }
  void read();
  StreamHandler::Taken show(std::string_view bytes) { return handler_->on_bytes(bytes); }
  void keep_tail(std::string_view rest, std::size_t needed);
  void broke(Status why) {
    StreamHandler* handler = handler_;
    close();
    if (handler) handler->on_closed(std::move(why));
  }

  Core& core_;
  StreamBuffers& buffers_;
  int fd_;
  std::string peer_name_;
  EdgeWatch watch_;
  std::shared_ptr<Again> again_;
  StreamHandler* handler_ = nullptr;
  OutBufferPool::Buffer tail_;  // an unfinished frame; none while the connection is idle
  std::size_t tail_size_ = 0;
  bool waiting_ = false;
  bool paused_ = false;
  int send_error_ = 0;
};

std::size_t TcpStream::send(std::string_view bytes) {
  if (fd_ < 0 || send_error_) return bytes.size();  // nobody is there to get them
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n =
        ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      sent += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      watch_.wait_writable(&TcpStream::on_write_edge);
      return sent;
    } else if (errno != EINTR) {
      send_error_ = errno;
      go_on_later();
      return bytes.size();
    }
  }
  return sent;
}

void TcpStream::read() {
  if (paused_ || !handler_) return;
  // A small tail goes before the new bytes in the core's buffer, so that whole frames lie in one
  // piece; a large frame is gathered where it is.
  const bool gather = tail_size_ > 0 && tail_.size > StreamBuffers::kReadBytes / 2;
  char* to = gather ? tail_.data.get() : buffers_.read.get();
  const std::size_t room = (gather ? tail_.size : StreamBuffers::kReadBytes) - tail_size_;
  ssize_t got = 0;
  do {
    if (!gather && tail_size_ > 0) std::memcpy(to, tail_.data.get(), tail_size_);
    got = ::recv(fd_, to + tail_size_, room, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return broke(Status(Errc::unavailable, "the peer closed the connection"));
  if (got < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK) return broke(errno_status(errno, "receive"));
    waiting_ = true;
    watch_.wait();
    return;
  }
  const std::size_t size = tail_size_ + static_cast<std::size_t>(got);
  const StreamHandler::Taken taken = show(std::string_view(to, size));
  if (fd_ < 0) return;
  keep_tail(std::string_view(to + taken.bytes, size - taken.bytes), taken.needed);
  if (static_cast<std::size_t>(got) < room) {
    waiting_ = true;
    watch_.wait();
  } else if (!paused_) {
    go_on_later();
  }
}

void TcpStream::keep_tail(std::string_view rest, std::size_t needed) {
  if (rest.empty()) {
    if (tail_.data) buffers_.pool.give(std::exchange(tail_, {}));
    tail_size_ = 0;
    return;
  }
  const std::size_t want = rest.size() + needed;
  if (tail_.size < want || rest.data() < tail_.data.get() ||
      rest.data() >= tail_.data.get() + tail_.size) {
    OutBufferPool::Buffer bigger =
        tail_.size >= want ? std::exchange(tail_, {}) : buffers_.pool.take(want);
    std::memmove(bigger.data.get(), rest.data(), rest.size());
    if (tail_.data) buffers_.pool.give(std::move(tail_));
    tail_ = std::move(bigger);
  } else if (rest.data() != tail_.data.get()) {
    std::memmove(tail_.data.get(), rest.data(), rest.size());
  }
  tail_size_ = rest.size();
}

/// Waits for a connect that is under way.
class ConnectOp final : public async_detail::CtxOp {
 public:
  using value_type = void;
  ConnectOp(Ctx& ctx, int fd) : CtxOp(ctx), fd_(fd) {}
  ConnectOp(ConnectOp&& other) noexcept : CtxOp(std::move(other)), fd_(other.fd_) {}

  bool start(async_detail::Waiter& waiter) {
    if (refused()) return true;
    watch_ = std::make_unique<EdgeWatch>(io_context(ctx().core()), fd_, [](void*) {}, this);
    watch_->wait_writable([](void* arg) {
      auto* self = static_cast<ConnectOp*>(arg);
      Turn turn(self->ctx().core());
      self->watch_->close();
      self->finish();
    });
    suspend(waiter);
    return false;
  }
  void take() const noexcept {}

 private:
  void detach() noexcept override { watch_->close(); }
  int fd_;
  std::unique_ptr<EdgeWatch> watch_;
};

/// Closes unless released.
struct FdGuard {
  explicit FdGuard(int descriptor) : fd(descriptor) {}
  FdGuard(const FdGuard&) = delete;
  FdGuard& operator=(const FdGuard&) = delete;
  ~FdGuard() {
    if (fd >= 0) ::close(fd);
  }
  int release() { return std::exchange(fd, -1); }
  int fd;
};

Task<int> connect_to(Ctx& ctx, tcp::endpoint endpoint) {
  FdGuard guard(
      ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (guard.fd < 0) co_return errno_status(errno, "socket");
  no_delay(guard.fd);
  if (::connect(guard.fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    if (errno != EINPROGRESS)
      co_return errno_status(errno, "connect to " + name_of(endpoint)).not_executed();
    co_await ConnectOp(ctx, guard.fd);
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(guard.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) co_return errno_status(error, "connect to " + name_of(endpoint)).not_executed();
  }
  co_return guard.release();
}

}  // namespace

Task<std::unique_ptr<Stream>> TcpTransport::connect(Ctx& ctx, HostPort address) {
  boost::system::error_code not_numeric;
  const auto ip = asio::ip::make_address(address.host, not_numeric);
  std::vector<tcp::endpoint> endpoints;
  if (!not_numeric) {
    endpoints.emplace_back(ip, address.port);
  } else {
    tcp::resolver resolver(io_context(core_));
    auto found = co_await as_result(
        resolver.async_resolve(address.host, std::to_string(address.port), use_task(ctx)));
    if (!found.is_ok())
      co_return std::move(found).status().add_context("look up " + address.host).not_executed();
    for (const auto& entry : *found) endpoints.push_back(entry.endpoint());
  }
  Status last(Errc::unavailable, "no address of " + address.host);
  for (const tcp::endpoint& endpoint : endpoints) {
    auto fd = co_await as_result(connect_to(ctx, endpoint));
    if (fd.is_ok()) co_return adopt(*fd, name_of(endpoint));
    last = std::move(fd).status();
    if (ctx.cancelled()) break;
  }
  co_return std::move(last).not_executed();
}

std::unique_ptr<Stream> TcpTransport::adopt(int fd, std::string peer_name) {
  return std::make_unique<TcpStream>(core_, buffers_, fd, std::move(peer_name));
}

struct TcpListener::Impl : std::enable_shared_from_this<TcpListener::Impl> {
  Impl(Core& owner, int descriptor, OnAccept handler)
      : core(owner),
        fd(descriptor),
        on_accept(std::move(handler)),
        watch(
            io_context(owner), descriptor, [](void* arg) { static_cast<Impl*>(arg)->on_edge(); },
            this),
        pause(*this) {}
  ~Impl() { close(); }

  void on_edge() {
    Turn turn(core);
    auto keep = shared_from_this();
    accept_all();
  }
  void accept_all() {
    for (;;) {
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      const int accepted =
          ::accept4(fd, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (accepted >= 0) {
        no_delay(accepted);
        tcp::endpoint peer;
        std::memcpy(peer.data(), &from, std::min<std::size_t>(size, peer.capacity()));
        on_accept(accepted, name_of(peer));
        if (fd < 0) return;
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        watch.wait();
        return;
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log::error(
            "cannot accept a connection: {}; trying again in 100 ms (raise the limit of open "
            "files?)",
            std::strerror(errno));
        core.timers().add(pause, core.now() + std::chrono::milliseconds(100));
        return;
      }  // else: that one is gone already
    }
  }
  void close() {
    if (fd < 0) return;
    pause.cancel();
    watch.close();
    ::close(std::exchange(fd, -1));
  }

  struct Pause final : async_detail::TimerNode {
    explicit Pause(Impl& impl)
        : TimerNode([](TimerNode& node) { static_cast<Pause&>(node).owner.accept_all(); }),
          owner(impl) {}
    Impl& owner;
  };

  Core& core;
  int fd;
  OnAccept on_accept;
  EdgeWatch watch;
  Pause pause;
};

TcpListener::TcpListener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
TcpListener::~TcpListener() { close(); }
void TcpListener::close() { impl_->close(); }

Result<std::unique_ptr<TcpListener>> TcpListener::listen(Core& core, const HostPort& address,
                                                         OnAccept on_accept) {
  boost::system::error_code wrong;
  const auto ip =
      asio::ip::make_address(address.host == "localhost" ? "127.0.0.1" : address.host, wrong);
  if (wrong)
    return Status(Errc::invalid_argument,
                  "listen address \"" + address.host +
                      "\" is no IP address: use 127.0.0.1, 0.0.0.0 or one of this machine's");
  tcp::endpoint endpoint(ip, address.port);
  FdGuard guard(
      ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int one = 1;
  if (guard.fd < 0) return errno_status(errno, "socket");
  setsockopt(guard.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (::bind(guard.fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 ||
      ::listen(guard.fd, 4096) != 0)
    return errno_status(errno, "listen on " + address.to_string());
  socklen_t size = static_cast<socklen_t>(endpoint.capacity());
  getsockname(guard.fd, endpoint.data(), &size);
  auto impl = std::make_shared<Impl>(core, guard.release(), std::move(on_accept));
  impl->watch.wait();
  std::unique_ptr<TcpListener> listener(new TcpListener(impl));
  listener->port_ = endpoint.port();
  return listener;
}

}  // namespace m3
