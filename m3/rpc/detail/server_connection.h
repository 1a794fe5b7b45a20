// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "m3/rpc/detail/connection.h"
#include "m3/rpc/detail/dispatcher.h"
#include "m3/rpc/detail/standing_queue.h"
#include "m3/wire/deadline_clock.h"

namespace m3::rpc_detail {

/// The acceptor's end: receives requests and notifies, sends answers.
class ServerConnection final : public Connection {
 public:
  ServerConnection(RpcCore& core, std::unique_ptr<Stream> stream);

  void answer(ServerCall& call, Status outcome) override;
  void suspended(ServerCall& call) override;
  bool abandon(ServerCall& call) override;
  void ask_to_drain() override;

 private:
  void on_first_hello() override;
  void on_established() override;
  void on_frame(const Frame& frame) override;
  void on_lost(const Status& why) override;
  void on_tick() override;
  void on_measured(Nanos mean) override;
  void on_call(const Frame& frame);
  void refuse_place();
  bool too_late(const Dispatcher::Entry& entry, Nanos left) const;
  bool waited_too_long();
  void on_cancel(std::uint64_t id);
  void refuse(const FrameHeader& header, Counter& counter, Status why);
  void refuse(const FrameHeader& header, Status why);
  void send_error(std::uint64_t id, const Status& why, const Metadata* reply);
  void send_answer(ServerCall& call);

  ServerCall*& bucket(std::uint64_t id) { return table_[(id ^ (id >> 32)) & (table_.size() - 1)]; }
  void grow_table();
  void link(ServerCall& call);
  void unpark(ServerCall& call);

  bool asked_to_drain_ = false;
  bool has_place_ = false;
  RpcCore::Handshakes::iterator handshake_place_;   // while state_ is handshake
  const Dispatcher::Entry* last_called_ = nullptr;  // until its cost is measured
  std::unique_ptr<const std::string> caller_;  // its id, for handlers: outlives those left behind
  DeadlineClock clock_{0};
  std::vector<ServerCall*> table_;  // suspended calls that want an answer, chained by id
  StandingQueue queue_;
  std::size_t suspended_ = 0;
  std::size_t suspended_bytes_ = 0;  // of their requests
};

}  // namespace m3::rpc_detail
