// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "m3/obs/log.h"
#include "m3/rpc/detail/server_connection.h"
#include "m3/wire/goaway.h"
#include "m3/wire/metadata_codec.h"

namespace m3::rpc_detail {

namespace {

HelloConfig acceptor_hello(RpcCore& core) {
  HelloConfig hello = core.shared().hello();
  hello.methods = core.shared().methods();
  hello.leaving = [&core] { return core.leaving(); };
  hello.sick = [&core] { return core.shared().sick.load(std::memory_order_relaxed); };
  return hello;
}

/// A dialer pings at least this often; silence for three of them ends the connection.
constexpr int kSilentPings = 3;
/// A request may always wait for this many others: with a shorter queue a slightly overloaded core
/// would have moments without work.
constexpr int kMayWaitFor = 2;

}  // namespace

ServerConnection::ServerConnection(RpcCore& core, std::unique_ptr<Stream> stream)
    : Connection(core, std::move(stream), Handshake::accept(acceptor_hello(core))) {
  may_pause_ = true;
  core_.metrics().server_connections.inc();
  handshake_place_ = core_.handshakes().insert(core_.handshakes().end(), this);
}

void ServerConnection::on_first_hello() {
  clock_ = DeadlineClock(now_ms());
  if (core_.is_full()) refuse_place();
}

/// At the first hello the dialer has sent no call yet.
void ServerConnection::refuse_place() {
  core_.metrics().too_many_connections.inc();
  close(Status(Errc::resource_exhausted, "too many connections").not_executed(), true);
}

void ServerConnection::on_established() {
  core_.handshakes().erase(handshake_place_);
  has_place_ = true;
  if (!core_.take_place()) return refuse_place();  // several came at once
  caller_ = std::make_unique<const std::string>(peer_.app_id);
  set_tick(core_.config().idle_ping_interval * kSilentPings);
  asked_to_drain_ = core_.leaving();  // the hello said so
}

void ServerConnection::ask_to_drain() {
  if (std::exchange(asked_to_drain_, true)) return;
  const std::string frame =
      encode_goaway(Status(Errc::unavailable, "draining: go elsewhere"), true);
  if (char* to = reserve(FrameKind::goaway, frame.size())) {
    std::memcpy(to, frame.data(), frame.size());
    commit();
  }
}

void ServerConnection::on_tick() {
  const Nanos silence = core_.core().now() - last_sign();
  const Nanos limit = core_.config().idle_ping_interval * kSilentPings;
  if (silence < limit) return set_tick(limit - silence);
  core_.metrics().dead_link.inc();
  close(Status(Errc::unavailable, "the dialer is silent"), true);
}

void ServerConnection::on_frame(const Frame& frame) {
  switch (frame.header.kind) {
    case FrameKind::request:
    case FrameKind::notify:
      return on_call(frame);
    case FrameKind::cancel:
      return on_cancel(frame.header.call_id);
    case FrameKind::ping:
      clock_.on_ping(frame.header.deadline, now_ms());
      return send_control(
          FrameKind::pong, frame.header.deadline, frame.header.call_id,
          core_.shared().sick.load(std::memory_order_relaxed) ? kFlagSick : std::uint8_t{0});
    case FrameKind::pong:
      return;
    case FrameKind::goaway: {
      auto goaway = decode_goaway(frame.body);
      return close(goaway.is_ok() ? goaway->reason : std::move(goaway).status(), false);
    }
    default:
      break;
  }
  bad_frame(Status(Errc::invalid_argument,
                   "unexpected frame from the dialer: " + frame_kind_name(frame.header.kind)));
}

void ServerConnection::on_call(const Frame& frame) {
  const FrameHeader& header = frame.header;
  RpcMetrics& metrics = core_.metrics();
  const Dispatcher::Entry* entry = core_.shared().dispatcher.find(header.method);
  if (!entry)
    return refuse(
        header, metrics.unknown_method,
        Status(Errc::unimplemented, "no method has the number " + std::to_string(header.method)));
  if (core_.draining())
    return refuse(header, metrics.draining, Status(Errc::unavailable, "draining: go elsewhere"));
  if (suspended_ >= peer_.limits.max_calls)
    return refuse(header, metrics.overloaded,
                  Status(Errc::resource_exhausted, "too many calls in flight on this connection"));
  if (suspended_ > 0 && suspended_bytes_ + frame.body.size() > core_.config().connection_memory)
    return refuse(header, metrics.overloaded,
                  Status(Errc::resource_exhausted,
                         "too many bytes of requests in flight on this connection"));
  if (core_.memory_full(frame.body.size()))
    return refuse(header, metrics.overloaded,
                  Status(Errc::resource_exhausted, "the memory limit for calls is reached here"));
  const std::int32_t left = clock_.remaining(header.deadline, now_ms());
  if (left <= 0)
    return refuse(header, metrics.late,
                  Status(Errc::deadline_exceeded, "the deadline had passed on arrival"));
  if (too_late(*entry, std::chrono::milliseconds(left)))
    return refuse(header, metrics.late,
                  Status(Errc::deadline_exceeded, "no time was left to answer when its turn came"));
  if (waited_too_long())
    return refuse(header, metrics.saturated,
                  Status(Errc::resource_exhausted, "more calls arrive than can be answered here"));
  if (entry->binding.info->notify != (header.kind == FrameKind::notify))
    return refuse(header, metrics.bad_request,
                  Status(Errc::invalid_argument,
                         std::string(entry->binding.info->full_name) +
                             (entry->binding.info->notify ? " is a notify"
                                                          : " has a response: send a request")));
  if (core_.has_admissions()) {
    Status admitted =
        core_.admit({*entry->binding.info, *caller_, frame.metadata, frame.body.size(),
                     core_.core().now() - arrived(), std::chrono::milliseconds(left)});
    if (!admitted.is_ok()) return refuse(header, std::move(admitted));
  }
  const Deadline deadline(core_.core().now() + std::chrono::milliseconds(left));
  last_called_ = entry;
  core_.dispatch(*this, *entry, header, frame.metadata, frame.body, deadline,
                 {*caller_, peer_.is_operator});
}

/// While calls come faster than they are answered, each is near its deadline when its turn comes. A
/// call that would be answered too late, judged by the usual cost, would only cost the next one its
/// time.
bool ServerConnection::too_late(const Dispatcher::Entry& entry, Nanos left) const {
  return behind_ && left < 2 * core_.cost_of(entry);
}

/// While a core is saturated its queues never empty, and all requests in them would be answered
/// late or not at all. A request that has waited is refused soon, so that its caller can act; one
/// that has just arrived is answered in time. A burst on a core with time to spare waits as long as
/// it must (Ben Maurer, "Fail at Scale", ACM Queue 13-8, 2015: controlled delay). So does one on a
/// core that has none, unless the queue stays: this connection's own, or that of all.
bool ServerConnection::waited_too_long() {
  const Core& core = core_.core();
  const Nanos limit = core_.config().overload_wait;
  if (!core.saturated() || limit <= Nanos(0)) {
    queue_.clear();
    core_.queue().clear();
    return false;
  }
  const TimePoint now = core.now();
  const bool waited = now - arrived() > std::max(limit, kMayWaitFor * core_.mean_cost());
  const bool all = core_.queue().refuses(waited, now);
  return queue_.refuses(waited, now) || all;
}

void ServerConnection::on_measured(Nanos mean) {
  if (last_called_) core_.learn_cost(*std::exchange(last_called_, nullptr), mean);
}

void ServerConnection::refuse(const FrameHeader& header, Counter& counter, Status why) {
  counter.inc();
  refuse(header, std::move(why));
}

void ServerConnection::refuse(const FrameHeader& header, Status why) {
  if (header.kind == FrameKind::request)
    send_error(header.call_id, std::move(why).not_executed(), nullptr);
}

void ServerConnection::answer(ServerCall& call, Status outcome) {
  if (call.parked) unpark(call);
  if (state_ == State::closed || !call.wants_answer) return;
  if (!outcome.is_ok()) return send_error(call.id, outcome, call.ctx.reply());
  send_answer(call);
}

void ServerConnection::send_answer(ServerCall& call) {
  const google::protobuf::MessageLite& message = *call.response();
  const Metadata* reply = call.ctx.reply();
  const std::size_t body = message.ByteSizeLong();
  call.response_bytes = static_cast<std::uint32_t>(body);
  const std::size_t meta = reply ? encoded_metadata_size(*reply) : 0;
  if (kLeastLength + meta + body > peer_.limits.max_frame_bytes ||
      meta > peer_.limits.max_metadata_bytes)
    return send_error(
        call.id,
        Status(Errc::resource_exhausted, "the answer of " + std::to_string(body + meta) +
                                             " bytes is over the limit of " +
                                             std::to_string(peer_.limits.max_frame_bytes)),
        nullptr);
  const std::size_t waiting = out_.waiting_responses();
  if (waiting > 0 && (waiting + body + meta > core_.config().connection_memory ||
                      core_.memory_full(body + meta))) {
    core_.metrics().answers_too_large.inc();
    return send_error(
        call.id,
        Status(Errc::resource_exhausted,
               "the answer was dropped: too many bytes of answers are waiting to be read"),
        nullptr);
  }
  char* to = reserve(FrameKind::response, frame_size(meta, body));
  if (!to) return;
  FrameHeader header;
  header.kind = FrameKind::response;
  header.call_id = call.id;
  write_header(to, header, meta, body);
  if (meta) encode_metadata(*reply, to + kFrameHeaderSize);
  message.SerializeWithCachedSizesToArray(
      reinterpret_cast<std::uint8_t*>(to + kFrameHeaderSize + meta));
  commit();
}

void ServerConnection::send_error(std::uint64_t id, const Status& why, const Metadata* reply) {
  Metadata metadata;
  if (reply) metadata.entries = reply->entries;
  metadata.status = MetadataStatus::from(why);
  std::size_t meta = encoded_metadata_size(metadata);
  if (meta > peer_.limits.max_metadata_bytes) {
    metadata.entries.clear();
    metadata.status->text.resize(std::min<std::size_t>(metadata.status->text.size(), 128));
    if (metadata.status->owner.size() > kMaxHelloId) metadata.status->owner.clear();
    meta = encoded_metadata_size(metadata);  // fits the least limit there is
  }
  char* to = reserve(FrameKind::response, frame_size(meta, 0));
  if (!to) return;
  FrameHeader header;
  header.kind = FrameKind::response;
  header.flags = why.maybe_executed() ? 0 : kFlagNotExecuted;
  header.call_id = id;
  write_header(to, header, meta, 0);
  encode_metadata(metadata, to + kFrameHeaderSize);
  commit();
}

void ServerConnection::suspended(ServerCall& call) {
  if (state_ == State::closed && call.wants_answer)
    return call.ctx.cancel(CancelReason::caller_gone);
  call.parked = true;
  ++suspended_;
  suspended_bytes_ += call.request_bytes;
  if (!call.wants_answer) return;  // a notify has no number by which to find it
  if (suspended_ > table_.size()) grow_table();
  link(call);
}

/// The handler continues, and may ask for its caller: the name is kept for good.
bool ServerConnection::abandon(ServerCall& call) {
  static std::mutex mutex;
  static auto* kept = new std::vector<std::unique_ptr<const std::string>>;
  unpark(call);
  const std::lock_guard lock(mutex);
  if (caller_) kept->push_back(std::move(caller_));
  return true;
}

void ServerConnection::link(ServerCall& call) {
  ServerCall*& head = bucket(call.id);
  call.bucket_prev = nullptr;
  call.bucket_next = head;
  if (head) head->bucket_prev = &call;
  head = &call;
}

void ServerConnection::grow_table() {
  std::vector<ServerCall*> old(std::max<std::size_t>(16, table_.size() * 2), nullptr);
  old.swap(table_);
  for (ServerCall* call : old)
    while (call) link(*std::exchange(call, call->bucket_next));
}

void ServerConnection::unpark(ServerCall& call) {
  call.parked = false;
  --suspended_;
  suspended_bytes_ -= call.request_bytes;
  if (!call.wants_answer) return;
  (call.bucket_prev ? call.bucket_prev->bucket_next : bucket(call.id)) = call.bucket_next;
  if (call.bucket_next) call.bucket_next->bucket_prev = call.bucket_prev;
  call.bucket_prev = call.bucket_next = nullptr;
}

void ServerConnection::on_cancel(std::uint64_t id) {
  if (table_.empty()) return;
  for (ServerCall* call = bucket(id); call; call = call->bucket_next)
    if (call->id == id) return call->ctx.cancel(CancelReason::caller_gone);
}

/// Answers are no longer expected; a notify was handed over, and its handler continues.
void ServerConnection::on_lost(const Status&) {
  core_.metrics().server_connections.dec();
  has_place_ ? core_.give_place() : (void)core_.handshakes().erase(handshake_place_);
  const Walk walk;
  for (ServerCall* head : table_)
    for (ServerCall* call = head; call; call = call->bucket_next)
      if (call->wants_answer) call->ctx.cancel(CancelReason::caller_gone);
}

}  // namespace m3::rpc_detail
