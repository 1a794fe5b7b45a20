// SPDX-License-Identifier: BSL-1.0
#include "multi_ser.h"

#include "m3/mesh/topics.h"

namespace multi {
namespace {

/// A gate marks calls of game clients in the metadata.
std::string greeting(m3::Ctx& ctx, const std::string& name) {
  return (ctx.meta("client").empty() ? "Hello , " : "Hello Client , ") + name;
}

}  // namespace

m3::Task<proto::Hello_Rsp> MultiSer::hello(m3::Ctx& ctx, const proto::Hello_Req& req) {
  proto::Hello_Rsp rsp;
  rsp.set_rsp(greeting(ctx, req.req()));
  rsp.set_by(app_.app_id().to_string());
  co_return rsp;
}

m3::Task<proto::TraceHello_Rsp> MultiSer::trace_hello(m3::Ctx& ctx,
                                                      const proto::TraceHello_Req& req) {
  proto::TraceHello_Rsp rsp;
  rsp.set_rsp(greeting(ctx, req.req()));
  co_return rsp;
}

m3::Task<proto::BreakHello_Rsp> MultiSer::break_hello(m3::Ctx& ctx,
                                                      const proto::BreakHello_Req& req) {
  proto::BreakHello_Rsp rsp;
  rsp.set_rsp(greeting(ctx, req.req()));
  co_return rsp;
}

m3::Task<> MultiSer::shout(m3::Ctx& ctx, const proto::Shout_Req& req) {
  remember(std::string(ctx.caller()) + " shouts: " + req.text());
  co_return m3::ok;
}

m3::Task<> MultiSer::tell(m3::Ctx& ctx, const proto::Tell_Req& req) {
  remember(std::string(ctx.caller()) + " tells: " + req.text());
  co_return m3::ok;
}

m3::Task<proto::Heard_Rsp> MultiSer::heard(m3::Ctx&, const proto::Heard_Req&) {
  proto::Heard_Rsp rsp;
  const std::lock_guard lock(mutex_);
  for (const std::string& line : heard_) rsp.add_lines(line);
  co_return rsp;
}

m3::Task<> MultiSer::on_start(m3::Ctx& ctx) {
  for (const std::string& topic : app_.section<Settings>()->topics)
    co_await m3::topics(ctx).join(topic);
  co_return m3::ok;
}

void MultiSer::remember(std::string line) {
  const std::lock_guard lock(mutex_);
  heard_.push_back(std::move(line));
  if (heard_.size() > kRemembered) heard_.pop_front();
}

}  // namespace multi
