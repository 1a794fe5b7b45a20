// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/detail/link.h"

#include <algorithm>

#include "m3/async/once.h"
#include "m3/async/timer.h"
#include "m3/obs/log.h"
#include "m3/rpc/detail/client_connection.h"

namespace m3::rpc_detail {

namespace {
/// A call that names its instance has no alternative: it may dial again this soon, however long the
/// instance is left out.
constexpr Nanos kLongestRefusal = std::chrono::seconds(2);

/// If a connection takes longer, the instance gets no calls while another one is available.
constexpr Nanos kSlowDial = std::chrono::milliseconds(500);

BackoffConfig redial() {
  BackoffConfig config;
  config.most = std::chrono::duration_cast<std::chrono::milliseconds>(kLongestRefusal);
  return config;
}
}  // namespace

Link::Link(RpcCore& core, std::shared_ptr<const Instance> instance)
    : core_(core), instance_(std::move(instance)), backoff_(redial()) {}

Link::~Link() {
  if (connection_) connection_->leave_link();
}

ClientConnection* Link::ready() const noexcept {
  return connection_.get() && connection_->is_established() ? connection_.get() : nullptr;
}

Status Link::wait(LinkWaiter& waiter) {
  const TimePoint now = core_.core().now();
  if (closed_) return Status(Errc::unavailable, "shutting down").not_executed();
  if (!dialling_ && now < not_before_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(not_before_ - now);
    return Status(last_error_).with_retry_after(left).not_executed();
  }
  if (waiting_ >= core_.config().max_waiting_for_connect)
    return Status(Errc::resource_exhausted,
                  "too many calls wait for the connection to " + instance_->address.to_string())
        .not_executed();
  add(waiter);
  if (!dialling_) dial_now();
  return ok;
}

void Link::add(LinkWaiter& waiter) noexcept {
  waiter.prev_ = waiting_tail_;
  waiter.next_ = nullptr;
  (waiting_tail_ ? waiting_tail_->next_ : waiting_head_) = &waiter;
  waiting_tail_ = &waiter;
  ++waiting_;
}

void Link::leave(LinkWaiter& waiter) noexcept {
  (waiter.prev_ ? waiter.prev_->next_ : waiting_head_) = waiter.next_;
  (waiter.next_ ? waiter.next_->prev_ : waiting_tail_) = waiter.prev_;
  --waiting_;
}

void Link::probe() {
  if (closed_ || dialling_) return;
  if (ready()) return core_.caller().peers().reached(core_.caller().peers()[instance_->slot]);
  if (core_.core().now() >= not_before_) dial_now();
}

void Link::slow() {
  if (closed_ || !dialling_) return;
  const auto keep = shared_from_this();
  core_.caller().unreachable(
      *instance_,
      Status(Errc::unavailable, "connecting to " + instance_->address.to_string() + " takes long"),
      core_.config().connect_timeout);
  const Walk walk;
  for (std::size_t count = waiting_; count > 0; --count) {
    LinkWaiter* waiter = waiting_head_;
    leave(*waiter);
    if (!waiter->goes_elsewhere()) add(*waiter);
  }
}

void Link::dial_now() {
  dialling_ = true;
  core_.core().timers().add(slow_, core_.core().now() + kSlowDial);
  // Deferred to the ready queue, so that a failure is not reported from inside wait().
  core_.core().ready(async_detail::once([link = shared_from_this()]() mutable {
    RpcCore& core = link->core_;
    if (core.scope().closing()) return link->fail_all(Status(Errc::unavailable, "shutting down"));
    core.scope().spawn(
        "dial", [link = std::move(link)](Ctx& ctx) mutable { return dial(ctx, std::move(link)); });
  }));
}

Task<> Link::dial(Ctx& ctx, std::shared_ptr<Link> link) {
  Link& self = *link;
  auto stream =
      co_await as_result(within(ctx, self.core_.config().connect_timeout, [&self](Ctx& soon) {
        return self.core_.transport().connect(soon, self.instance_->address);
      }));
  if (!stream.is_ok()) {
    Status why = std::move(stream).status();
    if (why == Errc::deadline_exceeded)
      why = Status(Errc::unavailable,
                   "connect to " + self.instance_->address.to_string() + " took too long");
    self.fail_all(why);
    co_return ok;
  }
  if (self.closed_) {
    (*stream)->close();
    co_return ok;
  }
  self.connection_ =
      Ref<ClientConnection>(new ClientConnection(self.core_, *std::move(stream), self));
  self.connection_->open();
  co_return ok;
}

void Link::established(bool leaving) {
  dialling_ = false;
  slow_.cancel();
  backoff_.reset();
  if (leaving)
    core_.caller().drained(*instance_);
  else
    core_.caller().peers().reached(core_.caller().peers()[instance_->slot]);
  const auto keep = shared_from_this();
  const Walk walk;
  while (LinkWaiter* waiter = waiting_head_) {
    leave(*waiter);
    if (!leaving || !waiter->goes_elsewhere()) waiter->on_link_ready();
  }
}

void Link::lost(ClientConnection& connection, const Status& why) {
  if (connection_.get() != &connection) return;
  connection_.reset();
  if (dialling_) return fail_all(why);
  remember(why, core_.caller().broke(*instance_, why));
}

void Link::retire(ClientConnection& connection) {
  if (connection_.get() == &connection) connection_.reset();
}

void Link::drained(ClientConnection& connection) {
  if (connection_.get() != &connection) return;
  connection_.reset();
  core_.caller().drained(*instance_);
}

/// No dial for this long; calls that would need one fail with `why`.
void Link::remember(const Status& why, Nanos pause) {
  const std::string address = instance_->address.to_string();
  const bool named = why.text().find(address) != std::string::npos;
  last_error_ = Status(why.code() == Errc::cancelled ? Errc::unavailable : why.code(),
                       named ? why.text() : address + ": " + why.text());
  not_before_ = core_.core().now() + std::min(pause, kLongestRefusal);
}

void Link::fail_all(const Status& why) {
  const auto keep = shared_from_this();
  dialling_ = false;
  slow_.cancel();
  const Nanos pause = backoff_.next(core_.core().random()());
  remember(why, pause);
  if (!closed_) core_.caller().unreachable(*instance_, last_error_, pause);
  const Walk walk;
  while (LinkWaiter* waiter = waiting_head_) {
    leave(*waiter);
    waiter->on_link_failed(Status(last_error_).not_executed());
  }
}

void Link::close(const Status& why) {
  const auto keep = shared_from_this();
  closed_ = true;
  if (Ref<ClientConnection> connection = connection_) connection->close(why, true);
  connection_.reset();
  if (waiting_head_) fail_all(why);
}

void Link::let_go() {
  const auto keep = shared_from_this();
  closed_ = true;
  if (Ref<ClientConnection> connection = std::exchange(connection_, {})) {
    connection->leave_link();
    connection->close_when_idle();
  }
  if (waiting_head_) fail_all(Status(Errc::unavailable, instance_->id.to_string() + " has left"));
}

}  // namespace m3::rpc_detail
