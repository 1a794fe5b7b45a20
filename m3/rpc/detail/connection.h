// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "m3/async/bound.h"
#include "m3/net/out_queue.h"
#include "m3/net/stream.h"
#include "m3/rpc/detail/rpc_core.h"
#include "m3/wire/frame.h"
#include "m3/wire/hello.h"

namespace m3::rpc_detail {

/// The common part of both ends of a connection: handshake, received frames, sent frames (collected
/// in a buffer and sent once when the turn ends), pings, and the end. Core-local,
/// reference-counted.
class Connection : public CallSink, public StreamHandler {
 public:
  Connection(RpcCore& core, std::unique_ptr<Stream> stream, Handshake handshake);
  ~Connection() override;

  void open();
  /// Ends it: waiting calls fail with `why`; `tell` sends the peer a goaway first.
  void close(const Status& why, bool tell);
  bool is_open() const noexcept { return state_ != State::closed; }
  bool is_established() const noexcept { return state_ == State::established; }
  const PeerInfo& peer() const noexcept { return peer_; }
  const std::string& peer_name() const { return stream_->peer_name(); }

  /// Room for one frame; nullptr: shed or closed, refusal() says why. Then commit().
  char* reserve(FrameKind kind, std::size_t size);
  void commit();
  Status refusal() const;

  /// Acceptor: asks the dialer to send its new calls to other instances.
  virtual void ask_to_drain() {}

  Connection* list_prev = nullptr;
  Connection* list_next = nullptr;

 protected:
  enum class State : std::uint8_t { handshake, established, closed };

  virtual void on_first_hello() {}
  virtual void on_established() = 0;
  virtual void on_frame(const Frame& frame) = 0;
  virtual void on_lost(const Status& why) = 0;
  virtual void on_tick() = 0;
  virtual void on_all_sent() {}
  /// The clock was read after a frame: it and the frames since the last read took this long on
  /// average.
  virtual void on_measured(Nanos) {}

  void expire() noexcept override;
  void send_control(FrameKind kind, std::uint32_t deadline, std::uint64_t id,
                    std::uint8_t flags = 0);
  void set_tick(Nanos after);
  std::uint32_t now_ms() const;
  void bad_frame(Status why);
  void flush();
  /// When the peer last showed a sign of life: bytes were received, or it accepted bytes that had
  /// been waiting.
  TimePoint last_sign() const noexcept { return std::max(last_heard_, last_taken_); }
  /// When the oldest of the bytes being handled had arrived.
  TimePoint arrived() const noexcept { return arrived_; }

  RpcCore& core_;
  std::unique_ptr<Stream> stream_;
  OutQueue out_;
  FrameLimits frame_limits_;
  PeerInfo peer_;
  TimePoint last_heard_;
  TimePoint arrived_;
  TimePoint last_taken_{};
  State state_ = State::handshake;
  bool behind_ = false;     ///< a slice ended before these bytes were handled
  bool may_pause_ = false;  ///< an acceptor stops reading while its answers pile up

 private:
  Taken on_bytes(std::string_view bytes) final;
  void on_writable() final;
  void on_closed(Status why) final;
  void on_handshake_frame(const Frame& frame);
  void turn_ends();
  void time_is_up();
  void die() { delete this; }
  void apply(Handshake::Step step);
  void send_raw(const std::string& frames);

  std::unique_ptr<Handshake> handshake_;
  async_detail::Bound<async_detail::Runnable, &Connection::turn_ends> flush_{*this};
  async_detail::Bound<async_detail::TimerNode, &Connection::time_is_up> tick_{*this};
  async_detail::Bound<async_detail::Runnable, &Connection::die> reaper_{*this};
  bool flush_queued_ = false;
  bool blocked_ = false;
  bool reading_paused_ = false;
  bool heard_hello_ = false;
};

}  // namespace m3::rpc_detail
