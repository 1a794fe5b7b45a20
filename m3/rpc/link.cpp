// SPDX-License-Identifier: BSL-1.0
#include <chrono>

#include "m3/async/timer.h"
#include "m3/obs/log.h"
#include "m3/rpc/connection.h"

namespace m3::rpc_detail {

Link::Link(RpcCore& core, const Instance& instance) : core_(core), instance_(instance) {}

Link::~Link() {
  if (connection_) connection_->leave_link();
}

Status Link::wait(CallOp& op) {
  const TimePoint now = core_.core().now();
  if (closed_) return Status(Errc::unavailable, "shutting down").not_executed();
  if (!dialling_ && now < not_before_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(not_before_ - now);
    return Status(last_error_).with_retry_after(left).not_executed();
  }
  if (waiting_ >= core_.config().max_waiting_for_connect)
    return Status(Errc::resource_exhausted,
                  "too many calls wait for the connection to " + instance_.address.to_string())
        .not_executed();
  op.link_prev_ = waiting_tail_;
  op.link_next_ = nullptr;
  (waiting_tail_ ? waiting_tail_->link_next_ : waiting_head_) = &op;
  waiting_tail_ = &op;
  ++waiting_;
  if (!dialling_) dial_now();
  return ok;
}

void Link::leave(CallOp& op) noexcept {
  (op.link_prev_ ? op.link_prev_->link_next_ : waiting_head_) = op.link_next_;
  (op.link_next_ ? op.link_next_->link_prev_ : waiting_tail_) = op.link_prev_;
  --waiting_;
}

void Link::dial_now() {
  dialling_ = true;
  struct Start final : async_detail::Runnable, async_detail::Pooled {
    Start(Link& l) : Runnable(&Start::fire), link(l) {}
    static void fire(Runnable& work) {
      std::unique_ptr<Start> self(static_cast<Start*>(&work));
      Link& link = self->link;
      if (link.core_.scope().closing())
        return link.fail_all(Status(Errc::unavailable, "shutting down"));
      link.core_.scope().spawn("dial", link.dial(link.core_.scope().ctx()));
    }
    Link& link;
  };
  core_.core().ready(
      *new Start(*this));  // from the queue: a refusal must not come back inside wait()
}

Task<> Link::dial(Ctx& ctx) {
  auto stream = co_await as_result(within(ctx, core_.config().connect_timeout, [this](Ctx& soon) {
    return core_.transport().connect(soon, instance_.address);
  }));
  if (!stream.is_ok()) {
    Status why = std::move(stream).status();
    if (why == Errc::deadline_exceeded)
      why = Status(Errc::unavailable,
                   "connect to " + instance_.address.to_string() + " took too long");
    fail_all(why);
    co_return ok;
  }
  connection_ = Ref<ClientConnection>(
      new ClientConnection(core_, *std::move(stream), *this, instance_.id.to_string()));
  connection_->open();
  co_return ok;
}

void Link::established(ClientConnection&) {
  dialling_ = false;
  backoff_.reset();
  while (CallOp* op = waiting_head_) {
    leave(*op);
    op->on_link_ready();
  }
}

void Link::lost(ClientConnection& connection, const Status& why) {
  if (connection_.get() != &connection) return;
  connection_.reset();
  if (dialling_) fail_all(why);
}

void Link::retire(ClientConnection& connection) {
  if (connection_.get() == &connection) connection_.reset();
}

void Link::fail_all(const Status& why) {
  dialling_ = false;
  const std::string address = instance_.address.to_string();
  const bool named = why.text().find(address) != std::string::npos;
  last_error_ = Status(why.code() == Errc::cancelled ? Errc::unavailable : why.code(),
                       named ? why.text() : address + ": " + why.text());
  not_before_ = core_.core().now() + backoff_.next(core_.core().random()());
  // Only those who wait now: one that comes back in its retry has its own turn.
  std::size_t count = waiting_;
  while (count-- > 0 && waiting_head_) {
    CallOp* op = waiting_head_;
    leave(*op);
    op->on_lost(Status(last_error_).not_executed());
  }
}

void Link::close(const Status& why) {
  closed_ = true;
  if (Ref<ClientConnection> connection = connection_) connection->close(why, true);
  connection_.reset();
  if (waiting_head_) fail_all(why);
}

}  // namespace m3::rpc_detail
