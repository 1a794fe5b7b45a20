// SPDX-License-Identifier: BSL-1.0
#include "m3/async/ctx.h"

#include <cassert>

#include "m3/async/core.h"
#include "m3/async/core_bound.h"
#include "m3/base/trace_context.h"
#include "m3/obs/log.h"

namespace m3 {

using async_detail::CancelNode;

void CancelNode::unlink() noexcept {
  if (!next_) return;
  prev_->next_ = next_;
  next_->prev_ = prev_;
  prev_ = next_ = nullptr;
}

Ctx::Ctx(Core& core, Deadline deadline, Host* host) noexcept
    : Ctx(core, deadline, Facts{host, "", nullptr, {}}) {}

Ctx::Ctx(Core& core, Deadline deadline, const Facts& facts) noexcept
    : core_(&core), deadline_(deadline), facts_(facts) {
  waiting_.prev_ = waiting_.next_ = &waiting_;
}

Ctx::Ctx(Ctx& parent, Deadline deadline) noexcept
    : Ctx(*parent.core_, parent.deadline_.sooner(deadline), parent.facts_) {
  parent_ = &parent;
  // On a core other than the parent's the operations of both are refused: nothing is linked.
  if (!async_detail::may_use(*core_)) return;
  if (parent.cancelled())
    reason_ = parent.reason_;
  else
    parent.add(parent_link_);
}

Ctx::~Ctx() {
  if (in_use()) [[unlikely]]
    end_with_waiters();
  waiting_.prev_ = waiting_.next_ = nullptr;
}

void Ctx::demand_core() const noexcept {
  if (!async_detail::may_use(*core_)) [[unlikely]]
    async_detail::end_process(async_detail::wrong_core(*this).text());
}

void Ctx::end_with_waiters() const noexcept {
  const std::string whose =
      *facts_.name ? "the Ctx of \"" + std::string(facts_.name) + "\"" : "a Ctx without a name";
  async_detail::end_process(
      whose +
      " was destroyed while operations wait under it, or under its children: await them first, or "
      "give work that lasts longer a Ctx of its own, as scope.spawn(name, body) does");
}

void Ctx::reset(Core& core, Deadline deadline, Host* host) noexcept {
  assert(!in_use());
  core_ = &core;
  deadline_ = deadline;
  reason_ = CancelReason::none;
  facts_ = Facts{host, "", nullptr, {}};
  timer_.cancel();
  if (outgoing_) outgoing_.reset();
  if (reply_) reply_.reset();
  if (last_reply_) last_reply_.reset();
}

Nanos Ctx::remaining() const {
  return deadline_.is_never() ? Nanos::max() : deadline_.remaining(core_->read_clock());
}

Status Ctx::status() const {
  switch (reason_) {
    case CancelReason::none:
      return {};
    case CancelReason::caller_gone:
      return Status(Errc::cancelled, "the caller is gone");
    case CancelReason::deadline:
      return Status(Errc::deadline_exceeded, "the deadline has passed");
    case CancelReason::overload:
      return Status(Errc::resource_exhausted, "shed under overload");
    case CancelReason::shutdown:
      return Status(Errc::cancelled, "shutting down");
    case CancelReason::superseded:
      return Status(Errc::cancelled, "no longer needed");
    case CancelReason::ended:
      return Status(Errc::cancelled, "the call this work belonged to has ended");
  }
  return Status(Errc::cancelled, "cancelled");
}

void Ctx::cancel(CancelReason reason) {
  demand_core();
  if (cancelled() || reason == CancelReason::none) return;
  reason_ = reason;
  timer_.cancel();
  const Walk walk;
  while (waiting_.next_ != &waiting_) {
    CancelNode& node = *waiting_.next_;
    node.unlink();
    node.on_cancel_(node);
  }
}

void Ctx::add(CancelNode& node) {
  node.next_ = &waiting_;
  node.prev_ = waiting_.prev_;
  waiting_.prev_->next_ = &node;
  waiting_.prev_ = &node;
}

void Ctx::watch_deadline() {
  if (deadline_.is_never() || timer_.armed()) return;
  // A child with its parent's deadline is cancelled by the parent.
  if (parent_ && parent_->deadline_ == deadline_) return parent_->watch_deadline();
  core_->timers().add(timer_, deadline_.at());
}

std::string_view Ctx::meta(std::string_view key) const {
  const std::string* value = incoming() ? incoming()->find(key) : nullptr;
  return value ? std::string_view(*value) : std::string_view();
}

std::string_view Ctx::traceparent() const {
  return incoming() ? std::string_view(incoming()->traceparent) : std::string_view();
}

LogContext log_context(const Ctx& ctx) {
  static thread_local TraceContext trace;  // a LogContext ends with the call it is made for
  LogContext out;
  if (const auto parsed = TraceContext::parse(ctx.traceparent())) {
    trace = *parsed;
    out.trace = &trace;
  }
  return out;
}

Status Ctx::set_outgoing_meta(std::string_view key, std::string value) {
  if (!async_detail::may_use(*core_)) return async_detail::wrong_core(*this);
  if (!outgoing_) outgoing_ = std::make_unique<Metadata>();
  return outgoing_->set(key, std::move(value));
}

void Ctx::clear_outgoing_meta() noexcept {
  demand_core();
  outgoing_.reset();
}

Status Ctx::set_reply_meta(std::string_view key, std::string value) {
  if (!async_detail::may_use(*core_)) return async_detail::wrong_core(*this);
  if (!reply_) reply_ = std::make_unique<Metadata>();
  return reply_->set(key, std::move(value));
}

void Ctx::put_reply(std::unique_ptr<Metadata> reply) {
  if (!reply || !reply_) {
    if (reply) reply_ = std::move(reply);
    return;
  }
  for (auto& [key, value] : reply->entries) (void)reply_->set(key, std::move(value));
}

void Ctx::set_last_reply(const Metadata* metadata) {
  if (!metadata)
    last_reply_.reset();
  else if (last_reply_)
    *last_reply_ = *metadata;
  else
    last_reply_ = std::make_unique<Metadata>(*metadata);
}

namespace async_detail {

CtxOp::CtxOp(Ctx& ctx) noexcept
    : CancelNode(run_member<CancelNode, &CtxOp::on_cancel>),
      Runnable(run_member<Runnable, &CtxOp::wake>),
      ctx_(ctx) {}

bool CtxOp::misplaced() {
  if (may_use(ctx_.core())) [[likely]]
    return false;
  error_ = wrong_core(ctx_);
  return true;
}

bool CtxOp::refused() {
  if (misplaced()) return true;
  if (!ctx_.cancelled() && ctx_.deadline().passed(ctx_.core().now()))
    ctx_.cancel(CancelReason::deadline);
  if (!ctx_.cancelled()) return false;
  error_ = cancel_status();
  return true;
}

bool CtxOp::misplaced(CoreBound& object, const char* what) {
  if (object.here()) [[likely]]
    return false;
  error_ = object.refusal(what);
  return true;
}

Status CtxOp::cancel_status() const { return ctx_.status(); }

void CtxOp::suspend(Waiter& waiter) {
  waiter_ = &waiter;
  ctx_.add(*this);
  ctx_.watch_deadline();
}

void CtxOp::wake() {
  Waiter* waiter = std::exchange(waiter_, nullptr);
  ctx_.core().set_task_name(ctx_.name());
  ctx_.resumes();
  waiter->complete();
}

void CtxOp::finish(Status error) {
  error_ = std::move(error);
  unlink();
  queue();
}

void CtxOp::queue() {
  ctx_.will_resume();
  ctx_.core().ready(*this);
}

void CtxOp::on_cancel() {
  if (ends_itself_when_cancelled()) return;
  detach();
  error_ = cancel_status();
  queue();
}

}  // namespace async_detail
}  // namespace m3
