// SPDX-License-Identifier: BSL-1.0
// What a call, an instance or an app leaves behind when it goes.
#include <memory>
#include <string>
#include <vector>

#include "echo_fixture.h"
#include "m3/async/channel.h"
#include "m3/async/scope.h"

using namespace rpc_test;
using m3::as_result;
using m3::Ctx;
using m3::Deadline;
using m3::Errc;
using m3::Status;
using m3::Task;

namespace {

/// A list that the test changes; the first instance that takes a call gets it.
struct List final : m3::Resolver {
  void set(std::vector<std::shared_ptr<m3::Instance>> now) {
    listed = std::move(now);
    pointers.clear();
    for (const auto& one : listed) pointers.push_back(one.get());
  }
  m3::Pick pick(const m3::RouteQuery& query) override {
    return {query.choice().first_of(pointers), {}, {}, nullptr};
  }
  std::vector<std::shared_ptr<const m3::Instance>> all(m3::Core&, const m3::ServiceId&) override {
    return {};
  }
  std::vector<std::shared_ptr<m3::Instance>> listed;
  std::vector<const m3::Instance*> pointers;
};

Task<> one_call(Ctx& ctx, EchoClient& echo, Status& how) {
  how = (co_await as_result(echo.echo(ctx, request("")))).status();
  co_return m3::ok;
}

}  // namespace

CO_TEST("rpc: an instance that was to be dialled and left the list is not dialled") {
  Net net(sim);
  List list;
  m3::MetricRegistry metrics;
  net.add("dev.w.echo.3", true);
  list.set({instance("dev.w.echo.1", 8, 0), instance("dev.w.echo.2", 9, 1)});
  m3::RpcNode node(sim.runtime(), Net::App::options(net, "dev.w.test.1", {}), list, metrics);
  EchoClient echo(node);
  node.caller().peers().unreachable(node.caller().peers()[1], 0s);  // its time has come
  net.wire.freeze(true);  // the first one's connection does not come
  Status how;
  {
    Ctx soon(ctx, Deadline(ctx.core().read_clock() + 1s));
    co_await one_call(soon, echo, how);
  }
  CHECK_FALSE(how.is_ok());
  co_await m3::sleep(ctx, 4s);
  for (const auto& gone : list.listed) node.caller().forget(*gone);
  list.set({instance("dev.w.echo.3", 1, 2)});
  net.wire.freeze(false);
  co_await one_call(ctx, echo, how);
  CHECK(how.is_ok());
  co_await node.stop(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a stop ends in time although somebody dials while it waits for a handler") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  Stuck stuck(ctx.core());
  auto& app = net.add("dev.w.other.1", stuck);
  OtherClient client(net.add("dev.w.test.1", false).node);
  EchoClient echo(app.node);
  m3::Scope scope(ctx.core());
  scope.spawn("stuck", [&](Ctx& c) -> Task<> {
    (void)co_await as_result(client.ech(c, AbsentReq()));
    co_return m3::ok;
  });
  Status how;
  scope.spawn("dials", [&](Ctx& c) -> Task<> {
    co_await m3::sleep(c, 110ms);
    co_await one_call(c, echo, how);
    co_return m3::ok;
  });
  co_await m3::sleep(ctx, 10ms);
  const auto began = ctx.core().now();
  {
    Ctx soon(ctx, Deadline(began + 2s));
    CHECK((co_await as_result(app.node.stop(soon))).code() == Errc::deadline_exceeded);
  }
  CHECK(ctx.core().now() - began < 2100ms);
  CHECK(how == Errc::unavailable);
  CHECK(app.node.connections() == 0);
  // What was left behind may still ask who called.
  stuck.own.cancel(m3::CancelReason::shutdown);
  co_await m3::sleep(ctx, 1ms);
  CHECK(stuck.caller == "dev.w.test.1");
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a call that its own handler of this process cancels ends once") {
  for (const std::uint32_t wait_ms : {0u, 50u}) {
    Net net(sim);
    List list;
    m3::MetricRegistry metrics;
    auto& remote = net.add("dev.w.echo.1", true);
    remote.handler.refuses = Status(Errc::resource_exhausted, "no").not_executed();
    list.set({instance("dev.w.echo.1", 1, 0), instance("dev.w.echo.2", 9, 1)});
    m3::RpcNode node(sim.runtime(), Net::App::options(net, "dev.w.echo.2", {}), list, metrics);
    EchoHandler local("local");
    CHECK(node.serve(local).is_ok());
    EchoClient echo(node);
    Ctx work(ctx, Deadline::never());
    local.work = [&](Ctx&) { work.cancel(m3::CancelReason::superseded); };
    EchoReq req;
    req.set_wait_ms(wait_ms);
    const Status how = (co_await as_result(echo.echo(work, req))).status();
    CHECK(how == Errc::cancelled);
    co_await m3::sleep(ctx, 1ms);
    CHECK(node.running() == 0);
    co_await node.stop(ctx);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: work that escapes its call is seen also when it is about to be resumed") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  EchoClient echo(net.add("dev.w.test.1", false).node);
  m3::Scope scope(ctx.core());
  m3::Channel<int> channel(1);
  Ctx* kept = nullptr;
  server.handler.work = [&](Ctx& own) {
    if (std::exchange(kept, &own)) return;
    scope.spawn("escapes", [&](Ctx&) -> Task<> {
      co_await channel.receive(own);
      co_return m3::ok;
    });
    CHECK(channel.try_send(1).is_ok());
  };
  Status how;
  co_await one_call(ctx, echo, how);
  CHECK(counted(server.metrics, "m3_rpc_escaped_contexts_total") == 1);
  Ctx* second = nullptr;
  server.handler.work = [&](Ctx& own) { second = &own; };
  co_await one_call(ctx, echo, how);
  CHECK(second != kept);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a retry that runs a handler of this process waits until the list was told") {
  Net net(sim);
  List list;
  m3::MetricRegistry metrics;
  list.set({instance("dev.w.echo.1", 8, 0), instance("dev.w.echo.2", 9, 1)});  // nobody is at 8
  m3::RpcNode node(sim.runtime(), Net::App::options(net, "dev.w.echo.2", {}), list, metrics);
  EchoHandler local("local");
  CHECK(node.serve(local).is_ok());
  EchoClient echo(node);
  bool in_a_walk = false;
  local.work = [&](Ctx& own) { in_a_walk = own.core().walking(); };
  CHECK((co_await echo.echo(ctx, request(""))).answered_by() == "local");
  CHECK_FALSE(in_a_walk);
  co_await node.stop(ctx);
  co_await net.stop(ctx);
}
