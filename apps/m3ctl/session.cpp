// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/session.h"

#include <chrono>
#include <utility>

#include "m3/async/when.h"

namespace m3ctl {
namespace {

using m3::Ctx;
using m3::Deadline;
using m3::Status;
using m3::Task;

m3::RuntimeConfig one_core() {
  m3::RuntimeConfig config;
  config.cores = 1;
  config.blocking_threads = 1;
  return config;
}

m3::MethodInfo describe_method() {
  m3::MethodInfo info;
  info.full_name = "/m3.wire.Reflection/Describe";
  info.hash = m3::method_hash(info.full_name);
  info.idempotent = true;
  return info;
}

Status say_deadline(Status status, m3::Duration deadline) {
  if (status.code() != m3::Errc::deadline_exceeded) return status;
  return std::move(status).add_context("after " + m3::format_duration(deadline));
}

}  // namespace

Session::Session(Target target)
    : target_(std::move(target)), directory_(target_), runtime_(one_core()) {
  m3::RpcNode::Options options;  // without an id: a tool that only dials
  options.config = target_.rpc;
  node_.emplace(runtime_, std::move(options), directory_, metrics_);
  runtime_.start();
}

Session::~Session() {
  auto stopped = runtime_.block_on(runtime_.core(0), [this](Ctx& ctx) -> Task<> {
    co_await node_->stop(ctx);
    co_return m3::ok;
  });
  (void)stopped.is_ok();  // the process ends anyway
  node_.reset();
  runtime_.stop();
}

m3::NotifyRoute Session::route(const m3::NotifyRoute& wanted) const {
  if (wanted.mode() != m3::RouteMode::none || target_.is_service()) return wanted;
  return m3::to::app(target_.key);
}

m3::Result<m3::wire::DescribeRsp> Session::describe(const m3::Route& route, bool brief,
                                                    m3::Duration deadline, m3::Nanos* took) {
  static const m3::MethodInfo kMethod = describe_method();
  m3::wire::DescribeReq request;
  request.set_brief(brief);
  m3::wire::DescribeRsp response;
  Options options;
  options.deadline = deadline;
  // By the route of the call where that names instances; a hash without a key does not.
  const bool keyless =
      route.mode() == m3::RouteMode::none || route.mode() == m3::RouteMode::broadcast;
  Outcome outcome = call(kMethod, request, response, keyless ? m3::to::random() : route, options);
  if (took) *took = outcome.took;
  if (outcome.status.is_ok()) return response;
  if (outcome.status.code() == m3::Errc::unimplemented)
    return std::move(outcome.status)
        .add_context(outcome.address + " answers, but does not describe itself");
  return std::move(outcome.status);
}

Outcome Session::call(const m3::MethodInfo& method, const google::protobuf::MessageLite& request,
                      google::protobuf::MessageLite& response, const m3::Route& route,
                      const Options& options) {
  Outcome out;
  auto done = runtime_.block_on(runtime_.core(0), [&](Ctx& root) -> Task<> {
    const m3::TimePoint began = root.core().now();
    Ctx ctx(root, Deadline(began + options.deadline));
    for (const auto& [key, value] : options.meta)
      if (Status set = ctx.set_outgoing_meta(key, value); !set) co_return set;
    auto result = co_await m3::as_result(
        m3::CallOp(node_->caller(), ctx, target_.service, method, request, &response, route));
    out.took = std::chrono::steady_clock::now() - began;
    if (ctx.last_reply()) out.reply = *ctx.last_reply();
    co_return std::move(result).status();
  });
  out.status = say_deadline(std::move(done).status(), options.deadline);
  if (const m3::Instance* to = directory_.last()) out.address = to->address.to_string();
  return out;
}

Outcome Session::notify(const m3::MethodInfo& method, const google::protobuf::MessageLite& request,
                        const m3::NotifyRoute& route, const Options& options) {
  Outcome out;
  auto done = runtime_.block_on(runtime_.core(0), [&](Ctx& root) -> Task<> {
    const m3::TimePoint began = root.core().now();
    Ctx ctx(root, Deadline(began + options.deadline));
    for (const auto& [key, value] : options.meta)
      if (Status set = ctx.set_outgoing_meta(key, value); !set) co_return set;
    Task<> sent = node_->caller().notify(ctx, target_.service, method, request, route);
    co_await std::move(sent);
    out.took = std::chrono::steady_clock::now() - began;
    co_return m3::ok;
  });
  out.status = say_deadline(std::move(done).status(), options.deadline);
  if (!out.status.is_ok()) return out;
  // A connection keeps the order of frames: once a ping behind the notify is answered, it was read.
  const bool all = route.mode() == m3::RouteMode::broadcast;
  const auto receivers =
      all ? directory_.targets() : std::vector<const m3::Instance*>{directory_.last()};
  for (const m3::Instance* receiver : receivers) {
    if (receiver == nullptr) continue;
    out.address += (out.address.empty() ? "" : ", ") + receiver->address.to_string();
    auto read = describe(m3::to::app(key_of(*receiver)), true, options.deadline);
    if (!read.is_ok() && out.status.is_ok())
      out.status = std::move(read).status().add_context("sent, but not known to be read");
  }
  return out;
}

}  // namespace m3ctl
