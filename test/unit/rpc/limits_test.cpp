// SPDX-License-Identifier: BSL-1.0
// What limits hold, and what calls that wait cost, whichever way they came.
#include <chrono>
#include <string>

#include "echo_fixture.h"
#include "m3/async/scope.h"
#include "m3/rpc/detail/rpc_core.h"

using namespace rpc_test;
using m3::Ctx;
using m3::Deadline;
using m3::Errc;
using m3::Task;

namespace {

std::string notify_frame(Ctx& ctx, std::size_t bytes, std::uint32_t wait_ms) {
  Notice notice;
  notice.set_text(std::string(bytes, 'x'));
  notice.set_wait_ms(wait_ms);
  return m3::rpc_detail::encode_notify(ctx, EchoService::kTell, notice, m3::Route());
}

}  // namespace

CO_TEST("rpc: a notify of a broker whose time is over is not handled") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  const std::string frame = notify_frame(ctx, 1, 0);
  const auto late = server.node.deliver(frame, Deadline(ctx.core().now() - 1ms), "dev.w.crier.1");
  CHECK(late == Errc::deadline_exceeded);
  CHECK(server.handler.notices.empty());
  CHECK(counted(server.metrics, "m3_rpc_refused_total", "late") == 1);
  CHECK(server.node.deliver(frame, Deadline(ctx.core().now() + 1ms), "dev.w.crier.1"));
  CHECK(server.handler.notices.size() == 1);
  co_await net.stop(ctx);
}

CO_TEST("rpc: notifies of a broker take no more of a core than its limits allow") {
  Net net(sim);
  m3::RpcConfig config;
  config.core_memory = 16u << 20;
  config.limits.max_calls = 100;
  auto& server = net.add("dev.w.echo.1", true, config);
  EchoClient client(net.add("dev.w.test.1", false).node);
  const auto take = [&](const std::string& frame) {
    int taken = 0;
    for (int i = 0; i < 200; ++i)
      taken += server.node.deliver(frame, Deadline(ctx.core().now() + 5s), "dev.w.crier.1").is_ok();
    return taken;
  };
  const int large = take(notify_frame(ctx, 1u << 20, 1000));
  CHECK(large >= 10);
  CHECK(large <= 16);
  co_await m3::sleep(ctx, 2s);
  CHECK(take(notify_frame(ctx, 1, 1000)) == 100);
  co_await m3::sleep(ctx, 2s);
  CHECK(server.handler.notices.size() == static_cast<std::size_t>(large + 100));
  CHECK(take(notify_frame(ctx, 1, 0)) == 200);
  ValueReq req;
  co_await client.value(ctx, req);
  co_await net.stop(ctx);
}

TEST_CASE("rpc: the end of a notify that waited costs the same, however many wait") {
  const auto seconds_for = [](int notifies) {
    m3::testing::SimRuntime sim;
    Net net(sim);
    auto& server = net.add("dev.w.echo.1", true);
    EchoClient client(net.add("dev.w.test.1", false).node);
    double seconds = 0;
    const auto done = sim.run([&](Ctx& ctx) -> Task<> {
      Notice notice;
      notice.set_wait_ms(1000);
      for (int i = 0; i < notifies; ++i) {
        co_await client.tell(ctx, notice);
        if (i % 500 == 499) co_await m3::sleep(ctx, 1ms);
      }
      co_await m3::sleep(ctx, 300ms);
      const auto before = std::chrono::steady_clock::now();
      co_await m3::sleep(ctx, 3s);
      seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
      CHECK(server.handler.notices.size() == static_cast<std::size_t>(notifies));
      co_await net.stop(ctx);
      co_return m3::ok;
    });
    CHECK(done.is_ok());
    return seconds;
  };
  const double few = seconds_for(1000);
  const double many = seconds_for(16000);
  CHECK(many < few * 16 * 5);
}

CO_TEST("rpc: an app that calls its own service counts its own calls, too") {
  Net net(sim);
  auto& self = net.add("dev.w.echo.1", true);
  net.add("dev.w.echo.2", true);
  EchoClient client(self.node);
  for (int i = 0; i < 50; ++i) co_await client.echo(ctx, request("both are connected"));
  self.handler.started = 0;
  m3::Scope scope(ctx.core());
  for (int i = 0; i < 400; ++i) {
    scope.spawn("call", [&](Ctx& own) -> Task<> {
      EchoReq req;
      req.set_wait_ms(100);
      co_await client.echo(own, req);
      co_return m3::ok;
    });
    co_await m3::sleep(ctx, 1ms);
  }
  co_await scope.drain(ctx);
  CHECK(self.handler.started >= 180);
  CHECK(self.handler.started <= 220);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}
