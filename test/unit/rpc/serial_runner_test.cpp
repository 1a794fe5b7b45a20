// SPDX-License-Identifier: BSL-1.0
// Services whose handlers run one at a time, and yield their turn while they call others.
#include "m3/rpc/serial_runner.h"

#include <algorithm>
#include <string>
#include <vector>

#include "echo_fixture.h"
#include "m3/async/scope.h"
#include "m3/async/serial_turn.h"
#include "m3/async/when.h"

using namespace rpc_test;
using m3::as_result;
using m3::Ctx;
using m3::Scope;
using m3::SerialLimits;
using m3::SerialRunner;
using m3::Status;
using m3::Task;

namespace {

/// Notes what its handlers do: "ann+" begins, "ann-" ends. The text says what happens in between:
/// "sleep…" waits for a timer, "call…" for another app, "keep…" likewise with its turn, "yield…"
/// for a timer without it, "free…" for a call and then a timer without it, "both…" for two calls at
/// once.
class Desk final : public EchoService {
 public:
  Task<> echo(Ctx& ctx, const EchoReq& req, EchoRsp& rsp) override {
    const std::string& what = req.text();
    notes.push_back(what + "+");
    at_once = std::max(at_once, ++inside);
    const Status status = (co_await as_result(work(ctx, what, req.wait_ms()))).status();
    --inside;
    notes.push_back(what + "-");
    rsp.set_text(what);
    co_return status;
  }

  EchoClient* other = nullptr;
  std::vector<std::string> notes;
  int inside = 0, at_once = 0;

 private:
  Task<> work(Ctx& ctx, std::string what, std::uint32_t ms) {
    const auto time = std::chrono::milliseconds(ms);
    if (what.starts_with("sleep")) co_await m3::sleep(ctx, time);
    if (what.starts_with("yield"))
      co_await m3::yield_turn(ctx, [&](Ctx& free) { return nap(free, time); });
    if (what.starts_with("free"))
      co_await m3::yield_turn(ctx, [&](Ctx& free) { return call_and_nap(free, ms); });
    if (what.starts_with("call")) co_await ask(ctx, ms);
    if (what.starts_with("keep")) co_await ask(m3::KeepTurn(ctx), ms);
    if (what.starts_with("both")) co_await m3::when_all(ctx.core(), ask(ctx, ms), ask(ctx, 2 * ms));
    co_return m3::ok;
  }
  static Task<> nap(Ctx& ctx, m3::Nanos time) {
    co_await m3::sleep(ctx, time);
    co_return m3::ok;
  }
  Task<> call_and_nap(Ctx& ctx, std::uint32_t ms) {
    co_await ask(ctx, ms);
    --inside;
    const auto napped = co_await as_result(m3::sleep(ctx, std::chrono::milliseconds(ms)));
    ++inside;
    co_return napped.status();
  }
  Task<> ask(Ctx& ctx, std::uint32_t ms) {
    // While the others are in, this one is not.
    --inside;
    EchoReq req;
    req.set_wait_ms(ms);
    EchoRsp rsp;
    const Status status = (co_await as_result(other->echo(ctx, req, rsp))).status();
    ++inside;
    at_once = std::max(at_once, inside);
    co_return status;
  }
};

/// An app that serves a Desk one call at a time, another one that it calls, and a caller.
struct Office {
  explicit Office(m3::testing::SimRuntime& sim, SerialLimits limits = {})
      : net(sim),
        runner(sim.core(), limits, "rpc_test.Echo", metrics),
        server(net.add("dev.w.echo.1", false)),
        far(net.add("dev.w.far.1", false)),
        caller(net.add("dev.w.caller.1", false)),
        client(caller.node),
        scope(sim.core()) {
    CHECK(server.node.serve(desk, &runner).is_ok());
    CHECK(net.resolver.add(server.id, server.address).is_ok());
    net.listen(server);
    far_service.emplace("far");
    CHECK(far.node.serve(*far_service).is_ok());
    net.listen(far);
    CHECK(net.resolver.add(far.id, far.address).is_ok());
    far_client.emplace(server.node, m3::func("far"));
    desk.other = &*far_client;
  }
  /// Begins a call, whose outcome goes into `outcomes`.
  void begin(const std::string& what, std::uint32_t ms = 0, m3::Nanos deadline = 10s) {
    scope.spawn("call", [this, what, ms, deadline](Ctx& own) -> Task<> {
      Ctx limited(own, m3::Deadline(own.core().read_clock() + deadline));
      EchoReq req = request(what);
      req.set_wait_ms(ms);
      EchoRsp rsp;
      const Status status = (co_await as_result(client.echo(limited, req, rsp))).status();
      outcomes.push_back(what + ": " + std::string(m3::errc_name(status.code())) +
                         (status.is_ok() || status.maybe_executed() ? "" : ", not executed"));
      co_return m3::ok;
    });
  }
  Task<> end(Ctx& ctx) {
    co_await scope.drain(ctx);
    co_await scope.close(ctx);
    co_await net.stop(ctx);
    co_return m3::ok;
  }

  m3::MetricRegistry metrics;
  Desk desk;
  Net net;
  SerialRunner runner;
  Net::App& server;
  Net::App& far;
  Net::App& caller;
  std::optional<EchoHandler> far_service;
  std::optional<EchoClient> far_client;
  EchoClient client;
  std::vector<std::string> outcomes;
  Scope scope;
};

using Notes = std::vector<std::string>;

}  // namespace

CO_TEST("serial: one handler at a time, in order of arrival") {
  Office office(sim);
  for (const char* what : {"sleep1", "sleep2", "sleep3"}) office.begin(what, 10);
  co_await office.end(ctx);
  CHECK(office.desk.notes ==
        Notes{"sleep1+", "sleep1-", "sleep2+", "sleep2-", "sleep3+", "sleep3-"});
  CHECK(office.desk.at_once == 1);
  CHECK(office.outcomes == Notes{"sleep1: ok", "sleep2: ok", "sleep3: ok"});
}

CO_TEST("serial: while one calls another app, the next one has its turn") {
  Office office(sim);
  office.begin("call1", 50);
  co_await m3::sleep(ctx, 5ms);
  office.begin("sleep2", 10);
  office.begin("sleep3", 100);
  co_await office.end(ctx);
  // The answer comes while the third one sleeps, and waits for its turn.
  CHECK(office.desk.notes == Notes{"call1+", "sleep2+", "sleep2-", "sleep3+", "sleep3-", "call1-"});
  CHECK(office.desk.at_once == 1);
}

CO_TEST("serial: a turn is kept where the handler says so, and yielded where it says so") {
  Office office(sim);
  office.begin("keep1", 50);
  co_await m3::sleep(ctx, 5ms);
  office.begin("sleep2", 1);
  co_await m3::sleep(ctx, 100ms);
  CHECK(office.desk.notes == Notes{"keep1+", "keep1-", "sleep2+", "sleep2-"});
  office.desk.notes.clear();
  office.begin("yield3", 50);
  co_await m3::sleep(ctx, 5ms);
  office.begin("sleep4", 1);
  co_await m3::sleep(ctx, 100ms);
  CHECK(office.desk.notes == Notes{"yield3+", "sleep4+", "sleep4-", "yield3-"});
  // A call inside does not take the turn back early.
  office.desk.notes.clear();
  office.begin("free5", 50);
  co_await m3::sleep(ctx, 70ms);
  office.begin("sleep6", 1);
  co_await office.end(ctx);
  CHECK(office.desk.notes == Notes{"free5+", "sleep6+", "sleep6-", "free5-"});
}

CO_TEST("serial: two calls at once yield the turn, and it comes back once") {
  Office office(sim);
  office.begin("both1", 20);
  co_await m3::sleep(ctx, 5ms);
  office.begin("sleep2", 30);  // holds it when both answers are there
  office.begin("both3", 20);
  co_await office.end(ctx);
  CHECK(office.desk.at_once == 1);
  CHECK(office.desk.notes == Notes{"both1+", "sleep2+", "sleep2-", "both3+", "both1-", "both3-"});
}

CO_TEST("serial: more than max_waiting are refused at once, and older than max_wait too") {
  Office office(sim, {.max_waiting = 2, .max_wait = 50ms});
  office.begin("sleep1", 80);
  co_await m3::sleep(ctx, 1ms);
  for (const char* what : {"sleep2", "sleep3", "sleep4"}) office.begin(what, 1);
  co_await m3::sleep(ctx, 10ms);
  CHECK(office.outcomes == Notes{"sleep4: resource_exhausted, not executed"});
  co_await m3::sleep(ctx, 200ms);
  CHECK(office.outcomes == Notes{"sleep4: resource_exhausted, not executed",
                                 "sleep2: resource_exhausted, not executed",
                                 "sleep3: resource_exhausted, not executed", "sleep1: ok"});
  CHECK(counted(office.metrics, "m3_rpc_serial_refused_total") == 3);
  office.begin("sleep5", 1);
  co_await office.end(ctx);
  CHECK(office.outcomes.back() == "sleep5: ok");
  CHECK(office.desk.notes == Notes{"sleep1+", "sleep1-", "sleep5+", "sleep5-"});
}

CO_TEST("serial: a call whose deadline passes while it waits does not run") {
  Office office(sim);
  office.begin("sleep1", 100);
  co_await m3::sleep(ctx, 1ms);
  office.begin("sleep2", 1, 20ms);
  office.begin("sleep3", 1);
  co_await office.end(ctx);
  CHECK(office.outcomes.front().starts_with("sleep2: deadline_exceeded"));
  CHECK(office.desk.notes == Notes{"sleep1+", "sleep1-", "sleep3+", "sleep3-"});
}

CO_TEST("serial: a caller that gives up while its handler calls on does not keep the turn") {
  Office office(sim);
  office.begin("call1", 500, 50ms);
  co_await m3::sleep(ctx, 5ms);
  office.begin("sleep2", 10);
  co_await office.end(ctx);
  CHECK(office.outcomes == Notes{"sleep2: ok", "call1: deadline_exceeded"});
  CHECK(office.desk.inside == 0);
  CHECK(office.desk.at_once == 1);
}
