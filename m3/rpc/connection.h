// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "m3/base/slot_table.h"
#include "m3/net/deadline_clock.h"
#include "m3/net/frame.h"
#include "m3/net/goaway.h"
#include "m3/net/hello.h"
#include "m3/net/out_queue.h"
#include "m3/net/stream.h"
#include "m3/rpc/link.h"
#include "m3/rpc/peer_methods.h"
#include "m3/rpc/rpc_core.h"

namespace m3::rpc_detail {

/// What both ends of a connection have in common: handshake, frames in, frames out (gathered in a
/// buffer and sent once when the turn ends), pings, and the end. Core-local, counted.
class Connection : public CallSink, public StreamHandler {
 public:
  Connection(RpcCore& core, std::unique_ptr<Stream> stream, Handshake handshake);
  ~Connection() override;

  void open();
  /// Ends it: `why` goes to whoever waits; `tell` sends the peer a goaway first.
  void close(const Status& why, bool tell);
  bool is_open() const noexcept { return state_ != State::closed; }
  bool is_established() const noexcept { return state_ == State::established; }
  const PeerInfo& peer() const noexcept { return peer_; }
  const std::string& peer_name() const { return stream_->peer_name(); }

  /// Room for one frame; nullptr: shed or closed, refusal() says why. Then commit().
  char* reserve(FrameKind kind, std::size_t size);
  void commit();
  Status refusal() const;

  /// Acceptor: asks the dialer to send its new calls elsewhere.
  virtual void ask_to_drain() {}

  Connection* list_prev = nullptr;
  Connection* list_next = nullptr;

 protected:
  enum class State : std::uint8_t { handshake, established, closed };

  virtual void on_first_hello() {}
  virtual void on_hello_sent() {}
  virtual void on_established() = 0;
  virtual void on_frame(const Frame& frame) = 0;
  virtual void on_lost(const Status& why) = 0;
  virtual void on_tick() = 0;
  virtual void on_all_sent() {}
  /// The clock was read behind a frame: it and those since the last look took so long on average.
  virtual void on_measured(Nanos) {}

  void expire() noexcept override;
  void send_control(FrameKind kind, std::uint32_t deadline, std::uint64_t id);
  void set_tick(Nanos after);
  std::uint32_t now_ms() const;
  void bad_frame(Status why);
  void flush();
  /// When the peer last showed that it is there: bytes came from it, or it took bytes that had been
  /// waiting for it.
  TimePoint last_sign() const noexcept { return std::max(last_heard_, last_taken_); }

  RpcCore& core_;
  std::unique_ptr<Stream> stream_;
  OutQueue out_;
  FrameLimits frame_limits_ = handshake_frame_limits();
  PeerInfo peer_;
  TimePoint last_heard_;
  TimePoint last_taken_{};
  State state_ = State::handshake;
  bool behind_ = false;     ///< a slice ended before these bytes were handled
  bool may_pause_ = false;  ///< an acceptor stops reading while its answers pile up

 private:
  struct Flush final : async_detail::Runnable {
    explicit Flush(Connection& c) : Runnable(&Flush::fire), owner(c) {}
    static void fire(Runnable& work);
    Connection& owner;
    bool queued = false;
  };
  struct Tick final : async_detail::TimerNode {
    explicit Tick(Connection& c) : TimerNode(&Tick::fire), owner(c) {}
    static void fire(TimerNode& node);
    Connection& owner;
  };
  struct Reaper final : async_detail::Runnable {
    explicit Reaper(Connection& c)
        : Runnable([](Runnable& r) { delete &static_cast<Reaper&>(r).owner; }), owner(c) {}
    Connection& owner;
  };

  Taken on_bytes(std::string_view bytes) final;
  void on_writable() final;
  void on_closed(Status why) final;
  void on_handshake_frame(const Frame& frame);
  void apply(Handshake::Step step);
  void send_raw(const std::string& frames);

  std::unique_ptr<Handshake> handshake_;
  Flush flush_{*this};
  Tick tick_{*this};
  Reaper reaper_{*this};
  bool blocked_ = false;
  bool reading_paused_ = false;
  bool heard_hello_ = false;
};

/// The acceptor's end: requests and notifies come in, answers go out.
class ServerConnection final : public Connection {
 public:
  ServerConnection(RpcCore& core, std::unique_ptr<Stream> stream);

  void answer(ServerCall& call, Status outcome) override;
  void suspended(ServerCall& call) override;
  bool abandon(ServerCall& call) override;
  void ask_to_drain() override;

 private:
  void on_first_hello() override;
  void on_hello_sent() override;
  void on_established() override;
  void on_frame(const Frame& frame) override;
  void on_lost(const Status& why) override;
  void on_tick() override;
  void on_measured(Nanos mean) override;
  void on_call(const Frame& frame);
  bool too_late(const Dispatcher::Entry& entry, Nanos left) const;
  void on_cancel(std::uint64_t id);
  void refuse(const FrameHeader& header, Counter& counter, Status why);
  void send_error(std::uint64_t id, const Status& why, const Metadata* reply);
  void send_answer(ServerCall& call);

  ServerCall*& bucket(std::uint64_t id) { return table_[(id ^ (id >> 32)) & (table_.size() - 1)]; }
  void grow_table();
  ServerCall* unlink(std::uint64_t id, const ServerCall* which);

  bool asked_to_drain_ = false;
  const Dispatcher::Entry* last_called_ = nullptr;  // until its cost is measured
  std::unique_ptr<const std::string> caller_;  // its id, for handlers: outlives those left behind
  DeadlineClock clock_{0};
  std::vector<ServerCall*> table_;  // suspended calls, chained by id
  std::size_t suspended_ = 0;
  std::size_t suspended_bytes_ = 0;  // of their requests
};

/// The dialer's end: requests and notifies go out, answers come in.
class ClientConnection final : public Connection {
 public:
  ClientConnection(RpcCore& core, std::unique_ptr<Stream> stream, Link& link);

  void answer(ServerCall&, Status) override {}  // a dialer answers nothing
  void suspended(ServerCall&) override {}
  bool abandon(ServerCall&) override { return true; }

  Serves serves(const MethodInfo& method) noexcept { return methods_->serves(method); }
  /// Why it cannot be sent, when the peer does not serve it.
  Status refusal_of(const MethodInfo& method) { return methods_->refusal(method, peer_.app_id); }
  bool is_full() const noexcept { return pending_.size() >= peer_.limits.max_calls; }
  std::size_t in_flight() const noexcept { return pending_.size(); }
  std::uint32_t wire_deadline(Deadline deadline) const;

  std::uint64_t add(CallOp& op) {
    busy_now();
    return pending_.insert(&op);
  }
  void forget(std::uint64_t id, bool tell);
  void leave_link() noexcept { link_ = nullptr; }
  /// Calls under way get their answers; no new ones may come.
  void close_when_idle();
  const Instance& instance() const noexcept { return *instance_; }
  /// Pings now; last_heard() will say when something came.
  void ping();
  TimePoint last_heard() const noexcept { return last_heard_; }
  /// A notify went out: whether the peer hears it, pings must say.
  void note_use() {
    busy_now();
    first_notify_ = std::min(first_notify_, last_used_);
  }

 private:
  friend class Link;
  void on_established() override;
  void on_frame(const Frame& frame) override;
  void on_lost(const Status& why) override;
  void on_tick() override;
  void on_all_sent() override;
  void on_response(const Frame& frame);
  void busy_now();
  void send_ping();
  Nanos tick_interval() const;

  Link* link_;
  const std::shared_ptr<const Instance>
      instance_;  // its slot is taken as long as calls are under way
  SlotTable<CallOp*> pending_;
  Metadata scratch_;
  std::shared_ptr<PeerMethods> methods_;  // once it is established
  TimePoint born_;
  TimePoint last_used_;
  TimePoint next_tick_;
  TimePoint next_ping_;
  TimePoint ping_sent_ = TimePoint::max();  // max: none is unanswered
  TimePoint first_notify_ = TimePoint::max();
  bool draining_ = false;
};

}  // namespace m3::rpc_detail
