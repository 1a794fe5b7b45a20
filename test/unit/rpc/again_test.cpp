// SPDX-License-Identifier: BSL-1.0
// What is there for the second time: budgets, trials, pauses, places that were used before.
#include <string>

#include "echo_fixture.h"
#include "m3/async/scope.h"

using namespace rpc_test;
using m3::as_result;
using m3::Ctx;
using m3::Deadline;
using m3::Errc;
using m3::Status;
using m3::Task;

namespace {

/// No instance for ever, and each call may wait 5 s for one.
struct Nobody final : m3::Resolver {
  m3::Pick pick(const m3::RouteQuery&) override {
    return {nullptr, Status(Errc::unavailable, "none yet").not_executed(), 5s, &waiters};
  }
  std::vector<std::shared_ptr<const m3::Instance>> all(m3::Core&, const m3::ServiceId&) override {
    return {};
  }
  m3::RouteWaiters waiters;
};

}  // namespace

CO_TEST("rpc: a retry for which there is no other instance costs nothing of the budget") {
  Net net(sim);
  auto& one = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto req = request("x");
  one.handler.refuses = refusal();
  for (int i = 0; i < 30; ++i)
    CHECK((co_await as_result(echo.echo(ctx, req))).code() == Errc::resource_exhausted);
  CHECK(one.handler.started == 30);
  CHECK(counted(caller.metrics, "m3_rpc_retries_total") == 0);
  CHECK(counted(caller.metrics, "m3_rpc_retries_denied_total") == 0);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a long good time saves up a hundred retries, no more") {
  Net net(sim);
  for (int i = 1; i <= 3; ++i) net.add("dev.w.echo." + std::to_string(i), true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto req = request("x");
  for (int i = 0; i < 3000; ++i) co_await echo.echo(ctx, req);
  for (int i = 0; i < 3; ++i) net.apps[static_cast<std::size_t>(i)]->handler.refuses = refusal();
  constexpr int kCalls = 300;
  for (int i = 0; i < kCalls; ++i)
    CHECK((co_await as_result(echo.echo(ctx, req))).code() == Errc::resource_exhausted);
  CHECK(counted(caller.metrics, "m3_rpc_retries_total") > 100);
  CHECK(counted(caller.metrics, "m3_rpc_retries_total") <= 101 + 0.1 * kCalls);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a method's own timeout ends the call though the other side is silent") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  const auto req = request("the connection is there");
  co_await echo.echo(ctx, req);
  net.wire.freeze(true);
  const ValueReq slow;
  const auto began = ctx.core().now();
  for (int i = 1; i <= 2; ++i) {  // the second time, too
    auto late = co_await as_result(
        m3::within(ctx, 1s, [&](Ctx& patient) { return echo.quick(patient, slow); }));
    CHECK(late.code() == Errc::deadline_exceeded);
    CHECK(ctx.core().now() - began <= i * 52ms);
  }
  net.wire.freeze(false);
  co_await net.stop(ctx);
}

CO_TEST("rpc: an instance that lacks the method does not use up an attempt") {
  Net net(sim);
  OtherHandler other;
  net.add("dev.w.echo.1", other);
  net.add("dev.w.echo.2", true).handler.refuses = refusal();
  net.add("dev.w.echo.3", true);
  m3::RpcConfig config;
  config.max_attempts = 2;
  EchoClient echo(net.add("dev.w.test.1", false, config).node);
  const auto req = request("x");
  auto rsp = co_await as_result(echo.echo(ctx, req, m3::to::single()));
  CHECK((rsp.is_ok() && rsp->answered_by() == "dev.w.echo.3"));
  co_await net.stop(ctx);
}

CO_TEST("rpc: news of a route that bring no instance do not make a call wait longer") {
  Net net(sim);
  Nobody nobody;
  m3::MetricRegistry metrics;
  m3::RpcNode node(sim.runtime(), Net::App::options(net, "dev.w.test.1", {}), nobody, metrics);
  EchoClient echo(node);
  m3::Scope scope(ctx.core());
  const auto began = ctx.core().now();
  m3::Nanos took{0};
  scope.spawn("call", [&](Ctx& own) -> Task<> {
    Ctx patient(own, Deadline(began + 1min));
    const auto req = request("x");
    CHECK((co_await as_result(echo.echo(patient, req))).code() == Errc::unavailable);
    took = own.core().now() - began;
    co_return m3::ok;
  });
  for (int i = 0; i < 10; ++i) {
    co_await m3::sleep(ctx, 999ms);
    nobody.waiters.tell();
  }
  co_await scope.drain(ctx);
  CHECK(took >= 5s);
  CHECK(took < 6s);
  co_await scope.close(ctx);
  co_await node.stop(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: an answer without metadata takes the place of one that had some") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  const auto req = request("x");
  Ctx mine(ctx, Deadline::never());
  CHECK(mine.set_outgoing_meta("color", "blue").is_ok());
  co_await echo.echo(mine, req);
  CHECK(mine.last_reply() != nullptr);
  mine.clear_outgoing_meta();
  co_await echo.echo(mine, req);
  CHECK(mine.last_reply() == nullptr);
  co_await net.stop(ctx);
}

CO_TEST("rpc: calls that gave up waiting for a connection leave their places to others") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  m3::RpcConfig config;
  config.max_waiting_for_connect = 2;
  EchoClient echo(net.add("dev.w.test.1", false, config).node);
  const auto req = request("x");
  net.wire.freeze(true);
  for (int i = 0; i < 5; ++i) {
    auto late =
        co_await as_result(m3::within(ctx, 10ms, [&](Ctx& soon) { return echo.echo(soon, req); }));
    CHECK(late.code() == Errc::deadline_exceeded);
  }
  net.wire.freeze(false);
  CHECK((co_await as_result(echo.echo(ctx, req))).is_ok());
  co_await net.stop(ctx);
}

CO_TEST("rpc: pauses between dials are short again after a connection") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  const auto req = request("x");
  const auto attempt = [&](Ctx& own) { return echo.echo(own, req); };
  net.wire.unlisten(server.address);
  m3::Nanos longest{0};
  for (int i = 0; i < 12; ++i) {
    auto refused = co_await as_result(attempt(ctx));
    CHECK(refused.code() == Errc::unavailable);
    co_await m3::sleep(ctx, 10ms);
    auto again = co_await as_result(attempt(ctx));  // says how long it is not dialled
    longest = std::max<m3::Nanos>(longest, again.status().retry_after());
    co_await m3::sleep(ctx, 2s);
  }
  CHECK(longest > 200ms);
  net.listen(server);
  co_await m3::sleep(ctx, 2s);
  co_await echo.echo(ctx, req);
  net.wire.unlisten(server.address);
  net.wire.cut_all();
  co_await m3::sleep(ctx, 10ms);
  (void)co_await as_result(attempt(ctx));
  auto again = co_await as_result(attempt(ctx));
  CHECK(again.code() == Errc::unavailable);
  CHECK(again.status().retry_after() <= 200ms);
  co_await net.stop(ctx);
}

CO_TEST("rpc: requests that were answered make room on their connection, again and again") {
  Net net(sim);
  m3::RpcConfig config;
  config.connection_memory = 1u << 20;
  auto& server = net.add("dev.w.echo.1", true, config);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  EchoReq req = request(std::string(300u << 10, 'x'));
  req.set_wait_ms(10);
  int answered = 0;
  m3::Scope scope(ctx.core());
  for (int round = 1; round <= 5; ++round) {
    for (int i = 0; i < 3; ++i)
      scope.spawn("call", [&](Ctx& own) -> Task<> {
        if ((co_await as_result(echo.echo(own, req))).is_ok()) ++answered;
        co_return m3::ok;
      });
    co_await scope.drain(ctx);
    CHECK(answered == 3 * round);
  }
  CHECK(counted(server.metrics, "m3_rpc_refused_total") == 0);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: an instance that left and came back is not busy with calls from before") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const m3::Instance& instance = *net.resolver.instances().front();
  m3::Scope scope(ctx.core());
  EchoReq slow = request("x");
  slow.set_wait_ms(100);
  scope.spawn("call", [&](Ctx& own) -> Task<> {
    co_await echo.echo(own, slow);
    co_return m3::ok;
  });
  co_await m3::sleep(ctx, 10ms);
  m3::Peers& peers = caller.node.caller().peers();
  CHECK(peers.in_flight(instance) == 1);
  caller.node.caller().forget(instance);
  CHECK(peers.in_flight(instance) == 1);  // it is still answered
  co_await scope.drain(ctx);
  CHECK(peers.in_flight(instance) == 0);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}
