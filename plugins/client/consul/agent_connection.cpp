// SPDX-License-Identifier: BSL-1.0
#include "plugins/client/consul/agent_connection.h"

#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <charconv>
#include <optional>
#include <sstream>

#include "m3/async/asio.h"

namespace m3 {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using Parser = http::response_parser<http::string_body>;

constexpr std::size_t kReadBytes = 16u << 10;
constexpr std::uint32_t kMostHeaderBytes = 32u << 10;

std::string bytes_of(const AgentRequest& request, const std::string& host) {
  http::request<http::string_body> out;
  out.version(11);
  out.method_string(request.method);
  out.target(request.target);
  out.set(http::field::host, host);
  out.set(http::field::user_agent, "m3");
  for (const auto& [name, value] : request.headers) out.set(name, value);
  out.body() = request.body;
  out.prepare_payload();
  std::ostringstream text;
  text << out;
  return std::move(text).str();
}

std::uint64_t number_of(boost::beast::string_view text) {
  std::uint64_t out = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && stop == end ? out : 0;
}

}  // namespace

struct AgentConnection::Impl {
  Impl(Core& core, HostPort where)
      : address(std::move(where)), name(address.to_string()), socket(io_context(core)) {}

  Task<> open(Ctx& ctx, Connector& connector);
  Task<> send(Ctx& ctx, const std::string& bytes);
  Task<AgentAnswer> receive(Ctx& ctx, std::size_t expected_bytes, std::size_t most_bytes);
  Status close(Status why) {
    boost::system::error_code ignored;
    socket.close(ignored);
    if (closed.is_ok()) closed = why;
    return why;
  }
  /// Why an operation failed: the reason of close(), when that was it.
  Status failed(Status status, const Ctx& ctx) {
    if (!closed.is_ok()) return closed;
    if (ctx.cancelled()) return close(std::move(status));
    Status out(Errc::unavailable, name + ": " + status.text());
    return close(std::move(out));
  }

  const HostPort address;
  const std::string name;
  tcp::socket socket;
  boost::beast::flat_buffer buffer;
  Status closed;
};

Task<> AgentConnection::Impl::open(Ctx& ctx, Connector& connector) {
  ConnectedSocket made = co_await connector.connect(ctx, address);
  sockaddr_storage here{};
  socklen_t size = sizeof here;
  ::getsockname(made.fd(), reinterpret_cast<sockaddr*>(&here), &size);
  socket.assign(here.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), made.fd());
  made.release();
  co_return ok;
}

Task<> AgentConnection::Impl::send(Ctx& ctx, const std::string& bytes) {
  co_await asio::async_write(socket, asio::buffer(bytes), use_task(ctx));
  co_return ok;
}

Task<AgentAnswer> AgentConnection::Impl::receive(Ctx& ctx, std::size_t expected_bytes,
                                                 std::size_t most_bytes) {
  Parser parser;
  parser.eager(true);
  parser.body_limit(most_bytes);
  parser.header_limit(kMostHeaderBytes);
  // Otherwise megabytes are copied whenever the body outgrows its buffer.
  parser.get().body().reserve(expected_bytes + expected_bytes / 8);
  while (!parser.is_done()) {
    boost::system::error_code error;
    if (buffer.size() > 0) {
      buffer.consume(parser.put(buffer.data(), error));
      if (!error) continue;
      if (error == http::error::body_limit)
        co_return Status(Errc::resource_exhausted,
                         name + ": the answer is over " + std::to_string(most_bytes) + " bytes");
      if (error != http::error::need_more)
        co_return Status(Errc::data_loss, name + " does not speak HTTP: " + error.message());
    }
    auto got =
        co_await as_result(socket.async_read_some(buffer.prepare(kReadBytes), use_task(ctx)));
    if (got.is_ok()) {
      buffer.commit(*got);
      continue;
    }
    Status status = std::move(got).status();
    if (ctx.cancelled() || !parser.got_some()) co_return status;
    parser.put_eof(error);  // a body may end with the connection
    if (error) co_return status;
  }
  auto& message = parser.get();
  AgentAnswer out;
  out.status = message.result_int();
  out.consul_index = number_of(message["X-Consul-Index"]);
  const bool keep = message.keep_alive();
  out.body = std::move(message.body());
  if (!keep) (void)close(Status(Errc::unavailable, name + " closed the connection"));
  co_return out;
}

AgentConnection::AgentConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AgentConnection::~AgentConnection() = default;

Task<std::unique_ptr<AgentConnection>> AgentConnection::connect(Ctx& ctx, Connector& connector,
                                                                HostPort address) {
  std::unique_ptr<AgentConnection> made(
      new AgentConnection(std::make_unique<Impl>(ctx.core(), std::move(address))));
  Status opened = (co_await as_result(made->impl_->open(ctx, connector))).status();
  if (!opened) co_return made->impl_->failed(std::move(opened), ctx).not_executed();
  co_return made;
}

Task<AgentAnswer> AgentConnection::exchange(Ctx& ctx, const AgentRequest& request,
                                            std::size_t most_bytes) {
  const std::string bytes = bytes_of(request, impl_->name);
  Status sent = (co_await as_result(impl_->send(ctx, bytes))).status();
  if (!sent) co_return impl_->failed(std::move(sent), ctx);
  auto received = co_await as_result(impl_->receive(ctx, request.expected_bytes, most_bytes));
  if (received.is_ok()) co_return received;
  Status status = std::move(received).status();
  const bool ours = status == Errc::resource_exhausted || status == Errc::data_loss;
  co_return ours ? impl_->close(std::move(status)) : impl_->failed(std::move(status), ctx);
}

bool AgentConnection::usable() const {
  if (!impl_->closed.is_ok() || impl_->buffer.size() > 0) return false;
  char byte = 0;
  const auto got = ::recv(const_cast<tcp::socket&>(impl_->socket).native_handle(), &byte, 1,
                          MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void AgentConnection::close(const Status& why) { (void)impl_->close(why); }

}  // namespace m3
