// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "m3/async/bound.h"
#include "m3/async/ctx.h"
#include "m3/async/timer_wheel.h"
#include "m3/base/app_id.h"
#include "m3/base/instance.h"
#include "m3/base/metadata.h"
#include "m3/rpc/detail/link_waiter.h"
#include "m3/rpc/method.h"
#include "m3/rpc/route.h"

namespace m3 {

class Caller;
struct Pick;

namespace rpc_detail {
class ClientConnection;
class Link;
class LocalCall;
}  // namespace rpc_detail

/// One call inside the interceptors, as a leaf op: `co_await CallOp(…)`. Fills `response` or fails.
/// Retried on another instance when it is known not to have run (or the method is idempotent),
/// inside its deadline. App code uses Call.
class [[nodiscard("co_await it: it does nothing before it is awaited")]] CallOp final
    : public async_detail::CtxOp,
      private rpc_detail::LinkWaiter {
 public:
  using value_type = void;
  /// Everything referred to must outlive the op.
  CallOp(Caller& caller, Ctx& ctx, const ServiceId& service, const MethodInfo& method,
         const google::protobuf::MessageLite& request, google::protobuf::MessageLite* response,
         Route route);
  CallOp(CallOp&& other) noexcept;
  ~CallOp() override;

  bool start(async_detail::Waiter& waiter);
  void take() const noexcept {}

  /// Another op for the same call, which need not be the first.
  CallOp again(Ctx& ctx) const {
    return CallOp(caller_, ctx, service_, method_, request_, response_, route_);
  }

 private:
  friend class rpc_detail::ClientConnection;
  friend class rpc_detail::LocalCall;
  friend class Call;

  enum class Phase : std::uint8_t { idle, routing, connecting, waiting, settling, local };
  /// `refused`: nothing was sent, another instance may take it; error() has the reason. `lacks`:
  /// the instance does not serve the method; nothing was sent either.
  enum class Sent : std::uint8_t { waiting, ended, refused, lacks };
  struct RouteWait;

  bool attempt();
  Pick pick();
  bool wait_for_route(const Pick& found);
  void count_in(const Instance& instance);
  void count_out() noexcept;
  Sent send();
  Sent start_local(const Instance& instance);
  Sent try_on(const Instance& instance);
  Sent look_up();
  Status lacking() const;
  RouteMode mode() const noexcept {
    return route_.mode() == RouteMode::none ? method_.route : route_.mode();
  }
  /// Else the route names the instance.
  bool may_choose() const noexcept {
    return mode() != RouteMode::p2p && mode() != RouteMode::actor;
  }
  void note(const Status& outcome);
  bool may_retry(const Status& outcome) const;
  std::optional<Metadata> request_metadata() const;
  void tally(Status& outcome);
  void on_timer();
  void on_response(const Metadata* metadata, std::string_view body, bool not_executed);
  void on_lost(const Status& why);
  void on_link_ready() override;
  void on_link_failed(const Status& why) override;
  bool goes_elsewhere() override;
  void not_asked() noexcept;
  void on_route_change();
  void on_local_answer(const google::protobuf::MessageLite* answer, const Metadata* reply,
                       Status outcome);
  void settle_later(Status outcome);
  void on_settle();
  void settle(Status outcome);
  void end(Status outcome);
  void forget() noexcept;
  void detach() noexcept override;
  Status cancel_status() const override;

  Caller& caller_;
  const ServiceId& service_;
  const MethodInfo& method_;
  const google::protobuf::MessageLite& request_;
  google::protobuf::MessageLite* response_;  // null: a notify
  Route route_;
  Deadline deadline_;
  std::uint32_t slot_ = kNoSlot;     // of the instance tried last
  std::uint32_t counted_ = kNoSlot;  // where this call counts as in flight
  rpc_detail::Link* link_ = nullptr;
  rpc_detail::ClientConnection* connection_ = nullptr;
  rpc_detail::LocalCall* local_ = nullptr;
  std::uint64_t call_id_ = 0;
  Phase phase_ = Phase::idle;
  bool sent_ = false;          // the last attempt
  bool may_have_run_ = false;  // an earlier attempt
  bool trial_ = false;         // its outcome decides the trial of the instance at counted_
  bool lacking_ = false;       // a picked instance does not serve the method
  std::uint8_t attempts_ = 0;
  std::uint8_t unreached_ = 0;  // instances to which no connection could be made
  Status refusal_;  // of the last instance, if it refused: returned when there is no other
  async_detail::Bound<async_detail::TimerNode, &CallOp::on_timer> timer_{*this};
  /// The outcome of an attempt is handled from the ready queue: that may pick, dial or run a
  /// handler of this process, which must not happen inside a walk over waiting calls.
  async_detail::Bound<async_detail::Runnable, &CallOp::on_settle> settle_{*this};
  std::unique_ptr<RouteWait> route_wait_;
};

}  // namespace m3
