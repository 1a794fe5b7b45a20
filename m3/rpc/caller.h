// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/async/timer_wheel.h"
#include "m3/base/app_id.h"
#include "m3/base/metadata.h"
#include "m3/rpc/detail/link.h"
#include "m3/rpc/method.h"
#include "m3/rpc/peers.h"
#include "m3/rpc/resolver.h"
#include "m3/rpc/route.h"
#include "m3/rpc/self_report.h"

namespace m3 {

class Broadcaster;
class Caller;

namespace rpc_detail {
class ClientConnection;
class LocalCall;
class RpcCore;
/// The metadata of a request; most calls have none.
std::optional<Metadata> request_metadata_of(const Ctx& ctx, const MethodInfo& method,
                                            const Route& route);
/// A whole frame, to be sent by other means than a connection.
std::string encode_notify(const Ctx& ctx, const MethodInfo& method,
                          const google::protobuf::MessageLite& message, const Route& route);
}  // namespace rpc_detail

/// Sends calls to other apps and returns their answers. Core-local, one per core; owned by the
/// app's RpcNode. Dials instances when they are first needed and keeps one connection to each.
class Caller {
 public:
  explicit Caller(rpc_detail::RpcCore& core);
  ~Caller();

  /// Sends one way. The error is local: an unreachable instance, a full queue. `request` is encoded
  /// before this returns, unless a connection has to be made first.
  Task<> notify(Ctx& ctx, ServiceId service, const MethodInfo& method,
                const google::protobuf::MessageLite& request, NotifyRoute route);

  /// Connects to the instance if needed; returns what it reported about itself.
  Task<SelfReport> reach(Ctx& ctx, std::shared_ptr<const Instance> instance);
  /// Whether it reports, over an existing connection, that its own health check fails.
  bool says_sick(const Instance& instance);
  /// Pings it, if there is a connection and no ping is unanswered; heard_since() and
  /// answered_since() have the result.
  void ping(const Instance& instance);
  /// Whether anything was received from it since `when`.
  bool heard_since(const Instance& instance, TimePoint when);
  /// Whether it answered a ping that was sent since `when`; then says_sick() is at least that
  /// recent.
  bool answered_since(const Instance& instance, TimePoint when);
  /// The instance is no longer listed. Calls in flight to it still get their answers.
  void forget(const Instance& instance);
  /// The app is stopping: closes all connections.
  void close(const Status& why);

  rpc_detail::RpcCore& core() noexcept { return core_; }
  Peers& peers() noexcept { return peers_; }

  // ---- connections report

  /// A connection broke, with or without calls in flight. Returns for how long the instance is not
  /// dialled.
  Nanos broke(const Instance& instance, const Status& why);
  /// The instance said that it is leaving.
  void drained(const Instance& instance);
  /// There is no connection, and there will not be one within `pause`.
  void unreachable(const Instance& instance, const Status& why, Nanos pause);
  /// The notifies sent to it did no harm.
  void lived(const Instance& instance);

 private:
  friend class CallOp;
  rpc_detail::Link& link_to(const Instance& instance);
  /// nullptr: there is no connection now.
  rpc_detail::ClientConnection* connection_to(const Instance& instance);
  Task<> notify_many(Ctx& ctx, ServiceId service, const MethodInfo& method,
                     const google::protobuf::MessageLite& request, Route route);
  /// To each instance that the resolver knows, to all at once.
  Task<> fan_out(Ctx& ctx, ServiceId service, const MethodInfo& method,
                 const google::protobuf::MessageLite& request);
  struct Missed;
  Task<> send_to(Ctx& ctx, const ServiceId& service, const MethodInfo& method,
                 const google::protobuf::MessageLite& request, const AppId& instance,
                 Missed& missed);
  Pick pick(const RouteQuery& query);
  /// An attempt at that instance has ended.
  void note(const Instance& instance, const Status& outcome, bool trial, Peers::By by) {
    if (outcome.is_ok() && peers_[instance.slot].is_clean()) [[likely]]
      return;
    judge(instance, outcome, trial, by);
  }
  void judge(const Instance& instance, const Status& outcome, bool trial, Peers::By by);
  bool may_eject(const Instance& instance, Peers::Answer why);
  /// Whether one more call that was already sent may be sent again.
  bool take_retry() noexcept;
  /// It was not sent again after all.
  void return_retry() noexcept { retries_ += 1; }

  rpc_detail::RpcCore& core_;
  Peers peers_;
  double retries_ = kFirstRetries;
  bool closed_ = false;
  static constexpr double kFirstRetries = 10;
};

}  // namespace m3
