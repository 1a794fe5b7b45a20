// SPDX-License-Identifier: BSL-1.0
// How calls keep clear of an instance that refuses them, lacks their method or breaks connections.
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "echo_fixture.h"
#include "m3/async/scope.h"
#include "m3/testing/rogue_peer.h"

using namespace rpc_test;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Nanos;
using m3::Route;
using m3::Status;
using m3::Task;
using m3::testing::RoguePeer;
using Manner = m3::testing::RoguePeer::Manner;

namespace {

const std::string kOne = "dev.w.echo.1";
const std::string kTwo = "dev.w.echo.2";

/// What became of calls.
struct Seen {
  int calls = 0;
  std::map<std::string, int> by;  // who answered; "": the rogue
  std::map<Errc, int> failed;

  int failures() const {
    int sum = 0;
    for (const auto& [code, count] : failed) sum += count;
    return sum;
  }
  /// At least 99 of 100.
  bool nearly_all_answered() const { return calls > 0 && failures() * 100 <= calls; }
};

Task<> one_call(Ctx& ctx, EchoClient& echo, Route route, Seen& seen) {
  EchoReq req;
  req.set_wait_ms(50);
  auto answer = co_await as_result(
      m3::within(ctx, 1s, [&](Ctx& soon) { return echo.echo(soon, req, route); }));
  ++seen.calls;
  if (answer.is_ok())
    ++seen.by[answer->answered_by()];
  else
    ++seen.failed[answer.code()];
  co_return m3::ok;
}

using RouteOf = std::function<Route(int)>;
const std::vector<std::pair<std::string, RouteOf>> kRoutes = {
    {"random", [](int) { return m3::to::random(); }},
    {"hash", [](int i) { return m3::to::hash(std::to_string(i % 16)); }},
    {"single", [](int) { return m3::to::single(); }},
};

/// 200 calls a second, whatever becomes of those before.
Task<Seen> steady(Ctx& ctx, EchoClient& echo, const RouteOf& route, Nanos lasts) {
  Seen seen;
  m3::Scope calls(ctx.core());
  const m3::TimePoint end = ctx.core().now() + lasts;
  for (int i = 0; ctx.core().now() < end; ++i) {
    calls.spawn("call",
                [&echo, &seen, to = route(i)](Ctx& own) { return one_call(own, echo, to, seen); });
    co_await m3::sleep(ctx, 5ms);
  }
  co_await calls.drain(ctx);
  co_return seen;
}

/// Who was listed and is called, and does not behave. Ends before its network.
struct Rogue {
  Rogue(Net& net, const std::string& id)
      : peer(net.sim.core(), hello(id)), address{"rogue-" + id, 1}, net_(net) {
    CHECK(net.resolver.add(app_id(id), address).is_ok());
    net.wire.listen(net.sim.core(), address,
                    [this](std::unique_ptr<m3::Stream> stream) { peer.accept(std::move(stream)); });
  }
  ~Rogue() { net_.wire.unlisten(address); }
  static m3::HelloConfig hello(const std::string& id) {
    m3::HelloConfig out;
    out.app_id = id;
    std::vector<m3::MethodName> methods;
    for (const m3::MethodInfo* method : {&EchoService::kEcho, &EchoService::kTell})
      methods.push_back({method->hash, std::string(method->full_name)});
    out.methods = m3::encode_methods(methods);
    return out;
  }
  RoguePeer peer;
  const m3::HostPort address;

 private:
  Net& net_;
};

}  // namespace

CO_TEST("rpc: an instance that refuses at once gets few calls, and all of them when it is well") {
  for (const auto& [name, route] : kRoutes)
    for (const Errc code : {Errc::unavailable, Errc::resource_exhausted, Errc::unimplemented,
                            Errc::unauthenticated}) {
      INFO(name << " " << m3::errc_name(code));
      Net net(sim);
      auto& refuser = net.add(kOne, true);
      net.add(kTwo, true);
      auto& caller = net.add("dev.w.test.1", false);
      EchoClient echo(caller.node);
      (void)co_await steady(ctx, echo, route, 500ms);
      refuser.handler.refuses = refusal(code, false);
      (void)co_await steady(ctx, echo, route, 1s);
      const int before = refuser.handler.started;
      const Seen seen = co_await steady(ctx, echo, route, 20s);
      CHECK(seen.nearly_all_answered());
      CHECK(refuser.handler.started - before <= 6);  // pauses that grow to 10 s
      CHECK(refuser.handler.started - before >= 2);
      refuser.handler.refuses = m3::ok;
      (void)co_await steady(ctx, echo, route, 11s);
      Seen after = co_await steady(ctx, echo, route, 2s);
      CHECK(after.failures() == 0);
      CHECK(after.by[kOne] > after.calls / 4);
      co_await net.stop(ctx);
    }
}

CO_TEST("rpc: two of three that refuse get few calls, too") {
  for (const auto& [name, route] : kRoutes) {
    INFO(name);
    Net net(sim);
    for (int i = 1; i <= 3; ++i) net.add("dev.w.echo." + std::to_string(i), true);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    for (int i = 0; i < 2; ++i)
      net.apps[static_cast<std::size_t>(i)]->handler.refuses =
          refusal(Errc::resource_exhausted, false);
    (void)co_await steady(ctx, echo, route, 1s);
    const Seen seen = co_await steady(ctx, echo, route, 5s);
    CHECK(seen.nearly_all_answered());
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: under Random, an instance that alone answers with complaints gets few calls") {
  for (const Errc code : {Errc::resource_exhausted, Errc::unimplemented, Errc::unauthenticated}) {
    INFO(m3::errc_name(code));
    Net net(sim);
    auto& refuser = net.add(kOne, true);
    net.add(kTwo, true);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    refuser.handler.refuses = refusal(code, true);
    (void)co_await steady(ctx, echo, kRoutes[0].second, 1s);
    const Seen seen = co_await steady(ctx, echo, kRoutes[0].second, 20s);
    CHECK(seen.nearly_all_answered());
    CHECK(counted(caller.metrics, "m3_rpc_retries_total") == 0);  // they may have run
    refuser.handler.refuses = m3::ok;
    (void)co_await steady(ctx, echo, kRoutes[0].second, 11s);
    Seen after = co_await steady(ctx, echo, kRoutes[0].second, 2s);
    CHECK(after.by[kOne] > after.calls / 4);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: an application's own errors are its callers' business") {
  for (const Errc code : {Errc::resource_exhausted, Errc::unimplemented, Errc::unauthenticated,
                          Errc::invalid_argument, Errc::permission_denied, Errc::not_found}) {
    INFO(m3::errc_name(code));
    Net net(sim);
    auto& one = net.add(kOne, true);
    auto& two = net.add(kTwo, true);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    // The same everywhere, and by a key of one instance: neither is an instance's fault.
    one.handler.refuses = two.handler.refuses = refusal(code, true);
    for (const auto& [name, route] : kRoutes) (void)co_await steady(ctx, echo, route, 1s);
    two.handler.refuses = m3::ok;
    for (const std::size_t by_key : {1u, 2u})
      (void)co_await steady(ctx, echo, kRoutes[by_key].second, 2s);
    CHECK(counted(caller.metrics, "m3_rpc_ejected_total") == 0);
    CHECK(counted(caller.metrics, "m3_rpc_retries_total") == 0);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: a call that must not be retried is not, although it was not executed") {
  for (const Errc code : {Errc::invalid_argument, Errc::permission_denied, Errc::aborted,
                          Errc::failed_precondition, Errc::deadline_exceeded}) {
    Net net(sim);
    net.add(kOne, true).handler.refuses = refusal(code, false);
    net.add(kTwo, true);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    const auto req = request("x");
    auto answer = co_await as_result(echo.echo(ctx, req, m3::to::single()));
    CHECK(answer.code() == code);
    CHECK(counted(caller.metrics, "m3_rpc_retries_total") == 0);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: when every instance refuses, attempts stay within the budget") {
  for (const auto& [name, route] : kRoutes) {
    INFO(name);
    Net net(sim);
    int started = 0;
    for (int i = 1; i <= 3; ++i)
      net.add("dev.w.echo." + std::to_string(i), true).handler.refuses =
          refusal(Errc::resource_exhausted, false);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    const Seen seen = co_await steady(ctx, echo, route, 10s);
    CHECK(seen.failures() == seen.calls);
    for (int i = 0; i < 3; ++i) started += net.apps[static_cast<std::size_t>(i)]->handler.started;
    CHECK(started <= 1.1 * seen.calls + 10);
    CHECK(started >= seen.calls);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: the only instance is not asked again when it refuses") {
  Net net(sim);
  auto& only = net.add(kOne, true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  only.handler.refuses = refusal(Errc::resource_exhausted, false);
  const auto req = request("x");
  auto answer = co_await as_result(echo.echo(ctx, req));
  CHECK(answer.code() == Errc::resource_exhausted);
  CHECK_FALSE(answer.status().maybe_executed());
  CHECK(only.handler.started == 1);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a refusal that says how long is believed, up to 10 s") {
  Net net(sim);
  auto& refuser = net.add(kOne, true);
  net.add(kTwo, true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  refuser.handler.refuses = refusal(Errc::resource_exhausted, false).with_retry_after(5s);
  (void)co_await steady(ctx, echo, kRoutes[0].second, 500ms);
  CHECK(refuser.handler.started == 5);
  (void)co_await steady(ctx, echo, kRoutes[0].second, 4s);
  CHECK(refuser.handler.started == 5);
  (void)co_await steady(ctx, echo, kRoutes[0].second, 1s);
  CHECK(refuser.handler.started == 6);
  co_await net.stop(ctx);
}

CO_TEST("rpc: calls go to an instance that serves their method") {
  for (const auto& [name, route] : kRoutes) {
    INFO(name);
    Net net(sim);
    OtherHandler other;
    for (int i : {1, 2, 4}) {
      net.add("dev.w.echo." + std::to_string(i), other);
    }
    net.add("dev.w.echo.3", true);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    const Seen seen = co_await steady(ctx, echo, route, 2s);
    CHECK(seen.failures() == 0);
    CHECK(counted(caller.metrics, "m3_rpc_retries_total") == 0);  // nobody was asked in vain
    const auto req = request("x");
    auto named = co_await as_result(echo.echo(ctx, req, m3::to::app("dev.w.echo.1")));
    CHECK(named.code() == Errc::unimplemented);
    // Nobody serves it.
    OtherClient others(caller.node, m3::func("echo"));
    AbsentReq absent;
    co_await others.ech(ctx, absent);
    auto nobody = co_await as_result(echo.missing(ctx, absent, m3::to::app("dev.w.echo.2")));
    CHECK(nobody.code() == Errc::unimplemented);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: a method that no instance serves is unimplemented, with near names") {
  for (const auto& [name, route] : kRoutes) {
    INFO(name);
    Net net(sim);
    for (int i = 1; i <= 3; ++i) net.add("dev.w.echo." + std::to_string(i), true);
    auto& caller = net.add("dev.w.test.1", false);
    OtherClient other(caller.node, m3::func("echo"));
    AbsentReq req;
    for (int i = 0; i < 2; ++i) {
      auto result = co_await as_result(other.ech(ctx, req, route(0)));
      CHECK(result.code() == Errc::unimplemented);
      CHECK_FALSE(result.status().maybe_executed());
      CHECK(result.status().text().find("/rpc_test.Other/Ech") != std::string::npos);
    }
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: an app that lacks a method itself, or drains, asks another instance") {
  Net net(sim);
  OtherHandler other;
  auto& self = net.add(kOne, other);
  net.add(kTwo, true);
  EchoClient echo(self.node);
  const auto req = request("x");
  for (const auto& [name, route] : kRoutes)
    for (int i = 0; i < 8; ++i) {
      const auto rsp = co_await echo.echo(ctx, req, route(i));
      CHECK(rsp.answered_by() == kTwo);
    }
  auto named = co_await as_result(echo.echo(ctx, req, m3::to::app(kOne)));
  CHECK(named.code() == Errc::unimplemented);
  co_await net.stop(ctx);
}

CO_TEST("rpc: one that says \"moved\" to every call gets few, unless they name it") {
  for (const auto& [name, route] : kRoutes) {
    INFO(name);
    Net net(sim);
    auto& mover = net.add(kOne, true);
    net.add(kTwo, true);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    mover.handler.refuses = Status::moved(kTwo);
    (void)co_await steady(ctx, echo, route, 1s);
    const int before = mover.handler.started;
    const Seen seen = co_await steady(ctx, echo, route, 20s);
    CHECK(seen.nearly_all_answered());
    CHECK(mover.handler.started - before <= 6);
    const auto req = request("x");
    for (int i = 0; i < 10; ++i) {
      auto named = co_await as_result(echo.echo(ctx, req, m3::to::app(kOne)));
      CHECK(named.code() == Errc::moved);
    }
    CHECK(mover.handler.started - before >= 10);
    co_await net.stop(ctx);
  }
}

CO_TEST(
    "rpc: a caller that dials a leaving instance uses another one, or that one if there is no "
    "other") {
  Net net(sim);
  auto& leaving = net.add(kOne, true);
  net.add(kTwo, true);
  co_await leaving.node.leave(ctx);
  const auto req = request("x");
  int callers = 0;
  for (const auto& [name, route] : kRoutes)
    for (int i = 0; i < 8; ++i) {  // each dials for itself
      EchoClient echo(net.add("dev.w.test." + std::to_string(++callers), false).node);
      const auto rsp = co_await echo.echo(ctx, req, route(i));
      CHECK(rsp.answered_by() == kTwo);
    }
  CHECK(leaving.handler.started == 0);
  EchoClient named(net.add("dev.w.test.0", false).node);
  const auto rsp = co_await named.echo(ctx, req, m3::to::app(kOne));
  CHECK(rsp.answered_by() == kOne);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a full connection sends its calls to another instance") {
  Net net(sim);
  m3::RpcConfig small;
  small.limits.max_calls = 2;
  net.add(kOne, true, small);
  net.add(kTwo, true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  Seen seen;
  m3::Scope calls(ctx.core());
  co_await one_call(ctx, echo, m3::to::single(), seen);
  for (int i = 0; i < 10; ++i)
    calls.spawn("call", [&](Ctx& own) { return one_call(own, echo, m3::to::single(), seen); });
  co_await calls.drain(ctx);
  CHECK(seen.failures() == 0);
  CHECK(seen.by[kTwo] == 8);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a peer that dies on every request is left out at once, and retried with backoff") {
  for (const auto& [name, route] : kRoutes)
    for (const Manner manner : {Manner::closes, Manner::says_goaway, Manner::drains}) {
      INFO(name << ", manner " << static_cast<int>(manner));
      Net net(sim);
      Rogue rogue(net, kOne);
      net.add(kTwo, true);
      auto& caller = net.add("dev.w.test.1", false);
      EchoClient echo(caller.node);
      rogue.peer.manner = manner;
      (void)co_await steady(ctx, echo, route, 1s);
      const std::size_t first_second = rogue.peer.connected.size();
      CHECK(first_second <= 6);
      const int asked = rogue.peer.requests;
      const Seen seen = co_await steady(ctx, echo, route, 20s);
      CHECK(seen.nearly_all_answered());
      CHECK(rogue.peer.requests - asked <= 7);
      CHECK(rogue.peer.connected.size() - first_second <= 14);
      CHECK(rogue.peer.connected.size() - first_second >= 3);
      rogue.peer.manner = Manner::answers;
      (void)co_await steady(ctx, echo, route, 12s);
      Seen after = co_await steady(ctx, echo, route, 2s);
      CHECK(after.failures() == 0);
      CHECK(after.by[""] > after.calls / 4);
      co_await net.stop(ctx);
    }
}

CO_TEST("rpc: a peer that hangs up behind every handshake is dialled ever less often") {
  for (const auto& [name, route] : kRoutes) {
    INFO(name);
    Net net(sim);
    Rogue rogue(net, kOne);
    net.add(kTwo, true);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    rogue.peer.manner = Manner::hangs_up;
    (void)co_await steady(ctx, echo, route, 1s);
    const Seen seen = co_await steady(ctx, echo, route, 20s);
    CHECK(seen.nearly_all_answered());
    CHECK(rogue.peer.connected.size() <= 14);
    CHECK(rogue.peer.connected.size() >= 5);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: notifies that kill their receiver are sent there ever less often") {
  Net net(sim);
  Rogue rogue(net, kOne);
  net.add(kTwo, true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  Notice notice;
  rogue.peer.manner = Manner::closes;
  const auto tell_for = [&](Nanos lasts) -> Task<> {
    const m3::TimePoint end = ctx.core().now() + lasts;
    while (ctx.core().now() < end) {
      (void)(co_await as_result(echo.tell(ctx, notice, m3::to::random()))).is_ok();
      co_await m3::sleep(ctx, 5ms);
    }
    co_return m3::ok;
  };
  co_await tell_for(20s);
  CHECK(rogue.peer.connected.size() <= 12);
  // What it hears does no harm any more: pings say so.
  rogue.peer.manner = Manner::answers;
  co_await tell_for(13s);
  const int before = rogue.peer.requests;
  co_await tell_for(1s);
  CHECK(rogue.peer.requests - before > 50);
  co_await net.stop(ctx);
}

CO_TEST("rpc: calls that wait for a connection go elsewhere when its handshake fails") {
  for (const auto& [name, route] : kRoutes) {
    INFO(name);
    Net net(sim);
    Rogue rogue(net, kOne);
    net.add(kTwo, true);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    rogue.peer.manner = Manner::rejects;
    const Seen seen = co_await steady(ctx, echo, route, 1s);
    CHECK(seen.failures() == 0);
    const auto req = request("x");
    auto named = co_await as_result(echo.echo(ctx, req, m3::to::app(kOne)));
    CHECK(named.code() == Errc::unauthenticated);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: five listed liars cost no call, when one instance is true") {
  for (const auto& [name, route] : kRoutes) {
    INFO(name);
    Net net(sim);
    std::vector<std::unique_ptr<Rogue>> liars;
    for (int i = 0; i < 5; ++i) {
      liars.push_back(std::make_unique<Rogue>(net, "dev.w.echo.1" + std::to_string(i)));
      liars.back()->peer.manner = Manner::rejects;
    }
    net.add("dev.w.echo.9", true);
    const auto req = request("x");
    for (int i = 0; i < 16; ++i) {  // each of them knows nobody yet
      EchoClient echo(net.add("dev.w.test." + std::to_string(i), false).node);
      auto answer = co_await as_result(echo.echo(ctx, req, route(i)));
      CHECK(answer.is_ok());
    }
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: calls do not wait for a handshake that never ends when another instance is there") {
  for (const auto& [name, route] : kRoutes) {
    INFO(name);
    Net net(sim);
    Rogue rogue(net, kOne);
    net.add(kTwo, true);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    rogue.peer.manner = Manner::never_greets;
    const Seen seen = co_await steady(ctx, echo, route, 20s);  // each call has a second
    CHECK(seen.failures() == 0);
    CHECK(rogue.peer.connected.size() <= 12);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: a peer that answers pings and no calls is left out; one call at a time tries it") {
  for (const auto& [name, route] : kRoutes) {
    INFO(name);
    Net net(sim);
    Rogue rogue(net, kOne);
    net.add(kTwo, true);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    rogue.peer.manner = Manner::never_answers;
    (void)co_await steady(ctx, echo, route, 3s);  // each call has a second
    const int asked = rogue.peer.requests;
    const Seen seen = co_await steady(ctx, echo, route, 20s);
    CHECK(seen.nearly_all_answered());
    CHECK(rogue.peer.requests - asked <= 8);
    CHECK(rogue.peer.requests - asked >= 2);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: a burst at an instance that came back is one call there, then a few more") {
  Net net(sim);
  auto& one = net.add(kOne, true);
  net.add(kTwo, true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  one.handler.refuses = refusal(Errc::unavailable, false);
  (void)co_await steady(ctx, echo, kRoutes[0].second, 500ms);
  one.handler.refuses = m3::ok;
  co_await m3::sleep(ctx, 2s);
  const auto burst = [&]() -> Task<int> {
    const int before = one.handler.started;
    Seen seen;
    m3::Scope calls(ctx.core());
    for (int i = 0; i < 100; ++i)
      calls.spawn("call", [&](Ctx& own) { return one_call(own, echo, m3::to::random(), seen); });
    co_await calls.drain(ctx);
    co_return one.handler.started - before;
  };
  CHECK(co_await burst() == 1);
  CHECK(co_await burst() == 2);
  CHECK(co_await burst() == 4);
  CHECK(co_await burst() == 8);
  CHECK(co_await burst() == 50);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a connection that breaks once is dialled again at once, and its call is sent again") {
  Net net(sim);
  net.add(kOne, true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto req = request("x");
  co_await echo.echo(ctx, req);
  AgainReq slow;
  slow.set_wait_ms(100);
  m3::Scope calls(ctx.core());
  Status outcome(Errc::unknown, "not yet");
  calls.spawn("again", [&](Ctx& own) -> Task<> {
    outcome = (co_await as_result(echo.again(own, slow))).status();
    co_return m3::ok;
  });
  co_await m3::sleep(ctx, 10ms);
  net.wire.cut_all();
  co_await m3::sleep(ctx, 1ms);
  co_await echo.echo(ctx, req);
  co_await calls.drain(ctx);
  CHECK(outcome.is_ok());
  co_await net.stop(ctx);
}
