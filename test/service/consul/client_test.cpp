// SPDX-License-Identifier: BSL-1.0
// The client, with agents that answer as no good one would.
#include "consul_fixture.h"
#include "fake_agent.h"

using namespace consul_test;
using m3::ConsulRequest;

namespace {

m3::ConsulOptions quick() {
  m3::ConsulOptions out;
  out.connect_timeout = 5s;
  out.request_timeout = 5s;
  return out;
}

ConsulRequest waiting(std::uint64_t index) {
  ConsulRequest out("GET", "/v1/health/service/x?passing=1");
  out.index = index;
  out.wait = 2s;
  return out;
}

}  // namespace

TEST_CASE("consul client: requests follow each other on one connection, with the token") {
  FakeAgent agent([](const std::string& request) { return FakeAgent::answer(200, request); });
  Api api(agent.address(), "t0ken", quick());
  const std::string first = api.get("/v1/a?b=c");
  CHECK(first.starts_with("GET /v1/a?b=c HTTP/1.1\r\n"));
  CHECK(first.find("X-Consul-Token: t0ken\r\n") != std::string::npos);
  CHECK(first.find("Host: " + agent.address().to_string() + "\r\n") != std::string::npos);
  auto put = api.send({"PUT", "/v1/kv/x", "body"});
  REQUIRE(put.is_ok());
  CHECK(put->body.ends_with("\r\n\r\nbody"));
  CHECK(agent.connections() == 1);
}

TEST_CASE("consul client: a blocking query sends its index and wait, and returns the next index") {
  std::string asked;
  FakeAgent agent([&](const std::string& request) {
    asked = request;
    return FakeAgent::answer(200, "[]", "x-consul-INDEX: 43\r\n");
  });
  Api api(agent.address(), "", quick());
  auto answer = api.send(waiting(42));
  REQUIRE(answer.is_ok());
  CHECK(answer->index == 43);
  CHECK(asked.starts_with("GET /v1/health/service/x?passing=1&index=42&wait=2000ms HTTP/1.1\r\n"));
  CHECK(m3::next_consul_index(42, 43) == 43);
  CHECK(m3::next_consul_index(42, 42) == 42);
  CHECK(m3::next_consul_index(42, 41) == 0);  // it went backwards
}

TEST_CASE("consul client: a connection that the agent closed meanwhile is made again") {
  std::atomic<bool> hang_up{false};
  FakeAgent agent([&](const std::string&) {
    return hang_up.exchange(false) ? FakeAgent::kHangUp : FakeAgent::answer(200, "x");
  });
  Api api(agent.address(), "", quick());
  CHECK(api.get("/") == "x");
  hang_up = true;
  CHECK(api.get("/") == "x");
  CHECK(agent.connections() == 2);
  hang_up = true;  // what must not happen twice is not sent twice
  ConsulRequest once("PUT", "/v1/kv/x?acquire=s");
  once.repeatable = false;
  auto answer = api.send(once);
  CHECK(answer.status() == Errc::unavailable);
  CHECK(answer.status().maybe_executed());
  CHECK(agent.requests() == 4);
}

TEST_CASE("consul client: the next agent is asked when one has 5xx, hangs up or is silent") {
  std::atomic<int> how{0};
  FakeAgent bad([&](const std::string&) -> std::string {
    if (how == 0) return FakeAgent::answer(500, "No cluster leader");
    if (how == 1) return FakeAgent::kHangUp;
    return "";
  });
  FakeAgent good([](const std::string&) { return FakeAgent::answer(200, "good"); });
  for (how = 0; how < 3; ++how) {
    m3::ConsulOptions options = quick();
    options.agents = {good.address()};
    options.request_timeout = how == 2 ? 300ms : 5s;
    Api api(bad.address(), "", options);
    CHECK(api.get("/") == "good");
    const int asked = bad.requests();
    CHECK(api.get("/") == "good");  // and stays
    CHECK(bad.requests() == asked);
  }
  Api alone(bad.address(), "", quick());
  how = 0;
  auto answer = alone.send({"GET", "/"});
  CHECK(answer.status() == Errc::unavailable);
  CHECK(answer.status().text() == bad.address().to_string() + " answers 500: No cluster leader");
}

TEST_CASE("consul client: Consul's refusals are reported by kind, never with the token") {
  std::atomic<int> status{0};
  FakeAgent agent([&](const std::string&) { return FakeAgent::answer(status, "no s3cret\n"); });
  Api api(agent.address(), "s3cret", quick());
  for (const auto& [code, wanted] :
       {std::pair{400, Errc::invalid_argument}, std::pair{401, Errc::unauthenticated},
        std::pair{403, Errc::permission_denied}, std::pair{429, Errc::resource_exhausted},
        std::pair{302, Errc::data_loss}}) {
    status = code;
    auto answer = api.send({"GET", "/"});
    CHECK(answer.status() == wanted);
    CHECK(answer.status().text() ==
          agent.address().to_string() + " answers " + std::to_string(code) + ": no ***");
  }
  status = 404;  // an answer like any other
  auto missing = api.send({"GET", "/"});
  REQUIRE(missing.is_ok());
  CHECK_FALSE(missing->found());
}

TEST_CASE("consul client: an answer that is too large or no HTTP is an error") {
  std::string reply;
  FakeAgent agent([&](const std::string&) { return reply; });
  m3::ConsulOptions options = quick();
  options.max_response = 1000;
  Api api(agent.address(), "", options);
  reply = FakeAgent::answer(200, std::string(1000, 'x'));
  CHECK(api.send({"GET", "/"}).is_ok());
  reply = FakeAgent::answer(200, std::string(1001, 'x'));
  CHECK(api.send({"GET", "/"}).status() == Errc::resource_exhausted);
  reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + std::string(2000, 'x') +
          "\r\n0\r\n\r\n";
  CHECK(api.send({"GET", "/"}).status() == Errc::resource_exhausted);
  reply = "HTTP/1.1 200 OK\r\nX: " + std::string(100000, 'x') + "\r\n\r\n";
  CHECK(api.send({"GET", "/"}).status() == Errc::data_loss);
  reply = "SSH-2.0-server\r\n";
  CHECK(api.send({"GET", "/"}).status() == Errc::data_loss);
  reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
  CHECK(api.get("/") == "ok");
}

TEST_CASE("consul router: an index that goes backwards starts over") {
  std::mutex mutex;
  Lines asked;
  std::atomic<int> index{100};
  const std::string one =
      R"([{"Node": {}, "Service": {"ID": "dev.w.hello.1", "Address": "127.0.0.1",
      "Port": 1, "Meta": {"generation": "1", "state": "serving"}}}])";
  FakeAgent agent([&](const std::string& request) {
    if (request.starts_with("GET /v1/catalog/services"))
      return FakeAgent::answer(200, R"({"m3-dev-w-hello": []})");
    if (request.starts_with("GET /v1/health/service/m3-dev-w-hello")) {
      const std::lock_guard lock(mutex);
      asked.push_back(request.substr(0, request.find(" HTTP/")));
    }
    return FakeAgent::answer(200, one, "X-Consul-Index: " + std::to_string(index) + "\r\n");
  });
  App hearer("dev.w.caller.1", {agent.address().to_string()});
  REQUIRE(hearer.started.is_ok());
  Ear ear;
  const std::string query = "GET /v1/health/service/m3-dev-w-hello";
  const auto has = [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    return std::count(asked.begin(), asked.end(), line);
  };
  const auto begun = Clock::now();
  hearer.watch("dev.w.hello", ear);
  CHECK(eventually([&] { return has(query + "?index=100&wait=60000ms") > 2; }));
  CHECK(has(query) == 1);
  index = 7;
  CHECK(eventually([&] { return has(query) == 2; }));
  CHECK(eventually([&] { return has(query + "?index=7&wait=60000ms") > 0; }));
  // However fast the answers come, they are asked for five times a second at most.
  const auto most = (Clock::now() - begun) / 200ms + 2;
  const std::lock_guard lock(mutex);
  CHECK(static_cast<std::int64_t>(asked.size()) <= most);
  CHECK(ear.lists() == 1);  // the same list is told once
}
