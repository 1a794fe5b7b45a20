// SPDX-License-Identifier: BSL-1.0
#include "plugins/broker/nats/nats_connection.h"

#include <deque>
#include <utility>

#include "m3/async/countdown.h"
#include "m3/base/cut_text.h"
#include "m3/net/batched_stream.h"
#include "m3/obs/log.h"

namespace m3 {

struct NatsConnection::Impl final : StreamHandler {
  /// A PING that was sent. An error from the server before its PONG belongs to the operation that
  /// was sent before the PING, unless it names another subject.
  struct Pong {
    Answered answered;
    Status complaint;
    std::string subject;  // of a subscribe; empty: another operation
  };

  Impl(Core& owner, HostPort where, NatsLogin who, std::size_t most, Events told)
      : core(owner),
        address(std::move(where)),
        login(std::move(who)),
        max_pending(most),
        events(std::move(told)) {
    living.add();
    greeting.add();
  }

  Taken on_bytes(std::string_view bytes) override;
  void on_writable() override {}
  void on_closed(Status reason) override {
    end(Status(Errc::unavailable, address.to_string() + ": " + reason.text()));
  }
  void handle(const NatsOp& op);
  void on_info(std::string_view text);
  void on_pong();
  void on_error(std::string_view text);
  void complain(const NatsComplaint& complaint, const Status& status);
  void ping(Answered answered, std::string_view subject = {}) {
    pongs.push_back({std::move(answered), Status(), std::string(subject)});
    stream->append({"PING\r\n"});
  }
  void end(const Status& reason);

  Core& core;
  const HostPort address;
  const NatsLogin login;
  const std::size_t max_pending;
  const Events events;
  std::unique_ptr<BatchedStream> stream;
  NatsInfo info;
  bool has_info = false;
  bool alive = true;
  Status why;
  Countdown living;
  Countdown greeting;  // until the server has accepted the connection
  std::deque<Pong> pongs;
};

void NatsConnection::Impl::end(const Status& reason) {
  if (!std::exchange(alive, false)) return;
  why = reason;
  if (stream) stream->close();
  living.done();
  if (greeting.count()) greeting.done();
  for (const Pong& pong : std::exchange(pongs, {}))
    if (pong.answered) pong.answered(why);
}

StreamHandler::Taken NatsConnection::Impl::on_bytes(std::string_view bytes) {
  NatsReader reader(bytes);
  Taken taken;
  for (NatsOp op; alive && !taken.again && reader.next(op);) {
    handle(op);
    taken.again = core.spent();
  }
  if (alive && reader.failed())
    end(Status(Errc::unavailable, address.to_string() + ": " + reader.status().text()));
  taken.bytes = reader.consumed();
  taken.needed = reader.needed();
  return taken;
}

void NatsConnection::Impl::handle(const NatsOp& op) {
  switch (op.kind) {
    case NatsOp::Kind::msg:
      if (events.on_message) events.on_message(op.subject, op.payload);
      return;
    case NatsOp::Kind::ping:
      return stream->append({"PONG\r\n"});
    case NatsOp::Kind::pong:
      return on_pong();
    case NatsOp::Kind::err:
      return on_error(op.text);
    case NatsOp::Kind::info:
      return on_info(op.text);
    case NatsOp::Kind::ok:
      return;
  }
}

/// The first one is answered with CONNECT; later ones report changes.
void NatsConnection::Impl::on_info(std::string_view text) {
  auto said = parse_nats_info(text);
  if (!said.is_ok()) {
    if (!has_info)
      end(Status(Errc::unavailable, address.to_string() + ": " + said.status().text()));
    return;
  }
  info = *said;
  if (std::exchange(has_info, true)) return;
  if (info.tls_required)
    return end(Status(Errc::failed_precondition,
                      address.to_string() + " requires TLS, which broker.nats does not support"));
  stream->append({nats_connect(login)});
  ping([this](const Status& status) {
    if (status && greeting.count()) greeting.done();
  });
}

void NatsConnection::Impl::on_pong() {
  if (pongs.empty()) return;
  const Pong pong = std::move(pongs.front());
  pongs.pop_front();
  if (pong.answered) pong.answered(pong.complaint);
}

void NatsConnection::Impl::on_error(std::string_view text) {
  const NatsComplaint complaint = nats_complaint(text);
  const Status status(complaint.code, address.to_string() + ": " + cut_text(text));
  switch (complaint.about) {
    case NatsComplaint::About::publish:
      if (events.on_publish_refused) events.on_publish_refused(complaint.subject, status);
      return;
    case NatsComplaint::About::subscription:
      return complain(complaint, status);
    case NatsComplaint::About::connection:
      return end(status);  // the server closes after it
  }
}

/// About a subscription in progress, or a confirmed one: it may be revoked while the server answers
/// something else.
void NatsConnection::Impl::complain(const NatsComplaint& complaint, const Status& status) {
  const bool is_answer =
      !pongs.empty() && (complaint.subject.empty() || pongs.front().subject == complaint.subject);
  if (is_answer)
    pongs.front().complaint = status;
  else if (!complaint.subject.empty() && events.on_subscription_ended)
    events.on_subscription_ended(complaint.subject, status);
}

NatsConnection::NatsConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NatsConnection::~NatsConnection() { close(Status(Errc::unavailable, "shutting down")); }
const NatsInfo& NatsConnection::info() const { return impl_->info; }
const HostPort& NatsConnection::address() const { return impl_->address; }
void NatsConnection::close(const Status& why) { impl_->end(why); }
std::uint64_t NatsConnection::received() const {
  return impl_->stream ? impl_->stream->received() : 0;
}
std::uint64_t NatsConnection::unsent() const { return impl_->stream ? impl_->stream->unsent() : 0; }

Task<std::unique_ptr<NatsConnection>> NatsConnection::connect(Ctx& ctx, Transport& transport,
                                                              HostPort address, NatsLogin login,
                                                              std::size_t max_pending,
                                                              Events events) {
  std::unique_ptr<NatsConnection> made(new NatsConnection(std::make_unique<Impl>(
      ctx.core(), address, std::move(login), max_pending, std::move(events))));
  Impl& impl = *made->impl_;
  auto stream = co_await as_result(transport.connect(ctx, address));
  if (!stream.is_ok()) {
    if (ctx.cancelled()) co_return std::move(stream).status();
    co_return Status(Errc::unavailable, address.to_string() + ": " + stream.status().text());
  }
  impl.stream = std::make_unique<BatchedStream>(ctx.core(), *std::move(stream), impl);
  co_await impl.greeting.zero(ctx);
  if (!impl.alive) co_return impl.why;
  co_return made;
}

Task<> NatsConnection::lost(Ctx& ctx) {
  co_await impl_->living.zero(ctx);
  co_return impl_->why;
}

Status NatsConnection::can_publish(std::size_t more) const {
  if (!impl_->alive) return Status(impl_->why).not_executed();
  if (impl_->stream->waiting() + more > impl_->max_pending)
    return Status(Errc::resource_exhausted,
                  "the backlog of unsent data is full for nats at " + impl_->address.to_string())
        .not_executed();
  return ok;
}

void NatsConnection::publish(std::string_view subject, std::string_view payload,
                             std::uint32_t weight) {
  impl_->stream->append(
      {"PUB ", subject, " ", std::to_string(payload.size()), "\r\n", payload, "\r\n"});
  impl_->stream->mark(weight);
}

void NatsConnection::subscribe(std::string_view subject, std::uint64_t sid, Answered answered) {
  if (!impl_->alive) return answered(impl_->why);
  impl_->stream->append({"SUB ", subject, " ", std::to_string(sid), "\r\n"});
  impl_->ping(std::move(answered), subject);
}

void NatsConnection::unsubscribe(std::uint64_t sid, Answered answered) {
  if (!impl_->alive) return answered(impl_->why);
  impl_->stream->append({"UNSUB ", std::to_string(sid), "\r\n"});
  impl_->ping(std::move(answered));
}

Task<> NatsConnection::flush(Ctx& ctx) {
  if (!impl_->alive) co_return impl_->why;
  const auto pong = std::make_shared<Countdown>();
  pong->add();
  impl_->ping([pong](const Status&) { pong->done(); });
  co_await pong->zero(ctx);
  co_return impl_->why;
}

}  // namespace m3
