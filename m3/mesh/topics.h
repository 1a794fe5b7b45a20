// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/rpc/broadcaster.h"
#include "m3/rpc/client.h"

namespace m3 {

/// The topics of the app that a context belongs to. A notify method called with m3::to::topic(name)
/// reaches every app, of whatever func, that joined that topic in the client's world and serves the
/// method:
///
///     co_await m3::topics(ctx).join("guild.7");
///     co_await guild.said(ctx, line, m3::to::topic("guild.7"));
///     co_await m3::topics(ctx).leave("guild.7");
///
/// An app that joins before it is ready, in on_start, gets the first message when it is.
/// failed_precondition: the context belongs to no app, or the configuration chose no broker;
/// unavailable: the broker cannot be reached now; the topic is joined once it can.
class Topics {
 public:
  Topics(Ctx& ctx, WorldId world) : ctx_(ctx), world_(std::move(world)) {}
  Task<> join(std::string topic);
  Task<> leave(std::string topic);

 private:
  Broadcaster* broadcaster() const;
  Ctx& ctx_;
  WorldId world_;
};

/// Of the app's own world.
Topics topics(Ctx& ctx);
/// A topic of another world: "global" is shared by the apps of every world.
Topics topics(Ctx& ctx, const world& other);

}  // namespace m3
