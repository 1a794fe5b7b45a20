// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/topics.h"

#include "m3/rpc/caller.h"
#include "m3/rpc/host.h"

namespace m3 {
namespace {

Host* host_of(const Ctx& ctx) { return ctx.host(); }

Task<> failed(Status status) { co_return status; }

Status no_app() {
  return Status(Errc::failed_precondition, "the context belongs to no app, so it has no topics");
}

}  // namespace

Topics topics(Ctx& ctx) {
  Host* host = host_of(ctx);
  return {ctx, host ? host->app_id().world_id() : WorldId()};
}

Topics topics(Ctx& ctx, const world& other) {
  Host* host = host_of(ctx);
  if (!host) return {ctx, WorldId()};
  auto id = WorldId::parse(std::string(host->app_id().env()) + "." + other.value);
  return {ctx, id.is_ok() ? *std::move(id) : WorldId()};
}

Broadcaster* Topics::broadcaster() const {
  Host* host = host_of(ctx_);
  return host ? host->broadcaster() : nullptr;
}

Task<> Topics::join(std::string topic) {
  Broadcaster* all = broadcaster();
  if (!all) return failed(no_app());
  return all->join(ctx_, world_, std::move(topic));
}

Task<> Topics::leave(std::string topic) {
  Broadcaster* all = broadcaster();
  if (!all) return failed(no_app());
  return all->leave(ctx_, world_, std::move(topic));
}

}  // namespace m3
