// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>

#include "m3/rpc/call_op.h"

namespace m3 {

/// One call made by an app's code: CallOp, inside the app's interceptors if there are any. In a
/// handler of a serial service the next one has its turn meanwhile (m3/async/serial_turn.h).
/// Everything referred to must outlive the op. Generated clients await it.
class [[nodiscard("co_await it: it does nothing before it is awaited")]] Call final {
 public:
  using m3_leaf_op = void;
  using value_type = void;
  Call(Caller& caller, Ctx& ctx, const ServiceId& service, const MethodInfo& method,
       const google::protobuf::MessageLite& request, google::protobuf::MessageLite* response,
       Route route);
  Call(Call&& other) noexcept;
  ~Call();

  bool start(async_detail::Waiter& waiter);
  Status& error() noexcept { return around_ ? around_error() : op_.error(); }
  void take() const noexcept {}

 private:
  class Around;
  Status& around_error() noexcept;

  CallOp op_;  // with interceptors: creates the op when they have let the call through
  std::unique_ptr<Around> around_;
};

}  // namespace m3
