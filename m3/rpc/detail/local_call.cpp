// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/detail/local_call.h"

#include <utility>

#include "m3/rpc/call_op.h"

namespace m3::rpc_detail {

void LocalCall::answer(ServerCall& call, Status outcome) {
  running_ = nullptr;
  if (outcome.is_ok() && call.response())
    call.response_bytes = static_cast<std::uint32_t>(call.response()->ByteSizeLong());
  if (CallOp* op = std::exchange(op_, nullptr))
    op->on_local_answer(outcome.is_ok() ? call.response() : nullptr, call.ctx.reply(),
                        std::move(outcome));
}

void LocalCall::suspended(ServerCall& call) {
  running_ = &call;
  if (gave_up_) call.ctx.cancel(CancelReason::caller_gone);
}

bool LocalCall::abandon(ServerCall&) {
  running_ = nullptr;
  if (CallOp* op = std::exchange(op_, nullptr))
    op->on_local_answer(nullptr, nullptr, Status(Errc::unavailable, "shutting down"));
  return true;
}

void LocalCall::give_up(CancelReason reason) {
  gave_up_ = true;
  op_ = nullptr;
  if (running_) running_->ctx.cancel(reason);
}

}  // namespace m3::rpc_detail
