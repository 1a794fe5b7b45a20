// SPDX-License-Identifier: BSL-1.0
// An app with its admin port, over real sockets.
#include <atomic>
#include <regex>
#include <sstream>
#include <thread>

#include "app_fixture.h"
#include "m3/admin.m3.h"
#include "m3/plugin/router.h"
#include "m3/testing/eventually.h"
#include "m3/testing/http_client.h"

using namespace app_test;
using namespace std::chrono_literals;
using m3::App;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::Task;
using m3::testing::eventually;
using m3::testing::http_get;
using m3::testing::HttpReply;

namespace {

App::Embedding config(const std::string& more) {
  App::Embedding out;
  out.config = "id = \"dev.w.talk.1\"\ncores = 2\ndrain_wait = \"0s\"\n" + more;
  return out;
}

const std::string kAdmin = "[admin]\nlisten = \"127.0.0.1:0\"\n";

/// A hook that waits at a gate.
struct Gate {
  std::atomic<bool> reached{false};
  std::atomic<bool> open{false};
  App::Hook hook() {
    return [this](Ctx& ctx) { return pass(ctx); };
  }
  Task<> pass(Ctx& ctx) {
    reached = true;
    while (!open) co_await m3::sleep(ctx, 1ms);
    co_return m3::ok;
  }
};

HttpReply ready(const App& app) { return http_get(app.admin_address().port, "/health/ready"); }

}  // namespace

TEST_CASE("admin: the app says whether it is ready, from its start to its end") {
  Gate starting, stopping;
  std::atomic<bool> healthy{true};
  App talk("talk");
  talk.serve<CounterOf>(1u)
      .on_start(starting.hook())
      .on_stop(stopping.hook())
      .health([&](Ctx&) -> Task<> {
        if (healthy) co_return m3::ok;
        co_return Status(Errc::unavailable, "the cache is cold");
      });
  Status started(Errc::unknown, "did not return");
  std::thread starter([&] { started = talk.start(config("listen = \"127.0.0.1:0\"\n" + kAdmin)); });
  REQUIRE(eventually([&] { return starting.reached.load(); }));
  HttpReply reply = ready(talk);
  CHECK(reply.status == 503);
  CHECK(reply.body == "starting\n");
  CHECK(http_get(talk.admin_address().port, "/health/live").status == 200);
  starting.open = true;
  starter.join();
  INFO(started.to_string());
  REQUIRE(started.is_ok());

  CHECK(ready(talk).status == 200);
  healthy = false;
  reply = ready(talk);
  CHECK(reply.status == 503);
  CHECK(reply.body == "the cache is cold\n");
  healthy = true;
  CHECK(ready(talk).status == 200);

  std::thread stopper([&] { (void)talk.stop(); });
  REQUIRE(eventually([&] { return stopping.reached.load(); }));
  reply = ready(talk);
  CHECK(reply.status == 503);
  CHECK(reply.body == "stopping\n");
  CHECK(http_get(talk.admin_address().port, "/health/live").status == 200);
  stopping.open = true;
  stopper.join();
  CHECK(ready(talk).status == 0);
}

TEST_CASE("admin: a hanging hook is answered with 503 in time, and runs once for all requests") {
  std::atomic<int> asked{0};
  std::atomic<bool> hangs{false};
  App talk("talk");
  talk.health([&](Ctx& ctx) -> Task<> {
    ++asked;
    if (hangs) co_await m3::sleep(ctx, 1h);
    co_return m3::ok;
  });
  REQUIRE(talk.start(config(kAdmin + "health_timeout = \"500ms\"\n")).is_ok());
  hangs = true;
  asked = 0;
  std::vector<HttpReply> replies(3);
  std::vector<std::thread> askers;
  for (HttpReply& reply : replies) askers.emplace_back([&] { reply = ready(talk); });
  for (std::thread& asker : askers) asker.join();
  for (const HttpReply& reply : replies) {
    CHECK(reply.status == 503);
    CHECK(reply.body == "health() has not answered within 500ms\n");
  }
  CHECK(asked < 3);
  CHECK(talk.stop().is_ok());
}

TEST_CASE("admin: it requires its token, and Prometheus can parse the metrics") {
  App talk("talk");
  talk.serve<CounterOf>(1u).page("/mine", [](Ctx&, m3::HttpRequest) -> Task<m3::HttpResponse> {
    co_return m3::HttpResponse(200, "mine");
  });
  REQUIRE(
      talk.start(config("listen = \"127.0.0.1:0\"\n" + kAdmin + "token = \"secret\"\n")).is_ok());
  const std::uint16_t port = talk.admin_address().port;
  for (const char* path : {"/", "/metrics", "/mine", "/none"}) {
    CHECK(http_get(port, path).status == 401);
    CHECK(http_get(port, path, "wrong").status == 401);
  }
  CHECK(http_get(port, "/health/ready").status == 200);
  CHECK(http_get(port, "/mine", "secret").body == "mine");
  CHECK(http_get(port, "/none", "secret").status == 404);
  CHECK(http_get(port, "/metrics", "secret", "DELETE").status == 405);
  const HttpReply head = http_get(port, "/", "secret", "HEAD");
  CHECK(head.status == 200);
  CHECK(head.body.empty());
  CHECK(contains(http_get(port, "/", "secret").body, "dev.w.talk.1"));

  const HttpReply metrics = http_get(port, "/metrics", "secret");
  CHECK(metrics.status == 200);
  CHECK(contains(metrics.head, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  CHECK(metrics.body.ends_with('\n'));
  const std::regex comment("# (HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]* .+");
  const std::regex sample(
      R"re([a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="([^"\\]|\\.)*",?)*\})? ([-+0-9.e]+|NaN|[-+]Inf))re");
  std::istringstream lines(metrics.body);
  int samples = 0;
  for (std::string line; std::getline(lines, line); ++samples) {
    INFO(line);
    CHECK(std::regex_match(line, line.starts_with('#') ? comment : sample));
  }
  CHECK(samples > 20);
  CHECK(contains(metrics.body, "m3_rpc_requests_total{app=\"dev.w.talk.1\","));
  CHECK(contains(metrics.body, "m3_rpc_handler_seconds_bucket{app=\"dev.w.talk.1\",le=\""));
  CHECK(contains(metrics.body, "m3_net_http_answers_total{app=\"dev.w.talk.1\",server=\"admin\","));
  CHECK(talk.stop().is_ok());
}

TEST_CASE("admin: two apps in one process have a port each") {
  App talk("talk"), other("talk");
  REQUIRE(talk.start(config(kAdmin)).is_ok());
  App::Embedding second = config(kAdmin);
  second.id = *m3::AppId::parse("dev.w.talk.2");
  REQUIRE(other.start(second).is_ok());
  CHECK(talk.admin_address().port != other.admin_address().port);
  CHECK(contains(http_get(talk.admin_address().port, "/").body, "dev.w.talk.1"));
  CHECK(contains(http_get(other.admin_address().port, "/").body, "dev.w.talk.2"));
  CHECK(other.stop().is_ok());
  CHECK(ready(talk).status == 200);
  CHECK(talk.stop().is_ok());
}

TEST_CASE("admin: errors are reported before the start") {
  const auto refused = [](const std::string& text) {
    App talk("talk");
    talk.serve<CounterOf>(1u);
    const Status status = talk.start(config(text));
    CHECK_FALSE(status.is_ok());
    return status.text();
  };
  CHECK(contains(refused("[admin]\nlisten = \"0.0.0.0:0\"\n"), "write token = "));
  CHECK(contains(refused("[admin]\nlisten = \"10.0.0.1:9100\"\n"), "or listen on 127.0.0.1"));
  CHECK(contains(refused("[admin]\nlisten = \"127.example.com:0\"\n"), "is not an IP address"));
  CHECK(contains(refused("[admin]\nlisten = \"*:0\"\n"), "write 0.0.0.0 or [::]"));
  CHECK(contains(refused("[admin]\nlisten = \"9100\"\n"), "the port is missing"));
  CHECK(contains(refused(kAdmin + "token = \"two words\"\n"), "token: "));
  App first("talk");
  REQUIRE(first.start(config(kAdmin)).is_ok());
  const std::string taken = first.admin_address().to_string();
  const std::string text = refused("[admin]\nlisten = \"" + taken + "\"\n");
  CHECK(contains(text, "start 10 admin: admin.listen = \"" + taken + "\""));
  CHECK(first.stop().is_ok());
  App twice("talk");
  twice.page("/metrics", {});
  CHECK(contains(twice.start(config("")).text(), "\"/metrics\" already exists"));
}

TEST_CASE("admin: with a token any address is allowed, without one only the local one") {
  for (const char* text : {"listen = \"0.0.0.0:0\"\ntoken = \"t\"\n", "listen = \"localhost:0\"\n",
                           "listen = \"127.0.0.2:0\"\n"}) {
    App talk("talk");
    INFO(text);
    const Status started = talk.start(config(std::string("[admin]\n") + text));
    INFO(started.to_string());
    CHECK(started.is_ok());
    CHECK(talk.admin_address().port != 0);
    CHECK(talk.stop().is_ok());
  }
}

TEST_CASE("admin: an app that an operator drains is not ready until it is called back") {
  auto shared = std::make_shared<m3::SharedParts>();
  App talk("talk"), tool("tool");
  talk.serve<CounterOf>(1u);
  App::Embedding first = config("listen = \"127.0.0.1:0\"\n" + kAdmin);
  App::Embedding second = config("");
  second.id = *m3::AppId::parse("dev.w.tool.1");
  first.shared = second.shared = shared;
  REQUIRE(talk.start(first).is_ok());
  REQUIRE(tool.start(second).is_ok());
  const auto say = [&](m3::admin::MemberState state) {
    auto call = [&](Ctx&) -> Task<> {
      Ctx ctx(tool.runtime().core(0), m3::Deadline::never(), &tool);
      m3::admin::SetStateReq req;
      req.set_state(state);
      m3::admin::SetStateRsp rsp;
      const m3::AppId& whom = talk.app_id();
      co_await m3::CallOp(tool.caller(), ctx, whom.service_id(),
                          m3::admin::ControlService::kSetState, req, &rsp, m3::to::app(whom));
      co_return m3::ok;
    };
    return tool.runtime().block_on(tool.runtime().core(0), call).status();
  };
  const std::uint16_t port = talk.admin_address().port;
  const auto listed = [&]() -> std::uint16_t {
    auto look = [&](Ctx& ctx) -> Task<std::vector<m3::Member>> {
      return tool.find<m3::Router>()->members(ctx, talk.app_id().service_id());
    };
    auto members = tool.runtime().block_on(tool.runtime().core(0), look);
    return members.is_ok() && members->size() == 1 ? members->front().admin_port : 0;
  };
  CHECK(listed() == port);
  CHECK(ready(talk).status == 200);
  Status said = say(m3::admin::MEMBER_STATE_CORDONED);
  INFO(said.to_string());
  CHECK(said.is_ok());
  CHECK(ready(talk).status == 200);
  CHECK(contains(http_get(port, "/").body, "cordoned"));
  CHECK(say(m3::admin::MEMBER_STATE_DRAINING).is_ok());
  CHECK(ready(talk).status == 503);
  CHECK(ready(talk).body == "draining\n");
  CHECK(say(m3::admin::MEMBER_STATE_SERVING).is_ok());
  CHECK(ready(talk).status == 200);
  CHECK(tool.stop().is_ok());
  CHECK(talk.stop().is_ok());
}

TEST_CASE("admin: a port that only this machine can reach is not announced") {
  m3::AppConfig config;
  config.admin.listen = "127.0.0.1:9101";
  CHECK(config.admin_is_beside({"127.0.0.1", 22105}));
  CHECK(config.admin_is_beside({"::1", 22105}));
  CHECK_FALSE(config.admin_is_beside({"10.0.0.7", 22105}));
  config.admin.listen = "0.0.0.0:9101";
  CHECK(config.admin_is_beside({"10.0.0.7", 22105}));
  config.admin.listen = "10.0.0.7:9101";
  CHECK(config.admin_is_beside({"10.0.0.7", 22105}));
}
