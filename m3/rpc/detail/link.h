// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <memory>

#include "m3/async/backoff.h"
#include "m3/async/bound.h"
#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/async/timer_wheel.h"
#include "m3/rpc/detail/link_waiter.h"
#include "m3/rpc/detail/server_call.h"
#include "m3/rpc/peers.h"

namespace m3::rpc_detail {

class ClientConnection;
class RpcCore;

/// The link from this core to one instance: dials when needed, waits before it retries, and keeps
/// Peers informed. Owned by the core's Caller, and by a running dial.
class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(RpcCore& core, std::shared_ptr<const Instance> instance);
  ~Link();

  /// nullptr while there is no connection.
  ClientConnection* ready() const noexcept;
  /// The waiter is called when the connection is ready, or has failed. An error: not queued.
  Status wait(LinkWaiter& waiter);
  void leave(LinkWaiter& waiter) noexcept;
  /// Dials if allowed, although no call is waiting.
  void probe();
  const std::shared_ptr<const Instance>& instance() const noexcept { return instance_; }

  // ---- told by its connection

  /// `leaving`: only calls that have no other way use the connection.
  void established(bool leaving);
  /// A fault: the instance gets no calls until it is reached again.
  void lost(ClientConnection& connection, const Status& why);
  /// No new calls on it: it was idle for too long.
  void retire(ClientConnection& connection);
  /// The same, because the instance is leaving.
  void drained(ClientConnection& connection);

  /// The app is stopping: closes everything.
  void close(const Status& why);
  /// The instance is no longer listed: waiting calls fail, calls in flight get their answers.
  void let_go();

 private:
  void dial_now();
  static Task<> dial(Ctx& ctx, std::shared_ptr<Link> link);
  void fail_all(const Status& why);
  void remember(const Status& why, Nanos pause);
  void add(LinkWaiter& waiter) noexcept;
  void slow();

  RpcCore& core_;
  const std::shared_ptr<const Instance> instance_;
  Ref<ClientConnection> connection_;
  LinkWaiter* waiting_head_ = nullptr;
  LinkWaiter* waiting_tail_ = nullptr;
  std::size_t waiting_ = 0;
  async_detail::Bound<async_detail::TimerNode, &Link::slow> slow_{*this};  // while it dials
  bool dialling_ = false;
  bool closed_ = false;
  Backoff backoff_;  // a second or two at most: an instance that is back should get calls again
  TimePoint not_before_{};
  Status last_error_;
};

}  // namespace m3::rpc_detail
