// SPDX-License-Identifier: BSL-1.0
#include "m3/testing/sim_net.h"

#include <chrono>
#include <optional>
#include <string>

#include "m3/admin.m3.h"
#include "m3/testing/co_test.h"

namespace {

using namespace std::chrono_literals;
using m3::App;
using m3::Ctx;
using m3::Errc;
using m3::Task;
using m3::testing::SimNet;

std::string at(const std::string& address) { return "listen = \"" + address + "\"\n"; }

/// The id of the app that answers for room 1.
Task<std::string> ask(Ctx& ctx, App& from) {
  m3::admin::ReflectionClient client(from, m3::func("room"));
  m3::admin::DescribeReq req;
  req.set_brief(true);
  const m3::admin::DescribeRsp rsp =
      co_await client.describe(ctx, req, m3::to::app(*m3::AppId::parse("dev.w.room.1")));
  co_return rsp.app_id();
}

}  // namespace

CO_TEST("sim net: apps find each other, and the time of the network is virtual") {
  SimNet net(sim, {.latency = 50ms});
  App room("room"), lobby("lobby");
  co_await room.start(ctx, net.embedding("dev.w.room.1", at("room:1")));
  co_await lobby.start(ctx, net.embedding("dev.w.lobby.1"));
  CHECK(co_await ask(ctx, lobby) == "dev.w.room.1");
  const m3::TimePoint began = sim.clock().now();
  CHECK(co_await ask(ctx, lobby) == "dev.w.room.1");
  CHECK(sim.clock().now() - began >= 100ms);
  CHECK(sim.clock().now() - began <= 110ms);
  co_await lobby.stop(ctx);
  co_await room.stop(ctx);
}

CO_TEST("sim net: an app that was stopped and destroyed is dialled no more") {
  SimNet net(sim);
  App lobby("lobby");
  co_await lobby.start(ctx, net.embedding("dev.w.lobby.1",
                                          "[router.static]\n"
                                          "peers = [\"dev.w.room.1@room:1\"]\n"));
  std::optional<App> room(std::in_place, "room");
  co_await room->start(ctx, net.embedding("dev.w.room.1", at("room:1")));
  CHECK(co_await ask(ctx, lobby) == "dev.w.room.1");
  co_await room->stop(ctx);
  room.reset();
  CHECK((co_await m3::as_result(ask(ctx, lobby))).code() == Errc::unavailable);
  co_await lobby.stop(ctx);
}

CO_TEST("sim net: the end of an app leaves its successor at the same address alone") {
  SimNet net(sim);
  App lobby("lobby"), first("room"), second("room");
  co_await lobby.start(ctx, net.embedding("dev.w.lobby.1",
                                          "[router.static]\n"
                                          "peers = [\"dev.w.room.1@room:1\"]\n"));
  co_await first.start(ctx, net.embedding("dev.w.room.2", at("room:1")));
  co_await second.start(ctx, net.embedding("dev.w.room.1", at("room:1")));
  co_await first.stop(ctx);
  CHECK(co_await ask(ctx, lobby) == "dev.w.room.1");
  co_await second.stop(ctx);
  co_await lobby.stop(ctx);
}
