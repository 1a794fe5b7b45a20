// SPDX-License-Identifier: BSL-1.0
#include "m3/http/http_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <map>
#include <optional>
#include <unordered_set>
#include <utility>

#include "m3/async/asio.h"
#include "m3/async/countdown.h"
#include "m3/async/scope.h"
#include "m3/async/timer.h"
#include "m3/net/tcp.h"
#include "m3/obs/log.h"

namespace m3 {

using boost::asio::ip::tcp;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kReadBytes = 8u << 10;
/// A handler that missed its deadline gets this much more time to return its own error.
constexpr Nanos kGrace = 250ms;
constexpr Nanos kLastAnswers = 1s;
/// After a refusal the rest of the request is read, otherwise its sender never sees the answer.
constexpr Nanos kLinger = 1s;
constexpr std::size_t kLingerBytes = 4u << 20;

tcp::socket make_socket(Core& core, int fd) {
  sockaddr_storage here{};
  socklen_t size = sizeof here;
  getsockname(fd, reinterpret_cast<sockaddr*>(&here), &size);
  tcp::socket socket(io_context(core));
  boost::system::error_code error;
  socket.assign(here.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), fd, error);
  if (error) ::close(fd);  // it would fail on its first use
  return socket;
}

/// One request being handled. It may outlive its connection.
struct Asked {
  Asked(Scope& scope, Deadline deadline) : ctx(scope.ctx(), deadline) {
    ctx.set_name("http handler");
  }
  Ctx ctx;
  Countdown running;
  std::optional<Result<HttpResponse>> outcome;
};

}  // namespace

struct HttpServer::Impl {
  struct Connection;

  Impl(Core& owner, HttpHandler given, HttpServerConfig settings, MetricRegistry& registry,
       Host* host)
      : core(owner),
        handler(std::move(given)),
        config(std::move(settings)),
        refused(registry.counter("m3_net_http_refused_total", "HTTP connections over the limit",
                                 {{"server", config.name}})),
        evicted(registry.counter(
            "m3_net_http_evicted_total",
            "HTTP connections without a request that were closed to make room for others",
            {{"server", config.name}})),
        scope(owner, host) {
    for (std::size_t i = 0; i < answers.size(); ++i)
      answers[i] =
          registry.counter("m3_net_http_answers_total", "HTTP answers, by their status",
                           {{"server", config.name}, {"status", std::to_string(i + 2) + "xx"}});
  }

  void accept(int fd, const std::string& peer);
  bool make_room();
  Task<> serve(tcp::socket socket, std::string source);
  Task<> run_handler(std::shared_ptr<Asked> asked, HttpRequest request);
  Task<> stop(Ctx& ctx);
  void count(int status) {
    if (status >= 200 && status < 600) answers[static_cast<std::size_t>(status / 100 - 2)].inc();
  }

  Core& core;
  const HttpHandler handler;
  const HttpServerConfig config;
  std::unique_ptr<TcpListener> listener;
  std::unordered_set<Connection*> open;
  std::size_t leaving = 0;  // of them: they are closed, and end soon
  bool stopping = false;
  std::array<Counter, 4> answers;
  Counter refused;
  Counter evicted;
  Scope scope;  // last
};

/// In the frame of serve().
struct HttpServer::Impl::Connection {
  Connection(Impl& owner, tcp::socket given, std::string address)
      : server(owner),
        socket(std::move(given)),
        source(std::move(address)),
        ctx(owner.scope.ctx(), Deadline::never()) {
    server.open.insert(this);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    server.open.erase(this);
    server.leaving -= evicted;
  }
  void evict() {
    evicted = true;
    ++server.leaving;
    server.evicted.inc();
    ctx.cancel(CancelReason::overload);
  }

  Task<> talk();
  /// False: the peer has closed, or is silent.
  Task<bool> read_request(HttpRequestReader& reader, Nanos patience);
  Task<> read_more(Ctx& until);
  Task<HttpResponse> answer(HttpRequest request);
  Task<> write(std::string text);
  Task<> refuse(HttpResponse why);
  Task<> linger();

  Impl& server;
  tcp::socket socket;
  const std::string source;
  Ctx ctx;
  std::string in;       // read, but of no request yet
  bool idle = false;    // between two requests
  bool asking = false;  // no request is there (yet, or any more), since:
  bool evicted = false;
  TimePoint since{};
};

/// Closes the connection that has waited longest for a request, of the address that has the most of
/// those: a client that only holds connections does not keep others out.
bool HttpServer::Impl::make_room() {
  std::map<std::string_view, std::size_t> by_source;
  for (const Connection* one : open)
    if (one->asking && !one->evicted) ++by_source[one->source];
  Connection* oldest = nullptr;
  std::size_t most = 0;
  for (Connection* one : open) {
    if (!one->asking || one->evicted) continue;
    const std::size_t count = by_source[one->source];
    if (count < most || (count == most && oldest && oldest->since <= one->since)) continue;
    most = count;
    oldest = one;
  }
  if (!oldest) return false;
  oldest->evict();
  return true;
}

void HttpServer::Impl::accept(int fd, const std::string& peer) {
  const bool full = open.size() - leaving >= config.max_connections;
  if (full && (open.size() >= 2 * config.max_connections || !make_room())) {
    static const std::string kBusy = encode_http_response(
        HttpResponse(503, "too many connections: try again later\n"), {false, false, 11});
    refused.inc();
    (void)!::send(fd, kBusy.data(), kBusy.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::shutdown(fd, SHUT_WR);
    ::close(fd);
    return;
  }
  std::string source = peer.substr(0, peer.rfind(':'));
  scope.spawn("http connection",
              [this, socket = make_socket(core, fd), source = std::move(source)](Ctx&) mutable {
                return serve(std::move(socket), std::move(source));
              });
}

/// An error of a peer is not a failure of this server.
Task<> HttpServer::Impl::serve(tcp::socket socket, std::string source) {
  Connection connection(*this, std::move(socket), std::move(source));
  (void)co_await as_result(connection.talk());
  co_return ok;
}

Task<> HttpServer::Impl::Connection::talk() {
  const HttpServerConfig& limits = server.config;
  for (unsigned n = 1;; ++n) {
    HttpRequestReader reader(limits.sizes);
    idle = asking = true;
    since = server.core.read_clock();
    const bool came =
        co_await read_request(reader, n == 1 ? limits.read_timeout : limits.idle_timeout);
    if (!came) co_return ok;
    asking = false;
    if (reader.state() == HttpRequestReader::State::failed) {
      co_await refuse(reader.error());
      co_return ok;
    }
    HttpAnswerTo to;
    to.version = reader.version();
    HttpRequest request = reader.take();
    to.head = request.method == "HEAD";
    const HttpResponse response = co_await answer(std::move(request));
    to.keep_alive = reader.keep_alive() && n < limits.max_requests && !server.stopping;
    server.count(response.status);
    co_await write(encode_http_response(response, to));
    if (to.keep_alive) continue;
    co_await linger();
    co_return ok;
  }
}

Task<bool> HttpServer::Impl::Connection::read_request(HttpRequestReader& reader, Nanos patience) {
  TimePoint until = server.core.read_clock() + patience;
  for (;;) {
    if (idle && !in.empty()) {
      idle = false;
      until = server.core.read_clock() + server.config.read_timeout;
    }
    in.erase(0, reader.feed(in));
    if (reader.state() != HttpRequestReader::State::reading) co_return true;
    if (idle && server.stopping) co_return false;
    if (reader.wants_continue()) {
      co_await write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    Ctx soon(ctx, Deadline(until));
    const Status read = (co_await as_result(read_more(soon))).status();
    if (read) continue;
    if (read != Errc::deadline_exceeded || idle) co_return false;
    co_await refuse(HttpResponse(408, "the request did not arrive in time\n"));
    co_return false;
  }
}

Task<> HttpServer::Impl::Connection::read_more(Ctx& until) {
  const std::size_t before = in.size();
  in.resize(before + kReadBytes);
  auto reading =
      socket.async_read_some(boost::asio::buffer(in.data() + before, kReadBytes), use_task(until));
  const Result<std::size_t> got = co_await as_result(std::move(reading));
  in.resize(before + (got.is_ok() ? *got : 0));
  co_return got.status();
}

Task<HttpResponse> HttpServer::Impl::Connection::answer(HttpRequest request) {
  const TimePoint end = server.core.read_clock() + server.config.handler_timeout;
  auto asked = std::make_shared<Asked>(server.scope, Deadline(end));
  const std::string path = request.path;
  asked->running.add();
  server.scope.spawn("http handler", [this, asked, request = std::move(request)](Ctx&) mutable {
    return server.run_handler(asked, std::move(request));
  });
  Ctx patient(ctx, Deadline(end + kGrace));
  const Status waited = (co_await as_result(asked->running.zero(patient))).status();
  if (ctx.cancelled()) co_return ctx.status();
  if (!asked->outcome) {
    log::error_limited("{}: the handler of {} has not returned after its deadline: {}",
                       server.config.name, path, waited.to_string());
    co_return HttpResponse(504, "no answer in time\n");
  }
  if (asked->outcome->is_ok()) co_return **std::move(asked->outcome);
  const Status why = std::move(*asked->outcome).status();
  if (http_status(why.code()) == 500)
    log::error_limited("{}: {} failed: {}", server.config.name, path, why.to_string());
  co_return http_error(why);
}

Task<> HttpServer::Impl::run_handler(std::shared_ptr<Asked> asked, HttpRequest request) {
  struct Guard {
    ~Guard() { running.done(); }
    Countdown& running;
  } guard{asked->running};
  asked->outcome.emplace(Status(Errc::internal, "the handler threw an exception"));
  Task<HttpResponse> work = handler(asked->ctx, std::move(request));
  asked->outcome.reset();
  asked->outcome.emplace(co_await as_result(std::move(work)));
  co_return ok;
}

Task<> HttpServer::Impl::Connection::write(std::string text) {
  Ctx soon(ctx, Deadline(server.core.read_clock() + server.config.write_timeout));
  co_await boost::asio::async_write(socket, boost::asio::buffer(text), use_task(soon));
  co_return ok;
}

Task<> HttpServer::Impl::Connection::refuse(HttpResponse why) {
  server.count(why.status);
  HttpAnswerTo to;
  to.keep_alive = false;
  co_await write(encode_http_response(why, to));
  co_await linger();
  co_return ok;
}

/// Closes the sending side and reads what the peer still sends: closing with unread bytes would
/// reset the connection, and the reset may overtake the answer. These are closed first to make
/// room.
Task<> HttpServer::Impl::Connection::linger() {
  idle = asking = true;
  since = TimePoint::min();
  boost::system::error_code ignored;
  socket.shutdown(tcp::socket::shutdown_send, ignored);
  Ctx soon(ctx, Deadline(server.core.read_clock() + kLinger));
  std::array<char, 4096> sink;  // NOLINT(cppcoreguidelines-pro-type-member-init): nobody looks
  for (std::size_t read = 0; read < kLingerBytes && !server.stopping;)
    read += co_await socket.async_read_some(boost::asio::buffer(sink), use_task(soon));
  co_return ok;
}

Task<> HttpServer::Impl::stop(Ctx& ctx) {
  stopping = true;
  if (listener) listener->close();
  for (Connection* connection : open)
    if (connection->idle) connection->ctx.cancel(CancelReason::shutdown);
  auto last = [this](Ctx& soon) { return scope.drain(soon); };
  (void)co_await as_result(within(ctx, kLastAnswers, last));
  Ctx patient(core);
  co_await scope.close(patient);
  listener.reset();
  co_return ok;
}

HttpServer::HttpServer(Core& core, HttpHandler handler, HttpServerConfig config,
                       MetricRegistry& metrics, Host* host)
    : impl_(std::make_unique<Impl>(core, std::move(handler), std::move(config), metrics, host)) {}
HttpServer::~HttpServer() = default;

Status HttpServer::listen(const HostPort& address) {
  if (impl_->listener)
    return Status(Errc::failed_precondition, impl_->config.name + " listens already");
  auto made = TcpListener::listen(
      impl_->core, address,
      [impl = impl_.get()](int fd, const std::string& peer) { impl->accept(fd, peer); });
  if (!made.is_ok()) return std::move(made).status();
  impl_->listener = *std::move(made);
  return ok;
}

std::uint16_t HttpServer::port() const noexcept {
  return impl_->listener ? impl_->listener->port() : 0;
}
std::size_t HttpServer::connections() const noexcept { return impl_->open.size(); }
Task<> HttpServer::stop(Ctx& ctx) { return impl_->stop(ctx); }

}  // namespace m3
