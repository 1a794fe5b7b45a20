// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/rpc/detail/server_call.h"

namespace m3 {
class CallOp;
}

namespace m3::rpc_detail {

/// A caller in this process, as seen by the handler's side. Outlives a caller that gave up.
/// Core-local.
class LocalCall final : public CallSink, public async_detail::Pooled {
 public:
  /// Null: a notify, without an answer.
  explicit LocalCall(CallOp* op) noexcept : op_(op) {}

  void answer(ServerCall& call, Status outcome) override;
  void suspended(ServerCall& call) override;
  bool abandon(ServerCall& call) override;

  void give_up(CancelReason reason);
  /// The caller was cancelled, also by the handler itself before it ended or waited.
  bool gave_up() const noexcept { return gave_up_; }

 private:
  void expire() noexcept override { delete this; }

  CallOp* op_;
  ServerCall* running_ = nullptr;
  bool gave_up_ = false;
};

}  // namespace m3::rpc_detail
