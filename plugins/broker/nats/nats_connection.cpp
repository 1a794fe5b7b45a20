// SPDX-License-Identifier: BSL-1.0
#include "plugins/broker/nats/nats_connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <utility>

#include "m3/async/asio.h"
#include "m3/async/channel.h"
#include "m3/async/countdown.h"
#include "m3/async/scope.h"
#include "m3/base/cut_text.h"
#include "m3/obs/log.h"
#include "plugins/broker/nats/nats_buffer.h"

namespace m3 {
namespace {

using boost::asio::ip::tcp;

}  // namespace

struct NatsConnection::Impl {
  Impl(Core& core, HostPort where, std::size_t most, OnMessage told)
      : address(std::move(where)),
        max_pending(most),
        on_message(std::move(told)),
        socket(io_context(core)),
        wake(1),
        scope(core) {}

  Task<> dial(Ctx& ctx);
  Task<> fill(Ctx& ctx);
  Task<NatsOp> first(Ctx& ctx);
  Task<> greet(Ctx& ctx, const NatsLogin& login);
  Task<> read(Ctx& ctx);
  Task<> write(Ctx& ctx);
  void handle(const NatsOp& op);
  void append(std::string_view a, std::string_view b = {}, std::string_view c = {});
  void end(const Status& reason);

  const HostPort address;
  const std::size_t max_pending;
  const OnMessage on_message;
  tcp::socket socket;
  NatsInfo info;
  NatsBuffer in;
  std::size_t taken = 0;  // of what first() gave
  std::string out;
  Channel<int> wake;  // the writer's
  bool alive = true;
  bool open = false;  // greeted
  Status why;
  Countdown living;
  std::deque<std::shared_ptr<Countdown>> pongs;  // those awaited, in order
  Scope scope;
};

void NatsConnection::Impl::end(const Status& reason) {
  if (!std::exchange(alive, false)) return;
  why = reason;
  boost::system::error_code ignored;
  socket.close(ignored);
  if (living.count()) living.done();
  for (auto& pong : std::exchange(pongs, {})) pong->done();
  wake.close();
}

void NatsConnection::Impl::append(std::string_view a, std::string_view b, std::string_view c) {
  out.append(a).append(b).append(c);
  (void)wake.try_send(0).is_ok();  // full: the writer knows already
}

Task<> NatsConnection::Impl::dial(Ctx& ctx) {
  tcp::resolver resolver(io_context(ctx.core()));
  auto found = co_await as_result(
      resolver.async_resolve(address.host, std::to_string(address.port), use_task(ctx)));
  if (!found.is_ok()) co_return std::move(found).status().add_context("look up " + address.host);
  auto connected = co_await as_result(boost::asio::async_connect(socket, *found, use_task(ctx)));
  if (!connected.is_ok())
    co_return Status(Errc::unavailable,
                     address.to_string() + ": " + std::string(connected.status().text()));
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  co_return ok;
}

Task<> NatsConnection::Impl::fill(Ctx& ctx) {
  const std::span<char> room = in.room();
  auto got = co_await as_result(
      socket.async_read_some(boost::asio::buffer(room.data(), room.size()), use_task(ctx)));
  if (!got.is_ok())
    co_return Status(Errc::unavailable,
                     address.to_string() + ": " + std::string(got.status().text()));
  in.filled(*got);
  co_return ok;
}

/// The next operation while the reader does not run yet. Its views end with the next call.
Task<NatsOp> NatsConnection::Impl::first(Ctx& ctx) {
  in.take(std::exchange(taken, 0));
  for (;;) {
    NatsReader reader(in.unread(), info.max_payload);
    NatsOp op;
    if (reader.next(op)) {
      taken = reader.consumed();
      co_return op;
    }
    if (reader.failed()) co_return Status(reader.status());
    co_await fill(ctx);
  }
}

Task<> NatsConnection::Impl::greet(Ctx& ctx, const NatsLogin& login) {
  const NatsOp hello = co_await first(ctx);
  if (hello.kind != NatsOp::Kind::info)
    co_return Status(Errc::unavailable, address.to_string() + " is no NATS server");
  auto said = parse_nats_info(hello.text);
  if (!said.is_ok()) co_return std::move(said).status();
  info = *said;
  if (info.tls_required)
    co_return Status(Errc::failed_precondition,
                     address.to_string() + " wants TLS, which broker.nats does not speak");
  const std::string words = nats_connect(login) + "PING\r\n";
  auto sent = co_await as_result(
      boost::asio::async_write(socket, boost::asio::buffer(words), use_task(ctx)));
  if (!sent.is_ok()) co_return std::move(sent).status();
  for (;;) {
    const NatsOp op = co_await first(ctx);
    if (op.kind == NatsOp::Kind::pong) co_return ok;
    if (op.kind == NatsOp::Kind::err)
      co_return Status(Errc::unauthenticated, address.to_string() + ": " + cut_text(op.text));
  }
}

void NatsConnection::Impl::handle(const NatsOp& op) {
  switch (op.kind) {
    case NatsOp::Kind::msg:
      return on_message(op.sid, op.payload);
    case NatsOp::Kind::ping:
      return append("PONG\r\n");
    case NatsOp::Kind::pong:
      if (pongs.empty()) return;
      pongs.front()->done();
      return pongs.pop_front();
    case NatsOp::Kind::err:  // the server closes, but for a subject that is not allowed
      return log::warn_limited("nats at {}: {}", address.to_string(), op.text);
    case NatsOp::Kind::info:
      if (auto said = parse_nats_info(op.text); said.is_ok()) info = *said;
      return;
    case NatsOp::Kind::ok:
      return;
  }
}

Task<> NatsConnection::Impl::read(Ctx& ctx) {
  in.take(std::exchange(taken, 0));
  while (alive) {
    NatsReader reader(in.unread(), info.max_payload);
    for (NatsOp op; alive && reader.next(op);) {
      handle(op);
      reader.set_max_payload(info.max_payload);
    }
    if (reader.failed()) co_return end(reader.status()), ok;
    in.take(reader.consumed());
    const Status filled = (co_await as_result(fill(ctx))).status();
    if (!filled) end(filled);
  }
  co_return ok;
}

Task<> NatsConnection::Impl::write(Ctx& ctx) {
  std::string now;
  while (alive) {
    if (out.empty()) {
      auto woken = co_await as_result(wake.receive(ctx));
      if (!woken.is_ok()) co_return ok;
      continue;
    }
    now.clear();
    now.swap(out);
    auto sent = co_await as_result(
        boost::asio::async_write(socket, boost::asio::buffer(now), use_task(ctx)));
    if (!sent.is_ok())
      end(Status(Errc::unavailable,
                 address.to_string() + ": " + std::string(sent.status().text())));
  }
  co_return ok;
}

NatsConnection::NatsConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NatsConnection::~NatsConnection() = default;
const NatsInfo& NatsConnection::info() const { return impl_->info; }
bool NatsConnection::alive() const { return impl_->alive; }
const Status& NatsConnection::why() const { return impl_->why; }
void NatsConnection::close(const Status& why) { impl_->end(why); }

Task<std::unique_ptr<NatsConnection>> NatsConnection::connect(Ctx& ctx, HostPort address,
                                                              NatsLogin login,
                                                              std::size_t max_pending,
                                                              OnMessage on_message) {
  std::unique_ptr<NatsConnection> made(new NatsConnection(
      std::make_unique<Impl>(ctx.core(), std::move(address), max_pending, std::move(on_message))));
  Impl& impl = *made->impl_;
  co_await impl.dial(ctx);
  co_await impl.greet(ctx, login);
  impl.living.add();
  impl.scope.spawn("nats read", [&impl](Ctx& own) { return impl.read(own); });
  impl.scope.spawn("nats write", [&impl](Ctx& own) { return impl.write(own); });
  co_return made;
}

Task<> NatsConnection::lost(Ctx& ctx) {
  co_await impl_->living.zero(ctx);
  co_return ok;
}

Task<> NatsConnection::stop(Ctx& ctx) {
  close(Status(Errc::unavailable, "shutting down"));
  co_await impl_->scope.close(ctx);
  co_return ok;
}

Status NatsConnection::can_publish(std::size_t more) const {
  if (!impl_->alive) return Status(impl_->why).not_executed();
  if (impl_->out.size() + more > impl_->max_pending)
    return Status(Errc::resource_exhausted,
                  "too much waits to be sent to nats at " + impl_->address.to_string())
        .not_executed();
  return ok;
}

void NatsConnection::publish(std::string_view subject, std::string_view payload) {
  std::string head = "PUB ";
  head.append(subject).append(" ").append(std::to_string(payload.size())).append("\r\n");
  impl_->append(head, payload, "\r\n");
}

void NatsConnection::subscribe(std::string_view subject, std::uint64_t sid) {
  impl_->append("SUB ", subject, " " + std::to_string(sid) + "\r\n");
}

void NatsConnection::unsubscribe(std::uint64_t sid) {
  impl_->append("UNSUB ", std::to_string(sid), "\r\n");
}

Task<> NatsConnection::flush(Ctx& ctx) {
  if (!impl_->alive) co_return Status(impl_->why);
  const auto pong = std::make_shared<Countdown>();
  pong->add();
  impl_->pongs.push_back(pong);
  impl_->append("PING\r\n");
  co_await pong->zero(ctx);
  if (!impl_->alive) co_return Status(impl_->why);
  co_return ok;
}

}  // namespace m3
