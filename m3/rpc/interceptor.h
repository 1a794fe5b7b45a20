// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/rpc/method.h"

namespace m3 {

/// One call, as interceptors see it.
struct InterceptedCall {
  const MethodInfo& method;
  const google::protobuf::MessageLite& request;
  /// Filled in once next() has ended well; for a notify there is none.
  const google::protobuf::MessageLite* response;
  /// Incoming: the caller's app id; outgoing: the service id called.
  std::string_view peer;
};

/// Stands around every call of one side: looks, measures, refuses, limits. Given to the app in
/// main, first = outermost. Called on every core at once.
///
///     Task<> on_call(Ctx& ctx, const InterceptedCall& call, Next next) override {
///       if (full()) co_return Status(Errc::resource_exhausted, "…").not_executed();
///       auto outcome = co_await as_result(next(ctx));
///       co_return std::move(outcome).status();
///     }
class Interceptor {
 public:
  /// The rest of the chain; called at most once.
  class Next {
   public:
    virtual Task<> operator()(Ctx& ctx) = 0;

   protected:
    ~Next() = default;
  };

  virtual ~Interceptor() = default;
  /// `ctx` is the call's own, and the one to give to next(): a handler always runs under its
  /// call's. `call` and `next` stay until the returned Task has ended.
  virtual Task<> on_call(Ctx& ctx, const InterceptedCall& call, Next& next) = 0;
};

using Interceptors = std::vector<std::shared_ptr<Interceptor>>;

namespace rpc_detail {

/// Walks the list, then runs `last`.
class Chain final : public Interceptor::Next {
 public:
  Chain(const Interceptors& list, const InterceptedCall& call, Interceptor::Next& last)
      : list_(list), call_(call), last_(last) {}
  Task<> operator()(Ctx& ctx) override {
    if (at_ == list_.size()) return last_(ctx);
    return list_[at_++]->on_call(ctx, call_, *this);
  }

 private:
  const Interceptors& list_;
  const InterceptedCall& call_;
  Interceptor::Next& last_;
  std::size_t at_ = 0;
};

}  // namespace rpc_detail
}  // namespace m3
