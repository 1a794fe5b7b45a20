// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/node.h"

#include <google/protobuf/message.h>

#include <cstdlib>

#include "m3/async/once.h"
#include "m3/async/when.h"
#include "m3/net/tcp.h"
#include "m3/obs/log.h"
#include "m3/rpc/detail/protobuf_log.h"
#include "m3/rpc/detail/rpc_core.h"

namespace m3 {

using rpc_detail::RpcCore;
using rpc_detail::RpcShared;

namespace {
constexpr Nanos kMoment = std::chrono::milliseconds(100);
}

RpcNode::RpcNode(Runtime& runtime, Options options, Resolver& resolver, MetricRegistry& metrics)
    : runtime_(runtime),
      shared_(std::make_unique<RpcShared>(std::move(options.id), std::move(options.config),
                                          resolver, metrics)) {
  shared_->generation = options.generation;
  shared_->run_id = options.run_id;
  shared_->host = options.host ? options.host : this;
  rpc_detail::route_protobuf_log();
  for (unsigned i = 0; i < runtime_.size(); ++i) {
    Core& core = runtime_.core(i);
    auto rpc = std::make_unique<RpcCore>(core, *shared_, nullptr);
    rpc->set_transport(options.transport ? options.transport(core)
                                         : std::make_unique<TcpTransport>(core, rpc->buffers()));
    cores_.push_back(std::move(rpc));
  }
}

RpcNode::~RpcNode() {
  // Handlers that were left behind may ask for their caller: this app, when it called itself.
  if (rpc_detail::calls_left_behind > 0) (void)shared_.release();
}

const AppId& RpcNode::app_id() const { return shared_->id; }

RpcCore& RpcNode::here() const {
  const Core& now = Core::current();
  if (now.index() >= cores_.size() || &cores_[now.index()]->core() != &now) [[unlikely]] {
    log::fatal(
        "{} is used on a core of another runtime; go to one of its own first: "
        "m3::run_on(ctx, app.runtime().core(0), …)",
        shared_->id.to_string());
    std::abort();
  }
  return *cores_[now.index()];
}
Caller& RpcNode::caller() { return here().caller(); }
Status RpcNode::serve(Service& service, CallRunner* runner) {
  return shared_->dispatcher.add(service, runner);
}
const std::vector<Service*>& RpcNode::services() const { return shared_->dispatcher.services(); }
std::size_t RpcNode::left_behind() noexcept { return rpc_detail::calls_left_behind; }
void RpcNode::set_generation(std::uint64_t generation) noexcept {
  shared_->generation = generation;
}
bool RpcNode::set_sick(bool sick) noexcept { return shared_->sick.exchange(sick); }
std::size_t RpcNode::running() const { return here().running(); }
std::size_t RpcNode::connections() const { return here().connections(); }

void RpcNode::intercept_calls(std::shared_ptr<Interceptor> interceptor, Intercepts which) {
  shared_->client_interceptors.push_back(std::move(interceptor), which);
}

void RpcNode::intercept_requests(std::shared_ptr<Interceptor> interceptor, Intercepts which) {
  shared_->server_interceptors.push_back(std::move(interceptor), which);
}

void RpcNode::intercept(const InterceptorLists& lists) {
  shared_->client_interceptors.append(lists.calls);
  shared_->server_interceptors.append(lists.requests);
}

void RpcNode::admit_by(const std::function<std::unique_ptr<Admission>(Core&)>& make) {
  for (const auto& core : cores_) core->add(make(core->core()));
}

Task<std::uint16_t> RpcNode::listen(Ctx& ctx, HostPort address) {
  Core& first = runtime_.core(0);
  if (&ctx.core() != &first)
    co_return co_await run_on(ctx, first,
                              [this, address](Ctx& there) { return listen(there, address); });
  auto listener = TcpListener::listen(
      first, address, [this](int fd, std::string peer) { hand_over(fd, std::move(peer)); });
  if (!listener.is_ok()) co_return std::move(listener).status();
  listener_ = *std::move(listener);
  co_return listener_->port();
}

void RpcNode::hand_over(int fd, std::string peer_name) {
  RpcCore& target = *cores_[next_core_++ % cores_.size()];
  target.core().post(async_detail::once([&target, fd, peer = std::move(peer_name)]() mutable {
    auto stream = TcpTransport(target.core(), target.buffers()).adopt(fd, std::move(peer));
    if (!stream.is_ok()) return log::error_limited("{}", stream.status().to_string());
    target.accept(*std::move(stream));
  }));
}

void RpcNode::accept(std::unique_ptr<Stream> stream) { here().accept(std::move(stream)); }

Status RpcNode::deliver(std::string_view frame, Deadline deadline, std::string_view peer) {
  return here().deliver(frame, deadline, peer);
}

Task<> RpcNode::on_every_core(Ctx& ctx, Task<> (RpcNode::*step)(Ctx&)) {
  std::vector<Task<>> parts;
  for (unsigned i = 0; i < cores_.size(); ++i) {
    struct Part {
      static Task<> run(Ctx& home, RpcNode& node, unsigned core, Task<> (RpcNode::*what)(Ctx&)) {
        co_await run_on(home, node.runtime_.core(core),
                        [&node, what](Ctx& there) { return (node.*what)(there); });
        co_return ok;
      }
    };
    parts.push_back(Part::run(ctx, *this, i, step));
  }
  co_await when_all(ctx.core(), std::move(parts));
  co_return ok;
}

Task<> RpcNode::leave_here(Ctx&) {
  here().begin_leave();
  co_return ok;
}

Task<> RpcNode::come_back_here(Ctx&) {
  here().come_back();
  co_return ok;
}

Task<> RpcNode::drain_here(Ctx& ctx) {
  here().begin_drain();
  return here().drained(ctx);
}

Task<> RpcNode::stop_here(Ctx& ctx) { return here().stop(ctx); }

Task<> RpcNode::leave(Ctx& ctx) { return on_every_core(ctx, &RpcNode::leave_here); }
Task<> RpcNode::come_back(Ctx& ctx) { return on_every_core(ctx, &RpcNode::come_back_here); }
Task<> RpcNode::drain(Ctx& ctx) { return on_every_core(ctx, &RpcNode::drain_here); }

Task<> RpcNode::stop(Ctx& ctx) {
  if (stopped_) co_return ok;
  if (listener_) {
    Ctx own(ctx.core());
    co_await run_on(own, runtime_.core(0), [this](Ctx&) -> Task<> {
      listener_.reset();
      co_return ok;
    });
  }
  // A context that has already ended: running handlers are cancelled, and get a moment to finish.
  Ctx moment(ctx.core(), Deadline(ctx.core().read_clock() + kMoment), ctx.host());
  const bool over = ctx.cancelled() || ctx.deadline().passed(ctx.core().read_clock());
  stopped_ = true;
  co_await on_every_core(over ? moment : ctx, &RpcNode::stop_here);
  co_return ok;
}

}  // namespace m3
