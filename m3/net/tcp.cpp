// SPDX-License-Identifier: BSL-1.0
#include "m3/net/tcp.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>
#include <vector>

#include "m3/async/asio.h"
#include "m3/async/bound.h"
#include "m3/async/edge_op.h"
#include "m3/net/detail/socket.h"
#include "m3/obs/log.h"

namespace m3 {

namespace asio = boost::asio;
using async_detail::EdgeWatch;
using net_detail::errno_status;
using net_detail::name_of;
using net_detail::no_delay;
using tcp = asio::ip::tcp;

namespace {

/// Closes unless released.
struct FdGuard {
  explicit FdGuard(int descriptor) : fd(descriptor) {}
  FdGuard(const FdGuard&) = delete;
  FdGuard& operator=(const FdGuard&) = delete;
  ~FdGuard() {
    if (fd >= 0) ::close(fd);
  }
  void release() { fd = -1; }
  int fd;
};

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
    if (fd_ < 0) return;
    handler_ = &handler;
    if (blocked_) watch_.wait_writable(&TcpStream::on_write_edge);
    if (send_error_) read_soon();
    wait();
  }
  std::size_t send(std::string_view bytes) override;
  void pause_reading(bool paused) override {
    paused_ = paused;
    if (!paused && fd_ >= 0) read_soon();
  }
  void close() override {
    if (fd_ < 0) return;
    discard_unread();
    shut();
  }
  TimePoint came_by() const override { return core_.came_by(); }
  const std::string& peer_name() const override { return peer_name_; }

 private:
  /// Reading that continues after the other sockets have had their turn. May outlive the stream.
  struct Again {
    explicit Again(TcpStream& owner) : stream(&owner) {}
    TcpStream* stream;
    bool queued = false;
  };
  /// When bytes and the peer's close come together they raise one edge, and the short read that
  /// took the bytes did not see the close. Where more is expected (the rest of a frame, a hello)
  /// the stream looks again at once. Any other one is read once more when it becomes quiet: a
  /// second read for each message would cost throughput.
  static constexpr Nanos kQuiet = std::chrono::milliseconds(250);
  static constexpr std::size_t kLeastTail = 32u << 10;

  static void on_edge(void* arg) {
    auto* self = static_cast<TcpStream*>(arg);
    Turn turn(self->core_);
    self->waiting_ = false;
    self->read();
  }
  static void on_write_edge(void* arg) {
    auto* self = static_cast<TcpStream*>(arg);
    Turn turn(self->core_);
    self->blocked_ = false;
    if (self->handler_) self->handler_->on_writable();
  }
  void on_quiet() {
    if (last_read_ + kQuiet > core_.now())
      core_.timers().add(quiet_, last_read_ + kQuiet);
    else
      read_soon();
  }
  void wait() {
    if (waiting_) return;
    waiting_ = true;
    watch_.wait();
  }
  void read_soon() {
    if (std::exchange(again_->queued, true)) return;
    boost::asio::post(io_context(core_), boost::asio::bind_allocator(
                                             async_detail::PoolAllocator<void>(), [again = again_] {
                                               again->queued = false;
                                               if (!again->stream) return;
                                               Turn turn(again->stream->core_);
                                               again->stream->go_on();
                                             }));
  }
  void go_on() {
    if (!handler_) return;
    if (paused_) {
      if (send_error_) broke(errno_status(send_error_, "send"));
      return;
    }
    if (show_again_) show(tail_.data.get() + tail_begin_, tail_size_);
    if (fd_ >= 0) read();
  }
  void read();
  void nothing_to_read(int error);
  void show(const char* bytes, std::size_t size);
  void keep_tail(std::string_view rest, const StreamHandler::Taken& taken);
  void drop_tail() {
    if (tail_.data) buffers_.pool.give(std::exchange(tail_, {}));
    tail_begin_ = tail_size_ = 0;
  }
  void discard_unread();
  void shut() {
    handler_ = nullptr;
    quiet_.cancel();
    watch_.close();
    ::close(std::exchange(fd_, -1));
    if (!showing_) drop_tail();
  }
  void broke(Status why) {
    StreamHandler* handler = handler_;
    shut();
    if (handler) handler->on_closed(std::move(why));
  }

  Core& core_;
  StreamBuffers& buffers_;
  int fd_;
  std::string peer_name_;
  EdgeWatch watch_;
  std::shared_ptr<Again> again_;
  async_detail::Bound<async_detail::TimerNode, &TcpStream::on_quiet> quiet_{*this};
  StreamHandler* handler_ = nullptr;
  OutBufferPool::Buffer tail_;  // an unfinished frame; none while the connection is idle
  std::size_t tail_begin_ = 0;  // not 0 only while it is shown piece by piece
  std::size_t tail_size_ = 0;
  TimePoint last_read_;
  bool waiting_ = false;  // for an edge
  bool blocked_ = false;  // a send fell short
  bool paused_ = false;
  bool show_again_ = false;  // the tail may hold whole frames: nothing is read before them
  bool expects_more_ = false;
  bool showing_ = false;  // the handler looks at bytes that may lie in tail_
  int send_error_ = 0;
};

std::size_t TcpStream::send(std::string_view bytes) {
  if (fd_ < 0 || send_error_) return bytes.size();  // there is no handler for them
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n =
        ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      sent += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!std::exchange(blocked_, true) && handler_)
        watch_.wait_writable(&TcpStream::on_write_edge);
      return sent;
    } else if (errno != EINTR) {
      send_error_ = errno;
      read_soon();  // the peer's last bytes come before the end
      return bytes.size();
    }
  }
  return sent;
}

void TcpStream::read() {
  if (paused_ || show_again_ || !handler_) return;
  // A small tail goes before the new bytes in the core's buffer, so that whole frames lie in one
  // piece; a large frame is gathered where it is.
  const bool gather = tail_size_ > 0 && tail_.size > StreamBuffers::kReadBytes / 2;
  char* to = gather ? tail_.data.get() : buffers_.read.get();
  const std::size_t room = (gather ? tail_.size : StreamBuffers::kReadBytes) - tail_size_;
  ssize_t got = 0;
  do {
    got = ::recv(fd_, to + tail_size_, room, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return nothing_to_read(got < 0 ? errno : 0);
  async_detail::count_read(core_, static_cast<std::size_t>(got));
  if (!gather && tail_size_ > 0) std::memcpy(to, tail_.data.get(), tail_size_);
  show(to, tail_size_ + static_cast<std::size_t>(got));
  if (fd_ < 0) return;
  last_read_ = core_.now();
  // Reading continues when the present bytes have been handled, and then finds out how much more
  // there is.
  if (show_again_ && !send_error_) return;
  const bool look = tail_size_ > 0 || expects_more_;
  if (static_cast<std::size_t>(got) == room || send_error_ || look) {
    if (!paused_ || send_error_) read_soon();
    return;
  }
  if (!quiet_.armed()) core_.timers().add(quiet_, last_read_ + kQuiet);
  wait();
}

void TcpStream::nothing_to_read(int error) {
  if (error == 0) return broke(Status(Errc::unavailable, "the peer closed the connection"));
  if (error != EAGAIN && error != EWOULDBLOCK) return broke(errno_status(error, "receive"));
  if (send_error_) return broke(errno_status(send_error_, "send"));
  wait();
}

void TcpStream::show(const char* bytes, std::size_t size) {
  showing_ = true;
  const StreamHandler::Taken taken = handler_->on_bytes(std::string_view(bytes, size));
  showing_ = false;
  show_again_ = false;
  expects_more_ = taken.expects_more;
  if (fd_ < 0) return drop_tail();
  keep_tail(std::string_view(bytes + taken.bytes, size - taken.bytes), taken);
  if (show_again_ && !paused_) read_soon();
}

void TcpStream::keep_tail(std::string_view rest, const StreamHandler::Taken& taken) {
  if (rest.empty()) return drop_tail();
  show_again_ = taken.again || paused_;
  const bool in_tail =
      tail_.data && rest.data() >= tail_.data.get() && rest.data() < tail_.data.get() + tail_.size;
  tail_size_ = rest.size();
  if (in_tail && show_again_) {  // what is shown piece by piece is not moved for each of them
    tail_begin_ = static_cast<std::size_t>(rest.data() - tail_.data.get());
    return;
  }
  // There is always room for more, but only as much as has arrived already: the size in a frame's
  // header is trusted only as its bytes arrive.
  const std::size_t as_much = std::max<std::size_t>(rest.size(), kLeastTail);
  const std::size_t more = show_again_    ? 0
                           : taken.needed ? std::min(taken.needed, as_much)
                                          : as_much;
  tail_begin_ = 0;
  if (tail_.size >= rest.size() + more) {
    std::memmove(tail_.data.get(), rest.data(), rest.size());
    return;
  }
  OutBufferPool::Buffer bigger = buffers_.pool.take(rest.size() + more);
  std::memcpy(bigger.data.get(), rest.data(), rest.size());
  drop_tail();
  tail_ = std::move(bigger);
  tail_size_ = rest.size();
}

/// Unread bytes would turn the close into a reset, which may overtake sent data.
void TcpStream::discard_unread() {
  char sink[16 << 10];
  for (int i = 0; i < 64 && ::recv(fd_, sink, sizeof sink, MSG_DONTWAIT) > 0; ++i) {
  }
}

}  // namespace

TcpTransport::TcpTransport(Core& core, StreamBuffers& buffers) : core_(core), buffers_(buffers) {}
TcpTransport::~TcpTransport() = default;

Task<std::unique_ptr<Stream>> TcpTransport::connect(Ctx& ctx, HostPort address) {
  if (!connector_) connector_ = std::make_unique<Connector>(core_);
  ConnectedSocket socket = co_await connector_->connect(ctx, std::move(address));
  co_return adopt(socket.release(), socket.peer());
}

Result<std::unique_ptr<Stream>> TcpTransport::adopt(int fd, std::string peer_name) {
  try {
    return std::unique_ptr<Stream>(
        std::make_unique<TcpStream>(core_, buffers_, fd, std::move(peer_name)));
  } catch (const std::runtime_error& error) {  // the standard's system_error, and Boost's
    ::close(fd);
    return Status(Errc::resource_exhausted,
                  std::string("cannot watch a connection: ") + error.what());
  }
}

struct TcpListener::Impl : std::enable_shared_from_this<TcpListener::Impl> {
  Impl(Core& owner, int descriptor, OnAccept handler)
      : core(owner),
        fd(descriptor),
        on_accept(std::move(handler)),
        watch(
            io_context(owner), descriptor, [](void* arg) { static_cast<Impl*>(arg)->on_edge(); },
            this) {}
  ~Impl() { close(); }

  void on_edge() {
    Turn turn(core);
    accept_all();
  }
  void accept_all() {
    const auto keep = shared_from_this();  // on_accept may drop the listener
    while (fd >= 0) {
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      const int accepted =
          ::accept4(fd, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (accepted >= 0) {
        if (std::exchange(refused, false)) log::info_limited("accepting connections again");
        no_delay(accepted);
        tcp::endpoint peer;
        std::memcpy(peer.data(), &from, std::min<std::size_t>(size, peer.capacity()));
        on_accept(accepted, name_of(peer));
        if (core.spent()) return go_on_soon();
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return watch.wait();
      } else if (!is_gone(errno)) {
        return try_later(errno);
      }
    }
  }
  /// A storm of connections lets the other sockets and the timers have their turn.
  void go_on_soon() {
    boost::asio::post(io_context(core), [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->on_edge();
    });
  }
  /// The connection broke while it waited: the next one is looked at.
  static bool is_gone(int error) {
    switch (error) {
      case EINTR:
      case ECONNABORTED:
      case EPROTO:
      case EPERM:
      case ENETDOWN:
      case ENETUNREACH:
      case EHOSTDOWN:
      case EHOSTUNREACH:
      case ENONET:
      case ENOPROTOOPT:
        return true;
      default:
        return false;
    }
  }
  void try_later(int error) {
    if (!std::exchange(refused, true))
      log::error_limited(
          "cannot accept a connection: {}; retrying every 100 ms{}", std::strerror(error),
          error == EMFILE || error == ENFILE ? " (raise the limit of open files)" : "");
    core.timers().add(pause, core.now() + std::chrono::milliseconds(100));
  }
  void close() {
    if (fd < 0) return;
    pause.cancel();
    watch.close();
    ::close(std::exchange(fd, -1));
  }

  Core& core;
  int fd;
  OnAccept on_accept;
  EdgeWatch watch;
  async_detail::Bound<async_detail::TimerNode, &Impl::accept_all> pause{*this};
  bool refused = false;
};

namespace {

Result<asio::ip::address> listen_ip(const std::string& host) {
  boost::system::error_code wrong;
  const auto ip = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, wrong);
  if (!wrong) return ip;
  return Status(Errc::invalid_argument,
                "\"" + host +
                    "\" is not an IP address, so no socket can listen there: write 127.0.0.1, an "
                    "address of this machine, or 0.0.0.0 for all of them");
}

}  // namespace

Status check_listen_address(const HostPort& address) { return listen_ip(address.host).status(); }

TcpListener::TcpListener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
TcpListener::~TcpListener() { close(); }
void TcpListener::close() { impl_->close(); }

Result<std::unique_ptr<TcpListener>> TcpListener::listen(Core& core, const HostPort& address,
                                                         OnAccept on_accept) {
  auto ip = listen_ip(address.host);
  if (!ip.is_ok()) return std::move(ip).status();
  tcp::endpoint endpoint(*ip, address.port);
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
  std::shared_ptr<Impl> impl;
  try {
    impl = std::make_shared<Impl>(core, guard.fd, std::move(on_accept));
  } catch (const std::runtime_error& error) {  // the standard's system_error, and Boost's
    return Status(Errc::resource_exhausted, "listen: a socket on " + address.to_string() +
                                                " cannot be watched: " + error.what());
  }
  guard.release();
  impl->watch.wait();
  std::unique_ptr<TcpListener> listener(new TcpListener(impl));
  listener->port_ = endpoint.port();
  return listener;
}

}  // namespace m3
