// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <string>
#include <unordered_set>
#include <utility>

#include "m3/obs/log.h"
#include "m3/rpc/call_op.h"
#include "m3/rpc/detail/client_connection.h"
#include "m3/wire/deadline_clock.h"
#include "m3/wire/goaway.h"
#include "m3/wire/metadata_codec.h"

namespace m3::rpc_detail {

namespace {

HelloConfig dialer_hello(const RpcShared& shared, std::string dialled) {
  HelloConfig hello = shared.hello();
  hello.dialled = std::move(dialled);
  return hello;
}

}  // namespace

ClientConnection::ClientConnection(RpcCore& core, std::unique_ptr<Stream> stream, Link& link)
    : Connection(core, std::move(stream),
                 Handshake::dial(dialer_hello(core.shared(), link.instance()->id.to_string()))),
      link_(&link),
      instance_(link.instance()),
      born_(core.core().now()),
      last_used_(born_) {
  core_.metrics().client_connections.inc();
}

void ClientConnection::on_established() {
  methods_ = core_.peer_methods().intern(std::exchange(peer_.methods, {}));
  last_used_ = core_.core().now();
  next_tick_ = next_ping_ = last_used_ + tick_interval();
  set_tick(tick_interval());
  if (!link_) return;
  note_health(peer_.sick);
  link_->established(peer_.leaving);
  if (!peer_.leaving || !link_) return;
  std::exchange(link_, nullptr)->retire(*this);
  close_when_idle();
}

std::uint32_t ClientConnection::wire_deadline(Deadline deadline) const {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  const TimePoint farthest = core_.core().now() + milliseconds(kFarthestDeadlineMs);
  const TimePoint at = std::min(deadline.at(), farthest);
  return static_cast<std::uint32_t>(duration_cast<milliseconds>(at - born_).count());
}

void ClientConnection::on_frame(const Frame& frame) {
  switch (frame.header.kind) {
    case FrameKind::response:
      return on_response(frame);
    case FrameKind::ping:
      return send_control(FrameKind::pong, frame.header.deadline, frame.header.call_id);
    case FrameKind::pong:
      if (ping_sent_ != TimePoint::max() && first_notify_ < ping_sent_)
        core_.caller().lived(*instance_);
      if (ping_sent_ != TimePoint::max()) last_answered_ = ping_sent_;
      ping_sent_ = TimePoint::max();
      return note_health((frame.header.flags & kFlagSick) != 0);
    case FrameKind::goaway: {
      auto goaway = decode_goaway(frame.body);
      if (!goaway.is_ok()) return bad_frame(std::move(goaway).status());
      if (!goaway->drain) return close(goaway->reason, false);
      Ref<ClientConnection> keep(this);
      if (Link* link = std::exchange(link_, nullptr)) link->drained(*this);
      return close_when_idle();
    }
    default:
      break;
  }
  bad_frame(Status(Errc::invalid_argument,
                   "unexpected frame from the acceptor: " + frame_kind_name(frame.header.kind)));
}

void ClientConnection::on_response(const Frame& frame) {
  auto op = pending_.take(frame.header.call_id);
  if (!op) return core_.metrics().unexpected_response.inc();  // its caller gave up meanwhile
  const Metadata* metadata = nullptr;
  if (!frame.metadata.empty()) {
    Status read = decode_metadata(frame.metadata, scratch_);
    if (!read.is_ok()) {
      (*op)->on_lost(Status(Errc::internal, "the answer's metadata is malformed: " + read.text()));
      return bad_frame(std::move(read));
    }
    metadata = &scratch_;
  }
  (*op)->on_response(metadata, frame.body, (frame.header.flags & kFlagNotExecuted) != 0);
  if (draining_) close_when_idle();
}

void ClientConnection::close_when_idle() {
  draining_ = true;
  if (!pending_.empty()) return;
  flush();
  if (!out_.empty()) return;  // notifies: on_all_sent() follows
  close(Status(Errc::unavailable, "drained").not_executed(), false);
}

void ClientConnection::on_all_sent() {
  if (draining_) close_when_idle();
}

void ClientConnection::forget(std::uint64_t id, bool tell) {
  if (!pending_.erase(id) || !tell || state_ != State::established) return;
  char* to = reserve(FrameKind::cancel, kFrameHeaderSize);
  if (!to) return;  // shed: the answer will be dropped when it comes
  FrameHeader header;
  header.kind = FrameKind::cancel;
  header.call_id = id;
  write_header(to, header, 0, 0);
  commit();
}

Nanos ClientConnection::tick_interval() const {
  const bool busy =
      !pending_.empty() || core_.core().now() - last_used_ < core_.config().ping_interval * 2;
  return busy ? core_.config().ping_interval : core_.config().idle_ping_interval;
}

void ClientConnection::busy_now() {
  last_used_ = core_.core().now();
  if (next_ping_ - last_used_ <= core_.config().ping_interval) return;
  next_ping_ = last_used_ + core_.config().ping_interval;
  if (next_tick_ <= next_ping_) return;
  next_tick_ = next_ping_;
  set_tick(core_.config().ping_interval);
}

void ClientConnection::send_ping() {
  if (ping_sent_ != TimePoint::max()) return;  // the previous one is unanswered
  ping_sent_ = core_.core().now();
  next_ping_ = ping_sent_ + tick_interval();
  send_control(FrameKind::ping, wire_deadline(Deadline(ping_sent_)), 0);
}

/// Reported with each pong while it lasts: the mesh may have forgotten it meanwhile.
void ClientConnection::note_health(bool sick) {
  peer_.sick = sick;
  if (sick && link_) core_.shared().resolver.on_sick(core_.core(), *instance_);
}

void ClientConnection::ping() {
  Ref<ClientConnection> keep(this);
  busy_now();
  send_ping();
}

void ClientConnection::on_tick() {
  const TimePoint now = core_.core().now();
  if (draining_ && pending_.empty() && out_.empty()) return close_when_idle();
  const TimePoint sign = ping_sent_ == TimePoint::max() ? now : std::max(ping_sent_, last_sign());
  if (now - sign >= core_.config().ping_timeout) {
    core_.metrics().dead_link.inc();
    return close(Status(Errc::unavailable, peer_name() + " does not answer pings"), false);
  }
  if (pending_.empty() && now - last_used_ >= core_.config().idle_close) {
    Ref<ClientConnection> keep(this);
    if (Link* link = std::exchange(link_, nullptr)) link->retire(*this);
    return close(
        Status(Errc::unavailable, "closed because it was idle for too long").not_executed(), true);
  }
  if (now >= next_ping_) send_ping();
  if (state_ == State::closed) return;
  // The pong is overdue when its time limit passes, not when the next ping would be due.
  const bool unanswered = ping_sent_ != TimePoint::max();
  next_tick_ =
      unanswered ? std::max(ping_sent_, last_sign()) + core_.config().ping_timeout : next_ping_;
  if (unanswered && next_ping_ > now) next_tick_ = std::min(next_tick_, next_ping_);
  set_tick(next_tick_ - now);
}

void ClientConnection::on_lost(const Status& why) {
  core_.metrics().client_connections.dec();
  Ref<ClientConnection> keep(this);
  std::unordered_set<std::uint64_t> unsent;
  if (!out_.empty())
    out_.for_each_unsent([&](const FrameHeader& header) {
      if (header.kind == FrameKind::request) unsent.insert(header.call_id);
      if (header.kind == FrameKind::notify) core_.metrics().notifies_unsent.inc();
    });
  // The link first: a call that is retried must find a new connection.
  if (Link* link = std::exchange(link_, nullptr))
    link->lost(*this, why);
  else if (!pending_.empty())
    core_.caller().broke(*instance_, why);  // it had announced that it would still answer
  const Status lost(Errc::unavailable, "connection to " + peer_name() + " lost: " + why.text());
  const Walk walk;
  pending_.for_each([&](std::uint64_t id, CallOp* op) {
    op->on_lost(unsent.count(id) ? Status(lost).not_executed() : lost);
  });
  pending_.clear();
}

}  // namespace m3::rpc_detail
