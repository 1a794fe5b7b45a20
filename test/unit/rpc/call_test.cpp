// SPDX-License-Identifier: BSL-1.0
#include <map>
#include <set>

#include "echo_fixture.h"
#include "m3/async/scope.h"
#include "m3/async/when.h"

using namespace rpc_test;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::Task;

CO_TEST("rpc: a call is answered over a connection, pooled and by value") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto req = request("hello");
  const auto rsp = co_await echo.echo(ctx, req);
  CHECK(rsp.text() == "hello");
  CHECK(rsp.answered_by() == "dev.w.echo.1");
  CHECK(rsp.caller() == "dev.w.test.1");
  EchoRsp pooled;
  co_await echo.echo(ctx, req, pooled);
  CHECK(pooled.text() == "hello");
  ValueReq value;
  value.set_text("by value");
  const auto back = co_await echo.value(ctx, value);
  CHECK(back.text() == "by value");
  CHECK(server.handler.started == 2);
  co_await net.stop(ctx);
}

CO_TEST("rpc: an error comes back with code, text and the application's number") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  for (Errc code : {Errc::not_found, Errc::already_exists, Errc::aborted, Errc::permission_denied,
                    Errc::data_loss, Errc::failed_precondition, Errc::unauthenticated,
                    Errc::unknown, Errc::moved}) {
    EchoReq req;
    req.set_fail_with(static_cast<unsigned>(code));
    auto result = co_await as_result(echo.echo(ctx, req));
    CHECK(result.code() == code);
    CHECK(result.status().text() == "as asked");
    CHECK(result.status().app_code() == 7);
    CHECK(result.status().maybe_executed() == (code != Errc::moved));  // moved: nobody ran it
  }
  co_await net.stop(ctx);
}

CO_TEST("rpc: an exception in a handler is answered with internal and the app continues") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto bad = request("throw");
  auto result = co_await as_result(echo.echo(ctx, bad));
  CHECK(result.code() == Errc::internal);
  const auto good = request("still here");
  const auto rsp = co_await echo.echo(ctx, good);
  CHECK(rsp.text() == "still here");
  co_await net.stop(ctx);
}

CO_TEST(
    "rpc: a handler that is not a coroutine may throw, or return no Task, and the app continues") {
  /// Overrides that are plain functions.
  struct Plain final : EchoService {
    Task<> echo(Ctx&, const EchoReq&, EchoRsp&) override { throw std::runtime_error("pooled"); }
    Task<ValueRsp> value(Ctx&, const ValueReq& req) override {
      if (req.text() == "empty") return {};
      throw std::runtime_error("by value");
    }
    Task<> tell(Ctx&, const Notice& notice) override {
      if (notice.text() == "empty") return {};
      throw std::runtime_error("notify");
    }
  };
  Net net(sim);
  Plain plain;
  auto& server = net.add("dev.w.echo.1", plain);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto req = request("x");
  const auto pooled = co_await as_result(echo.echo(ctx, req));
  CHECK(pooled.status().to_string() == "internal: exception: pooled");
  ValueReq value;
  const auto by_value = co_await as_result(echo.value(ctx, value));
  CHECK(by_value.status().to_string() == "internal: exception: by value");
  value.set_text("empty");
  const auto empty = co_await as_result(echo.value(ctx, value));
  CHECK(empty.code() == Errc::internal);
  for (const char* text : {"throw", "empty"}) {
    Notice notice;
    notice.set_text(text);
    co_await echo.tell(ctx, notice);
  }
  co_await m3::sleep(ctx, 10ms);
  CHECK(counted(server.metrics, "m3_rpc_answers_total", "internal") == 5);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a handler that is not overridden is unimplemented") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  AbsentReq req;
  auto result = co_await as_result(echo.missing(ctx, req));
  CHECK(result.code() == Errc::unimplemented);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a method the peer does not serve is refused here, with near names") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  OtherClient other(caller.node, m3::func("echo"));
  AbsentReq req;
  auto result = co_await as_result(other.ech(ctx, req));
  CHECK(result.code() == Errc::unimplemented);
  CHECK_FALSE(result.status().maybe_executed());
  CHECK(result.status().text().find("/rpc_test.Other/Ech") != std::string::npos);
  CHECK(server.handler.started == 0);
  co_await net.stop(ctx);
}

CO_TEST("rpc: metadata is sent with a call and its answer, and is not forwarded") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  Ctx mine(ctx, m3::Deadline::never());
  CHECK(mine.set_outgoing_meta("Color", "blue").is_ok());
  const auto req = request("x");
  co_await echo.echo(mine, req);
  CO_REQUIRE(mine.last_reply());
  CHECK(*mine.last_reply()->find("seen") == "blue");
  co_await echo.echo(ctx, req);
  CHECK(ctx.last_reply() == nullptr);
  co_await net.stop(ctx);
}

CO_TEST(
    "rpc: a hash route stays on one instance, random reaches all, single the lowest, p2p the named "
    "one") {
  Net net(sim);
  for (int i : {10, 9, 3}) net.add("dev.w.echo." + std::to_string(i), true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  HashReq key;
  key.set_key("ann");
  const auto first = co_await echo.by_key(ctx, key);
  std::set<std::string> by_key, anywhere, spread;
  const auto req = request("x");
  for (int i = 0; i < 50; ++i) {
    const auto again = co_await echo.by_key(ctx, key);
    by_key.insert(again.answered_by());
    const auto any = co_await echo.echo(ctx, req);
    anywhere.insert(any.answered_by());
    const auto hashed = co_await echo.echo(ctx, req, m3::to::hash(std::to_string(i)));
    spread.insert(hashed.answered_by());
  }
  CHECK(by_key == std::set<std::string>{first.answered_by()});
  CHECK(anywhere.size() == 3);
  CHECK(spread.size() == 3);
  const auto lowest = co_await echo.echo(ctx, req, m3::to::single());
  CHECK(lowest.answered_by() == "dev.w.echo.3");
  const auto named = co_await echo.echo(ctx, req, m3::to::app("dev.w.echo.10"));
  CHECK(named.answered_by() == "dev.w.echo.10");
  auto nobody = co_await as_result(echo.echo(ctx, req, m3::to::app("dev.w.echo.77")));
  CHECK(nobody.code() == Errc::unavailable);
  CHECK_FALSE(nobody.status().maybe_executed());
  co_await net.stop(ctx);
}

CO_TEST("rpc: a hash call of a method without a key is an error that names the fix") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  ValueReq req;
  auto result = co_await as_result(echo.value(ctx, req, m3::to::hash()));
  CHECK(result.code() == Errc::invalid_argument);
  CHECK(result.status().text().find("route_key") != std::string::npos);
  auto empty = co_await as_result(echo.value(ctx, req, m3::to::hash("")));
  CHECK(empty.is_ok());  // an empty key is a key
  HashReq key;
  key.set_key("ann");
  co_await echo.by_key(ctx, key, m3::to::hash());
  co_await net.stop(ctx);
}

CO_TEST("rpc: another world is another service") {
  Net net(sim);
  net.add("dev.w2.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient here(caller.node);
  EchoClient there(caller.node, m3::world("w2"));
  const auto req = request("x");
  auto none = co_await as_result(here.echo(ctx, req));
  CHECK(none.code() == Errc::unavailable);
  const auto rsp = co_await there.echo(ctx, req);
  CHECK(rsp.answered_by() == "dev.w2.echo.1");
  co_await net.stop(ctx);
}

CO_TEST("rpc: more metadata than an answer may carry is refused where it is set") {
  struct Chatty final : EchoService {
    Task<ValueRsp> value(Ctx& c, const ValueReq&) override {
      ValueRsp rsp;
      for (int i = 0; i < 200; ++i) {
        const Status set = c.set_reply_meta("k" + std::to_string(i), "v");
        if (set.is_ok()) rsp.set_text(std::to_string(i + 1));
      }
      co_return rsp;
    }
  };
  Net net(sim);
  Chatty chatty;
  net.add("dev.w.echo.1", chatty);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  ValueReq req;
  const auto answered = co_await as_result(echo.value(ctx, req));
  CHECK(answered.status().to_string() == "ok");
  if (answered.is_ok()) CHECK(answered->text() == "128");
  CHECK(counted(caller.metrics, "m3_rpc_connections_broken_total") == 0);
  co_await net.stop(ctx);
}

CO_TEST("rpc: an error is delivered, however long it is and however small the caller's limits") {
  struct Wordy final : EchoService {
    Task<ValueRsp> value(Ctx&, const ValueReq&) override {
      co_return Status::moved(std::string(255, 'o'), std::string(5000, 't'));
    }
  };
  Net net(sim);
  Wordy wordy;
  net.add("dev.w.echo.1", wordy);
  m3::RpcConfig narrow;
  narrow.limits.max_metadata_bytes = 512;
  auto& caller = net.add("dev.w.test.1", false, narrow);
  EchoClient echo(caller.node);
  ValueReq req;
  const auto moved = co_await as_result(echo.value(ctx, req));
  CHECK(moved.code() == Errc::moved);
  CHECK(moved.status().owner() == std::string(255, 'o'));
  CHECK(moved.status().text().substr(0, 100) == std::string(100, 't'));
  CHECK(counted(caller.metrics, "m3_rpc_connections_broken_total") == 0);
  co_await net.stop(ctx);
}

CO_TEST("rpc: notify reaches one, broadcast reaches every instance") {
  Net net(sim);
  auto& one = net.add("dev.w.echo.1", true);
  auto& two = net.add("dev.w.echo.2", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  Notice notice;
  notice.set_text("to one");
  co_await echo.tell(ctx, notice, m3::to::single());
  notice.set_text("to all");
  co_await echo.tell(ctx, notice, m3::to::all());
  auto topic = co_await as_result(echo.tell(ctx, notice, m3::to::topic("t")));
  CHECK(topic.code() == Errc::failed_precondition);
  co_await m3::sleep(ctx, 5ms);
  CHECK(one.handler.notices == std::vector<std::string>{"to one", "to all"});
  CHECK(two.handler.notices == std::vector<std::string>{"to all"});
  co_await net.stop(ctx);
}

namespace {

/// A network in which the listed ports never answer a connect.
struct Holes final : m3::Transport {
  Holes(m3::Core& core, m3::LoopbackNet& net, std::vector<std::uint16_t> holes)
      : loopback(core, net), silent(std::move(holes)) {}
  Task<std::unique_ptr<m3::Stream>> connect(Ctx& c, m3::HostPort address) override {
    if (std::find(silent.begin(), silent.end(), address.port) != silent.end())
      co_await m3::sleep(c, 1h);
    co_return co_await loopback.connect(c, address);
  }
  m3::LoopbackTransport loopback;
  std::vector<std::uint16_t> silent;
};

}  // namespace

CO_TEST("rpc: a broadcast does not wait for one instance before it tells the next") {
  Net net(sim);
  for (int i = 1; i <= 5; ++i) net.add("dev.w.echo." + std::to_string(i), true);
  m3::MetricRegistry metrics;
  auto options = Net::App::options(net, "dev.w.test.1", {});
  options.transport = [&net](m3::Core& core) {
    return std::make_unique<Holes>(core, net.wire, std::vector<std::uint16_t>{1, 2, 3});
  };
  m3::RpcNode caller(sim.runtime(), std::move(options), net.resolver, metrics);
  EchoClient echo(caller);
  Notice notice;
  notice.set_text("now");
  m3::Scope scope(ctx.core());
  Status outcome;
  scope.spawn("broadcast", [&](Ctx& own) -> Task<> {
    auto tell = [&](Ctx& soon) { return echo.tell(soon, notice, m3::to::all()); };
    outcome = (co_await as_result(m3::within(own, 5s, tell))).status();
    co_return m3::ok;
  });
  co_await m3::sleep(ctx, 10ms);
  CHECK(net.apps[3]->handler.notices.size() == 1);
  CHECK(net.apps[4]->handler.notices.size() == 1);
  CHECK(scope.size() == 1);
  const auto began = ctx.core().now();
  co_await scope.drain(ctx);
  CHECK(ctx.core().now() - began < 2100ms);  // one connect_timeout, not three
  CHECK(outcome == Errc::unavailable);
  CHECK(
      outcome.text() ==
      "3 of 5 instances of dev.w.echo were not reached; the first: connect to sim:1 took too long");
  CHECK(outcome.maybe_executed());
  co_await caller.stop(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a broadcast that reached no instance was not executed") {
  Net net(sim);
  auto& one = net.add("dev.w.echo.1", true);
  net.wire.unlisten(one.address);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  Notice notice;
  const auto told = co_await as_result(echo.tell(ctx, notice, m3::to::all()));
  CHECK(told.code() == Errc::unavailable);
  CHECK(told.status().text().starts_with("1 of 1 instances of dev.w.echo were not reached"));
  CHECK_FALSE(told.status().maybe_executed());
  co_await net.stop(ctx);
}

CO_TEST("rpc: a call to the app itself goes straight to its handler") {
  Net net(sim);
  auto& app = net.add("dev.w.echo.1", true);
  EchoClient echo(app.node);
  const auto req = request("me");
  const auto rsp = co_await echo.echo(ctx, req);
  CHECK(rsp.text() == "me");
  CHECK(rsp.caller() == "dev.w.echo.1");
  CHECK(app.node.connections() == 0);
  ValueReq bad;
  bad.set_text("bad");
  const auto failed = co_await as_result(echo.value(ctx, bad));
  CHECK(failed.status().text() == "as asked");
  EchoReq slow;
  slow.set_wait_ms(20);
  slow.set_text("slow");
  const auto waited = co_await echo.echo(ctx, slow);
  CHECK(waited.text() == "slow");
  slow.set_wait_ms(10000);
  auto late =
      co_await as_result(m3::within(ctx, 30ms, [&](Ctx& soon) { return echo.echo(soon, slow); }));
  CHECK(late.code() == Errc::deadline_exceeded);
  co_await m3::sleep(ctx, 5ms);
  CHECK(app.node.running() == 0);
  co_await net.stop(ctx);
}

namespace {

/// Asks itself before it answers.
class Circle final : public OtherService {
 public:
  Task<Nothing> ech(Ctx& ctx, const AbsentReq& req) override {
    ++started;
    co_await OtherClient(*node).ech(ctx, req, to);
    co_return Nothing();
  }
  m3::RpcNode* node = nullptr;
  m3::Route to;
  int started = 0;
};

}  // namespace

CO_TEST("rpc: a cycle of calls inside a process ends with an error, not a stack overflow") {
  Net net(sim);
  Circle circle;
  auto& app = net.add("dev.w.other.1", false);
  circle.node = &app.node;
  net.serve(app, circle);
  AbsentReq req;
  auto result = co_await as_result(OtherClient(app.node).ech(ctx, req));
  CHECK(result.code() == Errc::failed_precondition);
  CHECK(m3::testing::contains(result.status().text(), "/rpc_test.Other/Ech is called by itself"));
  CHECK(circle.started == 64);
  co_await net.stop(ctx);
}

namespace {

/// Does something, then asks another service, whose error climbs out of it.
class Greedy final : public OtherService {
 public:
  Task<Nothing> ech(Ctx& ctx, const AbsentReq&) override {
    ++took;
    const auto req = request("x");
    if (says_so) {
      auto answer = co_await as_result(EchoClient(*node).echo(ctx, req));
      --took;
      co_return std::move(answer).status().not_executed();
    }
    (void)co_await EchoClient(*node).echo(ctx, req);
    co_return Nothing();
  }
  m3::RpcNode* node = nullptr;
  bool says_so = false;
  int took = 0;
};

}  // namespace

CO_TEST("rpc: a handler whose own call was not executed has run, unless it says otherwise") {
  for (const bool says_so : {false, true}) {
    Net net(sim);
    Greedy one, two;
    for (Greedy* greedy : {&one, &two}) {
      const std::string id = greedy == &one ? "dev.w.other.1" : "dev.w.other.2";
      auto& app = net.add(id, false);
      greedy->node = &app.node;
      greedy->says_so = says_so;
      net.serve(app, *greedy);
    }
    auto& caller = net.add("dev.w.test.1", false);
    AbsentReq req;
    auto result = co_await as_result(OtherClient(caller.node).ech(ctx, req));  // nobody serves Echo
    CHECK(result.code() == Errc::unavailable);
    CHECK(result.status().maybe_executed() == !says_so);
    CHECK(one.took + two.took == (says_so ? 0 : 1));  // it was not sent again
    CHECK((counted(caller.metrics, "m3_rpc_retries_total") > 0) == says_so);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: a cycle of calls between processes ends after fifteen") {
  Net net(sim);
  Circle circles[2];
  for (int i = 0; i < 2; ++i) {
    const std::string id = "dev.w.other." + std::to_string(i + 1);
    auto& app = net.add(id, false);
    circles[i].node = &app.node;
    circles[i].to = m3::to::app("dev.w.other." + std::to_string(2 - i));
    net.serve(app, circles[i]);
  }
  auto& caller = net.add("dev.w.test.1", false);
  AbsentReq req;
  auto result = co_await as_result(OtherClient(caller.node).ech(ctx, req, circles[1].to));
  CHECK(result.code() == Errc::failed_precondition);
  CHECK(m3::testing::contains(result.status().text(), "calls form a cycle"));
  CHECK(result.status().maybe_executed());
  CHECK(circles[0].started + circles[1].started == 15);
  co_await net.stop(ctx);
}

CO_TEST("rpc: m3::call finds method and app by the request's type") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  Ctx mine(ctx.core(), m3::Deadline::never(), static_cast<m3::Host*>(&caller.node));
  const auto req = request("generic");
  const auto rsp = co_await m3::call(mine, req);
  CHECK(rsp.text() == "generic");
  auto nowhere = co_await as_result(m3::call(ctx, req));
  CHECK(nowhere.code() == Errc::failed_precondition);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a method whose number the peer gives to another one is not sent") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  const auto service = *m3::ServiceId::parse("dev.w.echo");
  m3::MethodInfo clash = EchoService::kEcho;
  clash.full_name = "/other.Game/Play";
  const auto req = request("x");
  for (int i = 0; i < 2; ++i) {  // also after the real one was found there
    EchoRsp rsp;
    m3::CallOp call(caller.node.caller(), ctx, service, clash, req, &rsp, {});
    auto refused = co_await as_result(std::move(call));
    CHECK(refused.code() == Errc::internal);
    CHECK_FALSE(refused.status().maybe_executed());
    CHECK(refused.status().text() ==
          "/other.Game/Play and the peer's /rpc_test.Echo/Echo have the same number on the wire");
    CHECK(server.handler.started == i);
    EchoClient echo(caller.node);
    co_await echo.echo(ctx, req);
  }
  co_await net.stop(ctx);
}

CO_TEST("rpc: interceptors stand around calls and requests in order, and may refuse") {
  struct Note final : m3::Interceptor {
    Note(std::string n, std::vector<std::string>& o) : name(std::move(n)), out(o) {}
    Task<> on_call(Ctx& c, const m3::InterceptedCall& call, Next& next) override {
      out.push_back(name + " " + std::string(call.method.full_name));
      auto result = co_await as_result(next(c));
      out.push_back(name + (result.is_ok() ? " ok" : " failed") +
                    (call.response ? " with answer" : ""));
      co_return std::move(result).status();
    }
    std::string name;
    std::vector<std::string>& out;
  };
  struct Refuse final : m3::Interceptor {
    Task<> on_call(Ctx& c, const m3::InterceptedCall& call, Next& next) override {
      if (static_cast<const EchoReq&>(call.request).text() == "no")
        co_return Status(Errc::permission_denied, "not you").not_executed();
      co_await next(c);
      co_return m3::ok;
    }
  };
  Net net(sim);
  std::vector<std::string> notes;
  net.apps.push_back(std::make_unique<Net::App>(net, "dev.w.echo.1", m3::RpcConfig()));
  auto& server = *net.apps.back();
  server.address.host = "sim";
  server.address.port = 50;
  server.node.intercept_requests(std::make_shared<Note>("server", notes));
  server.node.intercept_requests(std::make_shared<Refuse>());
  net.serve(server, server.handler);
  auto& caller = net.add("dev.w.test.1", false);
  caller.node.intercept_calls(std::make_shared<Note>("outer", notes));
  caller.node.intercept_calls(std::make_shared<Note>("inner", notes));
  EchoClient echo(caller.node);
  const auto yes = request("yes");
  const auto rsp = co_await echo.echo(ctx, yes);
  CHECK(rsp.text() == "yes");
  CHECK(notes == std::vector<std::string>{"outer /rpc_test.Echo/Echo", "inner /rpc_test.Echo/Echo",
                                          "server /rpc_test.Echo/Echo", "server ok with answer",
                                          "inner ok with answer", "outer ok with answer"});
  notes.clear();
  const auto no = request("no");
  auto refused = co_await as_result(echo.echo(ctx, no));
  CHECK(refused.code() == Errc::permission_denied);
  CHECK_FALSE(refused.status().maybe_executed());
  CHECK(server.handler.started == 1);
  co_await net.stop(ctx);
}
