// SPDX-License-Identifier: BSL-1.0
// How many connections an app takes, and whose.
#include "echo_fixture.h"

using namespace rpc_test;
using m3::as_result;
using m3::Errc;

CO_TEST("rpc: connections beyond the limit are refused with the reason, and counted") {
  Net net(sim);
  m3::RpcConfig few;
  few.max_connections = 1;
  auto& server = net.add("dev.w.echo.1", true, few);
  auto& first = net.add("dev.w.test.1", false);
  auto& second = net.add("dev.w.test.2", false);
  EchoClient in(first.node);
  EchoClient out(second.node);
  const auto req = request("x");
  co_await in.echo(ctx, req);
  const auto refused = co_await as_result(out.echo(ctx, req));
  CHECK(refused.code() == Errc::resource_exhausted);
  CHECK_FALSE(refused.status().maybe_executed());
  CHECK(refused.status().text().find("too many connections") != std::string::npos);
  CHECK(counted(server.metrics, "m3_rpc_connections_broken_total", "too_many") == 1);
  co_await in.echo(ctx, req);
  co_await net.stop(ctx);
}

CO_TEST("rpc: connections that say nothing take no place away from those that do") {
  Net net(sim);
  m3::RpcConfig few;
  few.max_connections = 1;
  auto& server = net.add("dev.w.echo.1", true, few);
  auto& caller = net.add("dev.w.test.1", false);
  m3::LoopbackTransport strangers(ctx.core(), net.wire);
  std::vector<std::unique_ptr<m3::Stream>> silent;
  for (int i = 0; i < 1200; ++i) silent.push_back(co_await strangers.connect(ctx, server.address));
  EchoClient client(caller.node);
  const auto req = request("x");
  co_await client.echo(ctx, req);
  CHECK(counted(server.metrics, "m3_rpc_connections_broken_total", "too_many") == 0);
  // The oldest went, so that no more than 1024 are held at once; the others in time.
  const double closed =
      counted(server.metrics, "m3_rpc_connections_broken_total", "too_many_handshakes");
  CHECK((closed >= 176 && closed <= 177));
  co_await m3::sleep(ctx, 3s);
  CHECK(server.node.connections() == 1);
  co_await client.echo(ctx, req);
  silent.clear();
  co_await net.stop(ctx);
}

CO_TEST("rpc: connections that an app opened itself leave room for those of others") {
  Net net(sim);
  m3::RpcConfig few;
  few.max_connections = 1;
  auto& hub = net.add("dev.w.echo.1", true, few);
  net.add("dev.w.echo.2", true);
  net.add("dev.w.echo.3", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient out(hub.node), in(caller.node);
  const auto req = request("x");
  for (const char* id : {"dev.w.echo.2", "dev.w.echo.3"})
    co_await out.echo(ctx, req, m3::to::app(id));
  co_await in.echo(ctx, req, m3::to::app("dev.w.echo.1"));
  co_await caller.node.stop(ctx);
  co_await m3::sleep(ctx, 1ms);
  auto& next = net.add("dev.w.test.2", false);
  EchoClient again(next.node);
  co_await again.echo(ctx, req, m3::to::app("dev.w.echo.1"));
  CHECK(counted(hub.metrics, "m3_rpc_connections_broken_total", "too_many") == 0);
  co_await net.stop(ctx);
}
