// SPDX-License-Identifier: BSL-1.0
#include <sys/wait.h>
#include <unistd.h>

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

CO_TEST("rpc: a deadline ends the call here and the handler there") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  EchoReq req;
  req.set_wait_ms(10000);
  auto result =
      co_await as_result(m3::within(ctx, 100ms, [&](Ctx& soon) { return echo.echo(soon, req); }));
  CHECK(result.code() == Errc::deadline_exceeded);
  CHECK(result.status().maybe_executed());
  co_await m3::sleep(ctx, 10ms);
  CHECK(server.handler.last_reason != m3::CancelReason::none);
  CHECK(server.node.running() == 0);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a method's own timeout applies without any other deadline") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto began = ctx.core().now();
  ValueReq req;
  auto result = co_await as_result(echo.quick(ctx, req));
  CHECK(result.code() == Errc::deadline_exceeded);
  CHECK(ctx.core().now() - began < 60ms);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a method's own timeout begins with the call, not with the turn") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  ValueReq req;
  sim.clock().advance(80ms);  // work in this turn, longer than the method's 50 ms
  const auto began = ctx.core().read_clock();
  auto result = co_await as_result(echo.quick(ctx, req));
  CHECK(result.code() == Errc::deadline_exceeded);
  CHECK(ctx.core().read_clock() - began >= 50ms);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a cancelled caller cancels its handler") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  EchoReq req;
  req.set_wait_ms(3000);
  Ctx work(ctx, m3::Deadline::never());
  m3::Scope scope(ctx.core());
  bool ended = false;
  scope.spawn("call", [&](Ctx&) -> Task<> {
    auto result = co_await as_result(echo.echo(work, req));
    ended = result.code() == Errc::cancelled;
    co_return m3::ok;
  });
  co_await m3::sleep(ctx, 50ms);
  work.cancel(m3::CancelReason::superseded);
  co_await m3::sleep(ctx, 50ms);
  CHECK(ended);
  CHECK(server.handler.last_reason == m3::CancelReason::caller_gone);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: when an instance dies its calls fail at once, and new ones use another instance") {
  Net net(sim);
  auto& one = net.add("dev.w.echo.1", true);
  net.add("dev.w.echo.2", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  EchoReq slow;
  slow.set_wait_ms(60000);
  m3::Scope scope(ctx.core());
  Status seen;
  scope.spawn("call", [&](Ctx& c) -> Task<> {
    auto result = co_await as_result(echo.echo(c, slow, m3::to::app("dev.w.echo.1")));
    seen = std::move(result).status();
    co_return m3::ok;
  });
  co_await m3::sleep(ctx, 20ms);
  net.wire.unlisten(one.address);
  co_await one.node.stop(ctx);
  co_await m3::sleep(ctx, 20ms);
  CHECK(seen == Errc::unavailable);
  const auto req = request("x");
  for (int i = 0; i < 20; ++i) {
    const auto rsp = co_await echo.echo(ctx, req);
    CHECK(rsp.answered_by() == "dev.w.echo.2");
  }
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a frozen peer is found by pings within three seconds") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto warm = request("x");
  co_await echo.echo(ctx, warm);
  net.wire.freeze(true);
  const auto began = ctx.core().now();
  auto result =
      co_await as_result(m3::within(ctx, 60s, [&](Ctx& soon) { return echo.echo(soon, warm); }));
  CHECK(result.code() == Errc::unavailable);
  CHECK(result.status().maybe_executed());
  CHECK(ctx.core().now() - began <= 3s);
  net.wire.freeze(false);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a dead link is found within three seconds even without further calls") {
  Net net(sim);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto req = request("x");
  co_await echo.echo(ctx, req);
  co_await m3::sleep(ctx, 1min);  // idle by now
  net.wire.freeze(true);
  auto result =
      co_await as_result(m3::within(ctx, 500ms, [&](Ctx& soon) { return echo.echo(soon, req); }));
  CHECK(result.code() == Errc::deadline_exceeded);
  co_await m3::sleep(ctx, 2500ms);
  CHECK(counted(caller.metrics, "m3_rpc_connections_broken_total", "dead_link") == 1);
  net.wire.freeze(false);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a link that dies under a long call is found dead within three seconds, whenever") {
  for (const auto dies_after : {10000ms, 10200ms, 10500ms, 10800ms, 11100ms, 11400ms}) {
    Net net(sim);
    net.add("dev.w.echo.1", true);
    auto& caller = net.add("dev.w.test.1", false);
    EchoClient echo(caller.node);
    EchoReq slow;
    slow.set_wait_ms(60000);
    m3::Status answer;
    const m3::TimePoint began = ctx.core().now();
    m3::TimePoint ended = began;
    m3::Scope calls(ctx.core());
    calls.spawn("call", [&](Ctx& own) -> m3::Task<> {
      Ctx patient(own, m3::Deadline(own.core().now() + 90s));
      answer = (co_await as_result(echo.echo(patient, slow))).status();
      ended = own.core().now();
      co_return m3::ok;
    });
    co_await m3::sleep(ctx, dies_after);
    CHECK(ended == began);
    net.wire.freeze(true);
    co_await m3::sleep(ctx, 3s);
    CHECK(ended > began);
    CHECK(answer == Errc::unavailable);
    CHECK(counted(caller.metrics, "m3_rpc_connections_broken_total", "dead_link") == 1);
    net.wire.freeze(false);
    co_await calls.close(ctx);
    co_await net.stop(ctx);
  }
}

CO_TEST("rpc: a link that carries notifies only is found dead within three seconds") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  Notice notice;
  notice.set_text("x");
  co_await echo.tell(ctx, notice);
  co_await m3::sleep(ctx, 1min);
  CHECK(server.handler.notices.size() == 1);
  net.wire.freeze(true);
  co_await echo.tell(ctx, notice);
  co_await m3::sleep(ctx, 3s);
  CHECK(counted(caller.metrics, "m3_rpc_connections_broken_total", "dead_link") == 1);
  net.wire.freeze(false);
  co_await net.stop(ctx);
}

CO_TEST("rpc: an instance that comes back after a long time gets calls within two seconds") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto req = request("x");
  net.wire.unlisten(server.address);
  for (int i = 0; i < 600; ++i) {
    auto result = co_await as_result(echo.echo(ctx, req));
    CO_REQUIRE(result.code() == Errc::unavailable);
    co_await m3::sleep(ctx, 100ms);
  }
  net.listen(server);
  const auto back = ctx.core().now();
  for (bool answered = false; !answered;) {
    answered = (co_await as_result(echo.echo(ctx, req))).is_ok();
    CO_REQUIRE(ctx.core().now() - back <= 2100ms);
    co_await m3::sleep(ctx, 50ms);
  }
  co_await net.stop(ctx);
}

CO_TEST("rpc: a request that lay in a frozen socket is late, and its handler does not start") {
  Net net(sim);
  m3::RpcConfig patient;
  patient.ping_timeout = 1h;
  auto& server = net.add("dev.w.echo.1", true, patient);
  auto& caller = net.add("dev.w.test.1", false, patient);
  EchoClient echo(caller.node);
  const auto req = request("x");
  co_await echo.echo(ctx, req);
  CHECK(server.handler.started == 1);
  net.wire.freeze(true);
  auto result =
      co_await as_result(m3::within(ctx, 500ms, [&](Ctx& soon) { return echo.echo(soon, req); }));
  CHECK(result.code() == Errc::deadline_exceeded);
  co_await m3::sleep(ctx, 5s);
  net.wire.freeze(false);
  co_await m3::sleep(ctx, 1s);
  CHECK(server.handler.started == 1);
  co_await net.stop(ctx);
}

CO_TEST("rpc: draining refuses new calls as not executed and lets running ones end") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  EchoReq slow;
  slow.set_wait_ms(100);
  slow.set_text("slow");
  m3::Scope scope(ctx.core());
  std::string answer;
  scope.spawn("call", [&](Ctx& c) -> Task<> {
    const auto rsp = co_await echo.echo(c, slow);
    answer = rsp.text();
    co_return m3::ok;
  });
  co_await m3::sleep(ctx, 20ms);
  co_await server.node.drain(ctx);
  co_await m3::sleep(ctx, 5ms);
  CHECK(answer == "slow");
  const auto req = request("x");
  auto refused = co_await as_result(echo.echo(ctx, req));
  CHECK(refused.code() == Errc::unavailable);
  CHECK_FALSE(refused.status().maybe_executed());
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a wrong token is refused with the reason") {
  Net net(sim);
  m3::RpcConfig guarded;
  guarded.token = "secret";
  m3::RpcConfig wrong;
  wrong.token = "guess";
  net.add("dev.w.echo.1", true, guarded);
  auto& caller = net.add("dev.w.test.1", false, wrong);
  EchoClient echo(caller.node);
  const auto req = request("x");
  auto result = co_await as_result(echo.echo(ctx, req));
  CHECK(result.code() == Errc::unauthenticated);
  CHECK_FALSE(result.status().maybe_executed());
  CHECK(counted(caller.metrics, "m3_rpc_connections_broken_total", "handshake") == 1);
  CHECK(counted(caller.metrics, "m3_rpc_outcomes_total", "unauthenticated") == 1);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a handshake that takes longer than two seconds ends the connection, and is counted") {
  struct Silent final : m3::StreamHandler {
    Taken on_bytes(std::string_view bytes) override { return {bytes.size(), 0}; }
    void on_writable() override {}
    void on_closed(Status) override { closed = true; }
    bool closed = false;
  };
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  Silent silent;
  auto stream = net.wire.connect(sim.core(), server.address);
  CHECK(stream.is_ok());
  (*stream)->start(silent);
  co_await m3::sleep(ctx, 1900ms);
  CHECK_FALSE(silent.closed);
  co_await m3::sleep(ctx, 200ms);
  CHECK(silent.closed);
  CHECK(counted(server.metrics, "m3_rpc_connections_broken_total", "handshake") == 1);
  co_await net.stop(ctx);
}

CO_TEST("rpc: limits are kept on both sides: requests, answers, calls in flight") {
  Net net(sim);
  m3::RpcConfig small;
  small.limits.max_frame_bytes = 8192;
  small.limits.max_calls = 4;
  net.add("dev.w.echo.1", true, small);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto large = request(std::string(10000, 'x'));
  const auto warm = request("x");
  co_await echo.echo(ctx, warm);
  auto refused = co_await as_result(echo.echo(ctx, large));
  CHECK(refused.code() == Errc::invalid_argument);
  CHECK_FALSE(refused.status().maybe_executed());
  EchoReq grows;
  grows.set_answer_bytes(10000);
  auto too_much = co_await as_result(echo.echo(ctx, grows));
  CHECK(too_much.code() == Errc::resource_exhausted);
  EchoReq slow;
  slow.set_wait_ms(100);
  std::vector<Task<Errc>> many;
  auto one = [](EchoClient& client, Ctx& c, const EchoReq& r) -> Task<Errc> {
    auto result = co_await as_result(client.echo(c, r));
    co_return result.code();
  };
  many.reserve(6);
  for (int i = 0; i < 6; ++i) many.push_back(one(echo, ctx, slow));
  const auto codes = co_await m3::when_all(ctx.core(), std::move(many));
  std::map<Errc, int> count;
  for (Errc code : codes) ++count[code];
  CHECK(count[Errc::ok] == 4);
  CHECK(count[Errc::resource_exhausted] == 2);
  co_await net.stop(ctx);
}

CO_TEST("rpc: an answer to a reader that does not keep up waits in bounded memory") {
  Net net(sim);
  m3::LoopbackNet::Options narrow;
  narrow.window = 4096;
  narrow.latency = 1ms;
  net.wire.set_options(narrow);
  m3::RpcConfig config;
  config.out.buffer = 16384;
  config.out.response = 65536;
  auto& server = net.add("dev.w.echo.1", true, config);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  EchoReq grows;
  grows.set_answer_bytes(20000);
  std::vector<Task<EchoRsp>> many;
  many.reserve(100);
  for (int i = 0; i < 100; ++i) many.push_back(echo.echo(ctx, grows));
  auto all = m3::when_all(ctx.core(), std::move(many));
  m3::Scope scope(ctx.core());
  std::size_t done = 0;
  scope.spawn("gather", [&](Ctx&) -> Task<> {
    const auto answers = co_await std::move(all);
    done = answers.size();
    co_return m3::ok;
  });
  co_await m3::sleep(ctx, 20ms);
  CHECK(server.handler.started < 40);  // it stopped reading requests: 100 answers would be 2 MB
  co_await scope.drain(ctx);
  CHECK(done == 100);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a connection on which bytes move is alive, however long its pong has to wait") {
  Net net(sim);
  m3::LoopbackNet::Options slow;  // 1 MB/s
  slow.window = 20000;
  slow.latency = 20ms;
  net.wire.set_options(slow);
  net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  Ctx patient(ctx, m3::Deadline(ctx.core().now() + 20s));
  EchoReq grows;
  grows.set_answer_bytes(3500000);
  CHECK((co_await echo.echo(patient, grows)).text().size() == 3500000);
  const auto large = request(std::string(3500000, 'x'));
  auto sent = co_await as_result(echo.echo(patient, large));
  CHECK(sent.status().to_string() == "ok");
  CHECK(counted(caller.metrics, "m3_rpc_connections_broken_total", "dead_link") == 0);
  // One that falls silent in the middle of an answer is found all the same.
  const auto began = ctx.core().now();
  m3::Scope scope(ctx.core());
  auto freeze = [](Ctx& own, Net& frozen) -> Task<> {
    co_await m3::sleep(own, 1s);
    frozen.wire.freeze(true);
    co_return m3::ok;
  };
  scope.spawn("freeze", [&](Ctx& c) { return freeze(c, net); });
  auto lost = co_await as_result(echo.echo(patient, grows));
  CHECK(lost.code() == Errc::unavailable);
  CHECK(ctx.core().now() - began < 4s);
  CHECK(counted(caller.metrics, "m3_rpc_connections_broken_total", "dead_link") == 1);
  net.wire.freeze(false);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a call that may have run is not called unexecuted because its retry was refused") {
  Net net(sim);
  auto& server = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  AgainReq req;
  req.set_wait_ms(4000);
  Status seen;
  m3::Scope scope(ctx.core());
  scope.spawn("call", [&](Ctx& c) -> Task<> {
    auto result = co_await as_result(echo.again(c, req));
    seen = std::move(result).status();
    co_return m3::ok;
  });
  co_await m3::sleep(ctx, 20ms);
  CHECK(server.handler.started == 1);
  net.wire.unlisten(server.address);
  net.wire.cut_all();
  co_await m3::sleep(ctx, 100ms);
  CHECK(seen == Errc::unavailable);
  CHECK(seen.maybe_executed());
  CHECK(counted(caller.metrics, "m3_rpc_retries_total") >= 1);
  co_await scope.close(ctx);
  co_await net.stop(ctx);
}

CO_TEST("rpc: a call is tried on as many instances as max_attempts says") {
  Net net(sim);
  for (int i = 1; i <= 6; ++i)
    net.add("dev.w.echo." + std::to_string(i), true).handler.refuses =
        Status(Errc::unavailable, "go away").not_executed();
  m3::RpcConfig config;
  config.max_attempts = 4;
  auto& caller = net.add("dev.w.test.1", false, config);
  EchoClient echo(caller.node);
  const auto req = request("x");
  auto result = co_await as_result(echo.echo(ctx, req));
  CHECK(result.code() == Errc::unavailable);
  CHECK_FALSE(result.status().maybe_executed());
  CHECK(counted(caller.metrics, "m3_rpc_retries_total") == 3);
  co_await net.stop(ctx);
}

CO_TEST("rpc: without a connection there is no attempt: eight such instances count none") {
  Net net(sim);
  for (int i = 1; i <= 20; ++i) {
    m3::HostPort nobody;
    nobody.host = "nobody";
    nobody.port = static_cast<std::uint16_t>(i);
    CHECK(net.resolver.add(app_id("dev.w.echo." + std::to_string(i)), nobody).is_ok());
  }
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient echo(caller.node);
  const auto req = request("x");
  auto result = co_await as_result(echo.echo(ctx, req));
  CHECK(result.code() == Errc::unavailable);
  CHECK_FALSE(result.status().maybe_executed());
  CHECK(counted(caller.metrics, "m3_rpc_retries_total") == 8 + 2);  // and three attempts
  co_await net.stop(ctx);
}

CO_TEST("rpc: every call's outcome is counted once, however it ended") {
  Net net(sim);
  auto& app = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient remote(caller.node);
  EchoClient local(app.node);
  EchoReq req;
  co_await remote.echo(ctx, req);
  co_await local.echo(ctx, req);  // at once, in the same process
  req.set_wait_ms(10);
  co_await local.echo(ctx, req);  // later, in the same process
  auto nobody = co_await as_result(remote.echo(ctx, req, m3::to::app("dev.w.echo.9")));
  CHECK(nobody.code() == Errc::unavailable);
  auto late =
      co_await as_result(m3::within(ctx, 5ms, [&](Ctx& soon) { return remote.echo(soon, req); }));
  CHECK(late.code() == Errc::deadline_exceeded);
  CHECK(counted(caller.metrics, "m3_rpc_outcomes_total", "ok") == 1);
  CHECK(counted(caller.metrics, "m3_rpc_outcomes_total", "unavailable") == 1);
  CHECK(counted(caller.metrics, "m3_rpc_outcomes_total", "deadline_exceeded") == 1);
  CHECK(counted(app.metrics, "m3_rpc_outcomes_total", "ok") == 2);
  co_await net.stop(ctx);
}

CO_TEST("rpc: how long calls took is counted for each of them, at once or later") {
  Net net(sim);
  auto& app = net.add("dev.w.echo.1", true);
  auto& caller = net.add("dev.w.test.1", false);
  EchoClient remote(caller.node);
  EchoClient local(app.node);
  struct Calls {
    static Task<> one(Ctx& ctx, EchoClient& client, unsigned wait_ms) {
      EchoReq req;
      req.set_wait_ms(wait_ms);
      co_await client.echo(ctx, req);
      co_return m3::ok;
    }
  };
  std::vector<Task<>> calls;
  for (const unsigned wait_ms : {0u, 0u, 0u, 20u, 20u, 2000u})
    calls.push_back(Calls::one(ctx, remote, wait_ms));
  calls.push_back(Calls::one(ctx, local, 0));
  calls.push_back(Calls::one(ctx, local, 20));
  co_await m3::when_all(ctx.core(), std::move(calls));
  co_await m3::sleep(ctx, 1ms);
  const auto up_to = [&](double seconds) {
    for (const m3::MetricFamily& family : app.metrics.collect())
      for (const m3::MetricSeries& series : family.series)
        for (const auto& [bound, count] : series.buckets)
          if (family.name == "m3_rpc_handler_seconds" && bound >= seconds) return count;
    return std::uint64_t{0};
  };
  CHECK(up_to(0) == 4);
  CHECK(up_to(0.01) == 4);
  CHECK(up_to(0.025) == 7);
  CHECK(up_to(1) == 7);
  CHECK(up_to(2.5) == 8);
  CHECK(counted(app.metrics, "m3_rpc_requests_total") == 8);
  co_await net.stop(ctx);
}

namespace {

/// Calls with an app's client on a core of another runtime.
void call_abroad() {
  m3::RuntimeConfig one;
  one.cores = 1;
  m3::Runtime home(one), abroad(one);
  m3::MetricRegistry metrics;
  m3::StaticResolver resolver;
  m3::RpcNode::Options options;
  options.id = *m3::AppId::parse("dev.w.test.1");
  m3::RpcNode node(home, std::move(options), resolver, metrics);
  EchoClient echo(node);
  abroad.start();
  const auto req = request("x");
  (void)abroad.block_on(abroad.core(0), [&](Ctx& ctx) { return echo.echo(ctx, req); }).is_ok();
}

}  // namespace

TEST_CASE("rpc: a client that is used on a core of another runtime ends the process") {
#if defined(__SANITIZE_THREAD__) || (defined(__has_feature) && __has_feature(thread_sanitizer))
  M3_SKIP("ThreadSanitizer allows no thread in the child of a process with threads");
#endif
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    call_abroad();
    ::_exit(0);
  }
  int how = 0;
  REQUIRE(::waitpid(child, &how, 0) == child);
  CHECK(WIFEXITED(how));
  CHECK(WEXITSTATUS(how) == 1);
}
