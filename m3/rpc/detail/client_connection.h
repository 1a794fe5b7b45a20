// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "m3/base/slot_table.h"
#include "m3/rpc/detail/connection.h"
#include "m3/rpc/detail/link.h"
#include "m3/rpc/detail/peer_methods.h"

namespace m3 {
class CallOp;
}

namespace m3::rpc_detail {

/// The dialer's end: sends requests and notifies, receives answers.
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
  /// Calls in flight get their answers; no new ones are allowed.
  void close_when_idle();
  const Instance& instance() const noexcept { return *instance_; }
  /// Pings now; last_heard() changes when something arrives.
  void ping();
  TimePoint last_heard() const noexcept { return last_heard_; }
  /// When the newest ping went out that the peer has answered; min: none yet.
  TimePoint last_answered() const noexcept { return last_answered_; }
  /// A notify was sent: ping soon, because no answer will show that the link works.
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
  void note_health(bool sick);
  Nanos tick_interval() const;

  Link* link_;
  const std::shared_ptr<const Instance>
      instance_;  // its slot is used as long as calls are in flight
  SlotTable<CallOp*> pending_;
  Metadata scratch_;
  std::shared_ptr<PeerMethods> methods_;  // once it is established
  TimePoint born_;
  TimePoint last_used_;
  TimePoint next_tick_;
  TimePoint next_ping_;
  TimePoint ping_sent_ = TimePoint::max();  // max: none is unanswered
  TimePoint last_answered_ = TimePoint::min();
  TimePoint first_notify_ = TimePoint::max();
  bool draining_ = false;
};

}  // namespace m3::rpc_detail
