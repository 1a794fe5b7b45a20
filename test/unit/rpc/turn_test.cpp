// SPDX-License-Identifier: BSL-1.0
// What a core's turn promises: others get in, late calls do not begin, user code is never resumed
// inside a walk, and what a call owned ends with it.
#include <string>
#include <vector>

#include "echo_fixture.h"
#include "m3/async/scope.h"
#include "m3/async/when.h"
#include "m3/rpc/detail/rpc_core.h"

using namespace rpc_test;
using m3::as_result;
using m3::Ctx;
using m3::Deadline;
using m3::Errc;
using m3::Status;
using m3::Task;

namespace {

/// Calls echo and notes how it ended, and when.
Task<> call(Ctx& ctx, EchoClient& client, EchoReq req, Deadline deadline, int& answered,
            m3::TimePoint* when = nullptr) {
  Ctx soon(ctx, deadline);
  auto result = co_await as_result(client.echo(soon, req));
  if (result.is_ok()) ++answered;
  if (when) *when = ctx.core().read_clock();
  co_return m3::ok;
}

}  // namespace

CO_TEST("rpc: no handler begins after its deadline, however long those before it computed") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& first = net.add("dev.w.test.1", false);
  EchoClient echo(first.node);
  co_await echo.echo(ctx, request("the connection is there"));
  server.handler.started = 0;
  int late = 0;
  server.handler.work = [&](Ctx& own) {
    if (own.core().read_clock() >= own.deadline().at() + 1ms) ++late;
    sim.clock().advance(10ms);
  };
  m3::Scope scope(ctx.core());
  int answered = 0;
  const Deadline deadline(ctx.core().now() + 200ms);
  for (int i = 0; i < 100; ++i)
    scope.spawn("call", [&](Ctx& c) { return call(c, echo, request(""), deadline, answered); });
  co_await scope.drain(ctx);
  co_await m3::sleep(ctx, 2s);
  CHECK(late == 0);
  CHECK(server.handler.started <= 21);
  CHECK(answered >= 15);
  CHECK(counted(server.metrics, "m3_rpc_refused_total", "late") >= 79);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a call that waited until it cannot be answered in time any more is not begun") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  co_await echo.echo(ctx, request("the connection is there"));
  server.handler.started = 0;
  server.handler.work = [&](Ctx&) { sim.clock().advance(10ms); };
  m3::Scope scope(ctx.core());
  int answered = 0;
  const auto send = [&](int calls, m3::Nanos left) {
    const Deadline deadline(ctx.core().read_clock() + left);
    for (int i = 0; i < calls; ++i)
      scope.spawn("call",
                  [&, deadline](Ctx& c) { return call(c, echo, request(""), deadline, answered); });
  };
  send(10, 1s);  // now it is known what they take
  co_await scope.drain(ctx);
  CHECK(server.handler.started == 10);
  send(10, 45ms);
  co_await scope.drain(ctx);
  CHECK(server.handler.started == 10 + 3);  // the fourth would begin after 30 ms, and end after 40
  // One that does not wait behind others may try.
  send(1, 15ms);
  co_await scope.drain(ctx);
  CHECK(server.handler.started == 10 + 3 + 1);
  CHECK(answered == 10 + 3 + 1);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: an overloaded core refuses calls that waited, but none that have just arrived") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  co_await echo.echo(ctx, request("the connection is there"));
  server.handler.work = [&](Ctx&) { sim.clock().advance(3ms); };
  // One by one: none waits for another, and the core has no time to spare.
  for (int i = 0; i < 100; ++i) co_await echo.echo(ctx, request(""));
  CHECK(ctx.core().saturated());
  CHECK(counted(server.metrics, "m3_rpc_refused_total", "saturated") == 0);
  m3::Scope scope(ctx.core());
  int answered = 0;
  const auto send = [&](int calls) {
    for (int i = 0; i < calls; ++i)
      scope.spawn("call",
                  [&](Ctx& c) { return call(c, echo, request(""), Deadline::never(), answered); });
  };
  send(7);  // the last one waits for 18 ms: a hiccup, no queue that stays
  co_await scope.drain(ctx);
  CHECK(answered == 7);
  co_await echo.echo(ctx, request("this one did not wait"));
  send(100);  // two may wait in any case; the next do so for 20 ms more
  co_await scope.drain(ctx);
  CHECK(answered == 7 + 9);
  CHECK(counted(server.metrics, "m3_rpc_refused_total", "saturated") == 91);
  send(7);  // soon after, nobody waits to see
  co_await scope.drain(ctx);
  CHECK(answered < 7 + 9 + 7);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: calls that waited behind other connections count as waiting, too") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  m3::RpcConfig once;
  once.max_attempts = 1;
  std::vector<EchoClient> clients;
  for (int i = 0; i < 200; ++i)
    clients.emplace_back(net.add("dev.w.test." + std::to_string(i + 1), false, once).node);
  for (auto& client : clients) co_await client.echo(ctx, request("the connection is there"));
  server.handler.work = [&](Ctx&) { sim.clock().advance(3ms); };
  for (int i = 0; i < 100; ++i) co_await clients[0].echo(ctx, request(""));
  CHECK(ctx.core().saturated());
  // Three times what it can answer for two seconds, each connection now and then.
  m3::Scope scope(ctx.core());
  int answered = 0;
  int refused = 0;
  m3::Nanos slowest{0};
  auto next = ctx.core().read_clock();
  for (std::size_t i = 0; i < 2000;) {
    co_await m3::sleep(ctx, 1ms);
    for (; i < 2000 && next <= ctx.core().read_clock(); ++i) {
      next += 1ms;
      scope.spawn("call", [&, i](Ctx& own) -> Task<> {
        const auto began = own.core().read_clock();
        const auto said = co_await as_result(clients[i % 200].echo(own, request("")));
        slowest = std::max(slowest, own.core().read_clock() - began);
        ++(said.is_ok() ? answered : refused);
        co_return m3::ok;
      });
    }
  }
  co_await scope.drain(ctx);
  CHECK(answered >= 500);  // of 667 that it could
  CHECK(answered + refused == 2000);
  CHECK(slowest < 150ms);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a call gets in between many that compute") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  EchoClient busy(net.add("dev.w.test.1", false).node);
  EchoClient calm(net.add("dev.w.test.2", false).node);
  co_await busy.echo(ctx, request("the connection is there"));
  co_await calm.echo(ctx, request("this one, too"));
  server.handler.work = [&](Ctx& own) {
    if (own.caller() == "dev.w.test.1") sim.clock().advance(10ms);
  };
  m3::Scope scope(ctx.core());
  int answered = 0;
  m3::TimePoint calm_answered;
  const m3::TimePoint began = ctx.core().now();
  // Nothing was expensive so far: the first four are noticed only together, then one is a turn.
  for (int i = 0; i < 50; ++i)
    scope.spawn("busy",
                [&](Ctx& c) { return call(c, busy, request(""), Deadline::never(), answered); });
  scope.spawn("calm", [&](Ctx& c) {
    return call(c, calm, request(""), Deadline::never(), answered, &calm_answered);
  });
  co_await scope.drain(ctx);
  CHECK(answered == 51);
  CHECK(calm_answered - began <= 60ms);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST(
    "rpc: calls of one connection begin in the order in which they were sent, turn after turn") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  co_await echo.echo(ctx, request("the connection is there"));
  std::vector<m3::TimePoint> deadlines;
  server.handler.work = [&](Ctx& own) {
    deadlines.push_back(own.deadline().at());
    sim.clock().advance(1ms);
  };
  m3::Scope scope(ctx.core());
  int answered = 0;
  for (int i = 0; i < 20; ++i)
    scope.spawn("call", [&, i](Ctx& c) {
      return call(c, echo, request(std::string(50000, 'x')),
                  Deadline(c.core().now() + 1s + i * 2ms), answered);
    });
  co_await scope.drain(ctx);
  CHECK(answered == 20);
  CHECK(std::is_sorted(deadlines.begin(), deadlines.end()));
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

namespace {

/// Three instances whose slots lie far apart; the first one leaves.
struct FarSlots final : m3::Resolver {
  FarSlots() {
    first = instance("dev.w.echo.1", 1, 0);
    far = instance("dev.w.echo.2", 2, 5000);
  }
  m3::Pick pick(const m3::RouteQuery& query) override {
    if (waiting)
      return {nullptr, Status(Errc::unavailable, "none yet").not_executed(), 5s, &waiters};
    return {gone || query.avoid == first->slot ? far.get() : first.get(), {}, {}, nullptr};
  }
  std::vector<std::shared_ptr<const m3::Instance>> all(m3::Core&, const m3::ServiceId&) override {
    return {};
  }
  std::shared_ptr<m3::Instance> first;
  std::shared_ptr<m3::Instance> far;
  m3::RouteWaiters waiters;
  bool gone = false;
  bool waiting = false;
};

/// One caller with a resolver of its own, and the two instances it may call.
struct FarNet {
  explicit FarNet(m3::testing::SimRuntime& sim)
      : net(sim), caller(sim.runtime(), options(), resolver, metrics), echo(caller) {
    net.add("dev.w.echo.1", true);
    net.add("dev.w.echo.2", true);
  }
  m3::RpcNode::Options options() { return Net::App::options(net, "dev.w.test.1", {}); }
  Task<> stop(Ctx& ctx) {
    co_await caller.stop(ctx);
    co_await net.stop(ctx);
    co_return m3::ok;
  }
  Net net;
  FarSlots resolver;
  m3::MetricRegistry metrics;
  m3::RpcNode caller;
  EchoClient echo;
};

}  // namespace

CO_TEST("rpc: a call that waits for an instance that leaves goes to another one") {
  FarNet far(sim);
  m3::Scope scope(ctx.core());
  far.net.wire.freeze(true);
  int answered = 0;
  scope.spawn("call",
              [&](Ctx& c) { return call(c, far.echo, request(""), Deadline::never(), answered); });
  co_await m3::sleep(ctx, 10ms);
  far.resolver.gone = true;
  far.caller.caller().forget(*far.resolver.first);  // its retry makes the table of peers grow
  far.net.wire.freeze(false);
  co_await scope.drain(ctx);
  CHECK(answered == 1);
  co_await scope.close(ctx);
  co_await far.stop(ctx);
}

CO_TEST("rpc: a stop ends the calls that wait for a connection, and none of them begins anew") {
  FarNet far(sim);
  m3::Scope scope(ctx.core());
  far.net.wire.freeze(true);
  int answered = 0;
  for (int i = 0; i < 10; ++i)
    scope.spawn("call", [&](Ctx& c) {
      return call(c, far.echo, request(""), Deadline::never(), answered);
    });
  co_await m3::sleep(ctx, 10ms);
  co_await far.caller.stop(ctx);
  far.net.wire.freeze(false);
  co_await scope.drain(ctx);
  CHECK(answered == 0);
  co_await scope.close(ctx);
  co_await far.net.stop(ctx);
}

CO_TEST("rpc: a call that is cancelled by what a new list of instances woke stays cancelled") {
  FarNet far(sim);
  far.resolver.waiting = true;
  m3::Scope scope(ctx.core());
  // The first to end wins and cancels the other, while both are told of the same list.
  auto race = [](Ctx& own, EchoClient& echo, int& ended) -> Task<> {
    const EchoReq req = request("");
    const auto body = [&](Ctx& in) -> Task<> {
      co_await echo.echo(in, req);
      co_return m3::ok;
    };
    auto won = co_await m3::when_any(own, body, body);
    if (won.result.is_ok()) ++ended;
    co_return m3::ok;
  };
  int ended = 0;
  for (int i = 0; i < 5; ++i) scope.spawn("race", [&](Ctx& c) { return race(c, far.echo, ended); });
  co_await m3::sleep(ctx, 10ms);
  far.resolver.waiting = false;
  far.resolver.waiters.tell();
  co_await scope.drain(ctx);
  CHECK(ended == 5);
  co_await scope.close(ctx);
  co_await far.stop(ctx);
}

// ---- what ends with a call, and with an app

CO_TEST("rpc: work that keeps its call's context is cancelled when the call ends") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  m3::Scope scope(ctx.core());
  Status escaped;
  std::string caller_seen = "nothing";
  Ctx* kept = nullptr;
  auto work = [](Ctx& own, Status& how, std::string& caller) -> Task<> {
    how = (co_await as_result(m3::sleep(own, 1h))).status();
    (void)co_await as_result(m3::sleep(own, 1h));  // it does not take no for an answer
    caller = std::string(own.caller());
    co_return m3::ok;
  };
  server.handler.work = [&](Ctx& own) {
    if (!std::exchange(kept, &own))
      scope.spawn("escapes", [&](Ctx&) { return work(own, escaped, caller_seen); });
  };
  co_await echo.echo(ctx, request("first"));
  co_await m3::sleep(ctx, 1ms);
  CHECK(escaped == Errc::cancelled);
  CHECK(escaped.text() == "the call this work belonged to has ended");
  CHECK(counted(server.metrics, "m3_rpc_escaped_contexts_total") == 1);
  CHECK(caller_seen == "dev.w.test.1");  // not another call's
  // The next call gets a record of its own.
  Ctx* second = nullptr;
  server.handler.work = [&](Ctx& own) { second = &own; };
  co_await echo.echo(ctx, request("second"));
  CHECK(second != kept);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a stop leaves a handler behind that waits for something of its own, and says so") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  Stuck stuck(ctx.core());
  auto& other = net.add("dev.w.other.1", stuck);
  OtherClient client(net.apps[1]->node);
  m3::Scope scope(ctx.core());
  Status outcome;
  auto one = [](Ctx& own, OtherClient& to, Status& how) -> Task<> {
    how = (co_await as_result(to.ech(own, AbsentReq()))).status();
    co_return m3::ok;
  };
  scope.spawn("one", [&](Ctx& c) { return one(c, client, outcome); });
  co_await m3::sleep(ctx, 10ms);
  CHECK(other.node.running() == 1);
  const auto began = ctx.core().now();
  Ctx soon(ctx, Deadline(began + 2s));
  const Status stopped = (co_await as_result(other.node.stop(soon))).status();
  CHECK(stopped == Errc::deadline_exceeded);
  CHECK(ctx.core().now() - began < 2100ms);
  CHECK(other.node.running() == 0);
  CHECK(outcome == Errc::unavailable);
  CHECK(m3::rpc_detail::calls_left_behind == 1);
  CHECK((co_await as_result(other.node.stop(ctx))).is_ok());  // once more does nothing
  stuck.own.cancel(m3::CancelReason::shutdown);
  co_await m3::sleep(ctx, 1ms);
  CHECK(m3::rpc_detail::calls_left_behind == 0);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
  (void)server;
}

CO_TEST("rpc: a drain lets notify handlers end, and a stop cancels them") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  Notice notice;
  notice.set_text("heard");
  notice.set_wait_ms(3000);
  for (int i = 0; i < 10; ++i) co_await echo.tell(ctx, notice);
  co_await m3::sleep(ctx, 10ms);
  co_await server.node.leave(ctx);
  co_await m3::sleep(ctx, 1s);
  CHECK(caller.node.connections() == 0);  // nothing more to say: the dialer went
  co_await server.node.drain(ctx);
  CHECK(server.handler.notices.size() == 10);
  auto& other = net.add("dev.w.echo.2", true);
  notice.set_wait_ms(3'600'000);
  co_await echo.tell(ctx, notice, m3::to::app("dev.w.echo.2"));
  co_await m3::sleep(ctx, 10ms);
  CHECK(other.node.running() == 1);
  const auto began = ctx.core().now();
  co_await other.node.stop(ctx);
  CHECK(ctx.core().now() - began < 1s);
  CHECK(other.handler.notices.empty());
  co_await net.stop(ctx);
}

CO_TEST("rpc: unread answers stay within the connection's memory") {
  Net net(sim);
  m3::RpcConfig config;
  config.connection_memory = 8u << 20;
  auto& server = net.add("dev.w.echo.1", true, config);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  co_await echo.echo(ctx, request("the connection is there"));
  m3::Scope scope(ctx.core());
  int answered = 0;
  EchoReq req;
  req.set_wait_ms(100);
  req.set_answer_bytes(256u << 10);
  for (int i = 0; i < 200; ++i)
    scope.spawn("call", [&](Ctx& c) { return call(c, echo, req, Deadline::never(), answered); });
  co_await m3::sleep(ctx, 50ms);
  CHECK(server.node.running() == 200);
  net.wire.freeze(true);
  co_await m3::sleep(ctx, 500ms);
  CHECK(server.node.running() == 0);
  CHECK(counted(server.metrics, "m3_rpc_answers_dropped_total") >= 150);
  net.wire.freeze(false);
  co_await scope.drain(ctx);
  CHECK(answered >= 20);
  CHECK(answered <= 50);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: requests under way on one connection stay within its memory") {
  Net net(sim);
  m3::RpcConfig config;
  config.connection_memory = 1u << 20;
  auto& server = net.add("dev.w.echo.1", true, config);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  co_await echo.echo(ctx, request("the connection is there"));
  m3::Scope scope(ctx.core());
  int answered = 0;
  EchoReq req = request(std::string(256u << 10, 'x'));
  req.set_wait_ms(100);
  for (int i = 0; i < 10; ++i)
    scope.spawn("call", [&](Ctx& c) { return call(c, echo, req, Deadline::never(), answered); });
  co_await scope.drain(ctx);
  CHECK(answered == 3);
  CHECK(counted(server.metrics, "m3_rpc_refused_total", "in_flight") == 7);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}
