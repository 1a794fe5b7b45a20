// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/call.h"

#include "m3/async/serial_turn.h"
#include "m3/async/task.h"
#include "m3/rpc/detail/rpc_core.h"
#include "m3/rpc/interceptor.h"

namespace m3 {

/// The interceptors around one call, and the turn of a serial service that is yielded meanwhile.
/// They notice a cancellation by the operations they wait for.
class Call::Around final : public async_detail::CtxOp, Interceptor::Next {
 public:
  explicit Around(const CallOp& call)
      : CtxOp(call.ctx()),
        call_(call),
        info_{call.method_, call.request_, nullptr, call.service_.to_string()},
        chain_(call.caller_.core().shared().client_interceptors.around(call.method_), info_,
               *this) {}

  bool start(async_detail::Waiter& waiter) {
    if (misplaced()) return true;
    SerialTurn* turn = turn_of(call_);
    root_.start(*this, turn ? yielding(*turn) : chain_.run(ctx()));
    if (ended_) return true;
    suspend(waiter);
    return false;
  }
  /// The turn that its handler yields meanwhile; null: it has none, or keeps it.
  static SerialTurn* turn_of(const CallOp& call) noexcept {
    SerialTurn* turn = call.ctx().facts().turn;
    const bool waits = turn && !call.method_.notify;
    return waits && &turn->core() == &call.ctx().core() ? turn : nullptr;
  }
  void ended(Result<void> result) {
    ended_ = true;
    Status outcome = std::move(result).status().of_callee();
    if (suspended())
      finish(std::move(outcome));
    else
      error() = std::move(outcome);
  }

 private:
  Task<> yielding(SerialTurn& turn) {
    turn.leave();
    const Status outcome = (co_await as_result(chain_.run(ctx()))).status();
    co_await turn.come_back();
    co_return outcome;
  }
  Task<> operator()(Ctx& ctx) override {
    co_await call_.again(ctx);
    info_.response = call_.response_;
    co_return ok;
  }
  void detach() noexcept override {}
  bool ends_itself_when_cancelled() noexcept override { return true; }

  const CallOp& call_;
  InterceptedCall info_;
  rpc_detail::Chain chain_;
  async_detail::Root<void, Around> root_;
  bool ended_ = false;
};

Call::Call(Caller& caller, Ctx& ctx, const ServiceId& service, const MethodInfo& method,
           const google::protobuf::MessageLite& request, google::protobuf::MessageLite* response,
           Route route)
    : op_(caller, ctx, service, method, request, response, std::move(route)) {}

Call::Call(Call&& other) noexcept : op_(std::move(other.op_)) {}
Call::~Call() = default;

bool Call::start(async_detail::Waiter& waiter) {
  const bool plain = op_.caller_.core().shared().client_interceptors.around(op_.method_).empty();
  if (plain && !Around::turn_of(op_)) [[likely]]
    return op_.start(waiter);
  around_ = std::make_unique<Around>(op_);
  return around_->start(waiter);
}

Status& Call::around_error() noexcept { return around_->error(); }

}  // namespace m3
