// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/detail/connection.h"

#include <chrono>
#include <utility>

#include "m3/obs/log.h"
#include "m3/wire/goaway.h"

namespace m3::rpc_detail {

Connection::Connection(RpcCore& core, std::unique_ptr<Stream> stream, Handshake handshake)
    : core_(core),
      stream_(std::move(stream)),
      out_(core.buffers().pool, core.config().out),
      frame_limits_(handshake.frame_limits()),
      last_heard_(core.core().now()),
      handshake_(std::make_unique<Handshake>(std::move(handshake))) {
  core_.born();
}

Connection::~Connection() { core_.died(); }

void Connection::expire() noexcept { core_.core().ready(reaper_); }

void Connection::open() {
  core_.add(*this);
  set_tick(kHandshakeTime);
  stream_->start(*this);
  apply(handshake_->start());
}

void Connection::close(const Status& why, bool tell) {
  if (state_ == State::closed) return;
  Ref<Connection> keep(this);
  if (tell) send_raw(encode_goaway(why, false));
  flush();
  state_ = State::closed;
  tick_.cancel();
  stream_->close();
  on_lost(why);
  core_.remove(*this);
}

char* Connection::reserve(FrameKind kind, std::size_t size) {
  return state_ == State::closed ? nullptr : out_.reserve(kind, size);
}

void Connection::commit() {
  out_.commit();
  if (flush_queued_) return;
  flush_queued_ = true;
  ref();
  core_.core().at_turn_end(flush_);
}

void Connection::turn_ends() {
  flush_queued_ = false;
  flush();
  unref();
}

Status Connection::refusal() const {
  if (state_ == State::closed)
    return Status(Errc::unavailable, "the connection is closed").not_executed();
  return out_.refusal_status();
}

void Connection::flush() {
  while (state_ != State::closed && !blocked_ && !out_.empty()) {
    const std::string_view bytes = out_.pending();
    const std::size_t sent = stream_->send(bytes);
    out_.consume(sent);
    if (sent < bytes.size()) blocked_ = true;
  }
  if (reading_paused_ && !out_.response_over_limit()) {
    reading_paused_ = false;
    stream_->pause_reading(false);
  }
}

void Connection::on_writable() {
  blocked_ = false;
  last_taken_ = core_.core().now();
  Ref<Connection> keep(this);
  flush();
  if (state_ != State::closed && out_.empty()) on_all_sent();
}

void Connection::on_closed(Status why) { close(why, false); }

StreamHandler::Taken Connection::on_bytes(std::string_view bytes) {
  Ref<Connection> keep(this);
  last_heard_ = core_.core().now();
  if (!behind_) arrived_ = stream_->came_by();
  FrameReader reader(bytes, frame_limits_);
  Frame frame;
  TimePoint looked = last_heard_;
  int since = 0;  // frames
  while (reader.next(frame)) {
    if (state_ == State::established) [[likely]] {
      on_frame(frame);
    } else {
      on_handshake_frame(frame);
      reader.set_limits(frame_limits_);
    }
    if (state_ == State::closed) return {bytes.size(), 0, false};
    if (may_pause_ && out_.response_over_limit()) {
      reading_paused_ = true;
      stream_->pause_reading(true);
      return {reader.consumed(), 0, true};
    }
    ++since;
    const bool over = core_.core().spent();
    if (const TimePoint now = core_.core().now(); now != looked)
      on_measured((now - std::exchange(looked, now)) / std::exchange(since, 0));
    if (over) {
      behind_ = reader.consumed() < bytes.size();
      return {reader.consumed(), 0, true};
    }
  }
  behind_ = false;
  if (reader.failed()) {
    bad_frame(reader.status());
    return {bytes.size(), 0, false};
  }
  return {reader.consumed(), reader.needed(), false, state_ == State::handshake};
}

void Connection::on_handshake_frame(const Frame& frame) {
  if (!std::exchange(heard_hello_, true)) on_first_hello();
  if (state_ == State::closed) return;
  apply(handshake_->on_frame(frame));
}

void Connection::apply(Handshake::Step step) {
  if (!step.send.empty()) send_raw(step.send);
  if (step.state == Handshake::State::open) {
    frame_limits_ = handshake_->frame_limits();
    return;
  }
  if (step.state == Handshake::State::failed) {
    core_.metrics().handshake_failed.inc();
    // A separate log line, so that it cannot be hidden behind other refusals.
    if (step.status == Errc::unauthenticated)
      log::warn_limited("handshake with {} failed, wrong credentials: {}", peer_name(),
                        step.status.text());
    else
      log::warn_limited("handshake with {} failed: {}", peer_name(), step.status.to_string());
    close(step.status, false);
    return;
  }
  peer_ = std::move(*handshake_).take_peer();
  handshake_.reset();
  frame_limits_ = FrameLimits(peer_.limits);
  state_ = State::established;
  on_established();
}

void Connection::send_raw(const std::string& frames) {
  if (char* to = reserve(FrameKind::hello, frames.size())) {
    std::memcpy(to, frames.data(), frames.size());
    commit();
  }
}

void Connection::send_control(FrameKind kind, std::uint32_t deadline, std::uint64_t id,
                              std::uint8_t flags) {
  char* to = reserve(kind, kFrameHeaderSize);
  if (!to)
    return close(Status(Errc::unavailable, "the peer does not read the data sent to it"), false);
  FrameHeader header;
  header.kind = kind;
  header.flags = flags;
  header.deadline = deadline;
  header.call_id = id;
  write_header(to, header, 0, 0);
  commit();
}

void Connection::bad_frame(Status why) {
  core_.metrics().bad_frame.inc();
  log::warn_limited("connection with {} broke the protocol: {}", peer_name(), why.to_string());
  close(why, true);
}

void Connection::set_tick(Nanos after) {
  core_.core().timers().add(tick_, core_.core().now() + after);
}

void Connection::time_is_up() {
  Ref<Connection> keep(this);
  if (state_ == State::handshake) {
    core_.metrics().handshake_failed.inc();
    close(Status(Errc::deadline_exceeded, "the handshake took longer than 2 s").not_executed(),
          true);
  } else if (state_ == State::established) {
    on_tick();
  }
}

std::uint32_t Connection::now_ms() const {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  return static_cast<std::uint32_t>(
      duration_cast<milliseconds>(core_.core().now().time_since_epoch()).count());
}

}  // namespace m3::rpc_detail
