// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "m3/async/core.h"
#include "m3/async/ctx.h"
#include "m3/async/task.h"

namespace m3::async_detail {

/// A task that runs on another core for a waiting coroutine. It holds both messages and the cancel
/// message, so it exists until the last of them has returned.
template <class Body>
class [[nodiscard("co_await it: it does nothing before it is awaited")]] RemoteOp final
    : public CtxOp {
  using T = typename std::invoke_result_t<Body&, Ctx&>::value_type;

 public:
  using value_type = T;
  RemoteOp(Ctx& ctx, Core& target, Body body)
      : CtxOp(ctx), target_(target), body_(std::move(body)) {}
  RemoteOp(RemoteOp&& other) noexcept
      : CtxOp(other.ctx()), target_(other.target_), body_(std::move(other.body_)) {}

  bool start(Waiter& waiter) {
    if (refused()) return true;
    facts_ = ctx().facts();
    suspend(waiter);
    target_.post(start_);
    return false;
  }
  T take() {
    if constexpr (!std::is_void_v<T>) return **std::move(result_);
  }

 private:
  struct Message final : async_detail::Runnable {
    Message(RemoteOp& owner, void (RemoteOp::*fn)())
        : async_detail::Runnable([](async_detail::Runnable& r) {
            auto& self = static_cast<Message&>(r);
            (self.op.*self.step)();
          }),
          op(owner),
          step(fn) {}
    RemoteOp& op;
    void (RemoteOp::*step)();
  };

  // On the target core.
  void begin() {
    // The context on the home core waits for this side to end, so everything that the facts refer
    // to stays valid.
    remote_.emplace(target_, ctx().deadline(), facts_);
    target_.set_task_name(remote_->name());
    root_.start(*this, task_of([this] { return body_(*remote_); }));
  }
  void ended(Result<T> result) {
    result_.emplace(std::move(result));
    remote_.reset();
    ctx().core().post(done_);
  }
  void cancel_there() {
    if (remote_) remote_->cancel(reason_);
    ctx().core().post(cancel_back_);
  }

  // On the caller's core.
  void came_back() {
    home_done_ = true;
    try_finish();
  }
  void cancel_came_back() {
    cancel_pending_ = false;
    try_finish();
  }
  void try_finish() {
    if (!home_done_ || cancel_pending_) return;
    if (result_->is_ok())
      finish();
    else
      finish(std::move(*result_).status());
  }
  /// The other side is cancelled and waited for.
  bool ends_itself_when_cancelled() noexcept override {
    reason_ = ctx().reason();
    cancel_pending_ = true;
    target_.post(cancel_);
    return true;
  }
  void detach() noexcept override {}

  Core& target_;
  Body body_;
  Ctx::Facts facts_;
  CancelReason reason_ = CancelReason::none;
  Message start_{*this, &RemoteOp::begin};
  Message done_{*this, &RemoteOp::came_back};
  Message cancel_{*this, &RemoteOp::cancel_there};
  Message cancel_back_{*this, &RemoteOp::cancel_came_back};
  bool home_done_ = false;       // caller's core
  bool cancel_pending_ = false;  // caller's core
  std::optional<Ctx> remote_;
  friend class Root<T, RemoteOp>;
  Root<T, RemoteOp> root_;
  std::optional<Result<T>> result_;
};

}  // namespace m3::async_detail
