// SPDX-License-Identifier: BSL-1.0
#include "m3/http/http_server.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "m3/async/runtime.h"
#include "m3/async/timer.h"
#include "m3/obs/recording_sink.h"
#include "m3/testing/catch.h"
#include "m3/testing/http_client.h"

namespace m3 {
namespace {

using namespace std::chrono_literals;

using Client = testing::HttpClient;

/// Says back what it was asked, and what else a test needs.
struct Pages {
  std::atomic<int> asked{0};
  std::atomic<int> cancelled{0};

  Task<HttpResponse> operator()(Ctx& ctx, HttpRequest request) {
    ++asked;
    if (request.path == "/slow") {
      const Status slept = (co_await as_result(sleep(ctx, 1h))).status();
      ++cancelled;
      co_return slept;
    }
    if (request.path == "/deaf") {
      Ctx own(ctx.core());
      while (!let_go) co_await sleep(own, 1ms);
    }
    if (request.path == "/throw") throw std::runtime_error("a secret");
    if (request.path == "/wrong") co_return Status(Errc::not_found, "no such page");
    if (request.path == "/large") co_return HttpResponse(200, std::string(8u << 20, 'x'));
    std::string text = request.method + " " + request.path;
    for (const auto& [name, value] : request.query) text += " " + name + "=" + value;
    co_return HttpResponse(200, text + " " + request.body);
  }
  std::atomic<bool> let_go{false};
};

class Server {
 public:
  explicit Server(HttpServerConfig config = {}) : Server(config, HttpHandler()) {}
  Server(HttpServerConfig config, HttpHandler handler) : runtime_(one_core()) {
    if (!handler)
      handler = [this](Ctx& ctx, HttpRequest request) { return pages(ctx, std::move(request)); };
    runtime_.start();
    on_core([&](Ctx& ctx) -> Task<> {
      server_ = std::make_unique<HttpServer>(ctx.core(), handler, config, metrics_);
      co_return server_->listen(HostPort{"127.0.0.1", 0});
    });
    port = server_->port();
  }
  ~Server() {
    pages.let_go = true;
    stop();
    on_core([this](Ctx&) -> Task<> {
      server_.reset();
      co_return ok;
    });
  }
  void stop() {
    on_core([this](Ctx& ctx) { return server_->stop(ctx); });
  }
  /// Waits for it; false after 20 s.
  bool connections_become(std::size_t wanted) {
    std::size_t there = 0;
    for (int i = 0; i < 20000; ++i) {
      on_core([&](Ctx& ctx) -> Task<> {
        there = server_->connections();
        if (there != wanted) co_await sleep(ctx, 1ms);
        co_return ok;
      });
      if (there == wanted) return true;
    }
    return false;
  }
  double counted(std::string_view name, std::string_view label) {
    double sum = 0;
    for (const MetricFamily& family : metrics_.collect())
      for (const MetricSeries& series : family.series)
        for (const auto& [key, value] : series.labels)
          if (family.name == name && value == label) sum += series.value;
    return sum;
  }

  Pages pages;
  std::uint16_t port = 0;

 private:
  static RuntimeConfig one_core() {
    RuntimeConfig config;
    config.cores = 1;
    return config;
  }
  template <class Body>
  void on_core(Body body) {
    const Status status = runtime_.block_on(runtime_.core(0), body).status();
    INFO(status.to_string());
    CHECK(status.is_ok());
  }
  MetricRegistry metrics_;
  Runtime runtime_;
  std::unique_ptr<HttpServer> server_;
};

const std::string kGet = "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n";

TEST_CASE("http server: one connection is used for many requests, together or one by one") {
  Server server;
  Client client(server.port);
  for (int i = 0; i < 3; ++i) CHECK(client.ask(kGet).ends_with("\r\n\r\nGET /a b=c "));
  client.send(kGet + "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody" + kGet);
  CHECK(client.answer().ends_with("GET /a b=c "));
  CHECK(client.answer().ends_with("PUT /x body"));
  CHECK(client.answer().ends_with("GET /a b=c "));
  CHECK(server.counted("m3_net_http_answers_total", "2xx") == 6);
}

TEST_CASE("http server: HEAD is answered without the body, but with its length") {
  Server server;
  Client client(server.port);
  client.send("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string head = client.answer(true);
  CHECK(head.find("Content-Length: 8\r\n") != std::string::npos);
  CHECK(head.ends_with("\r\n\r\n"));
  CHECK(client.ask(kGet).ends_with("GET /a b=c "));
}

TEST_CASE("http server: it hangs up when it is asked to, and for HTTP/1.0") {
  Server server;
  Client close(server.port);
  close.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string text = close.rest();
  CHECK(text.find("Connection: close\r\n") != std::string::npos);
  CHECK(text.ends_with("GET / "));
  CHECK_FALSE(close.was_reset());
  Client old(server.port);
  old.send("GET / HTTP/1.0\r\n\r\n");
  CHECK(old.rest().ends_with("GET / "));
  Client half(server.port);
  half.send(kGet);
  half.finish_sending();
  CHECK(half.rest().ends_with("GET /a b=c "));
}

TEST_CASE("http server: a refused request is answered and ends the connection, without a reset") {
  HttpServerConfig config;
  config.sizes.max_body_bytes = 1000;
  Server server(config);
  const auto refusal = [&](const std::string& text) {
    Client client(server.port);
    client.send(text);
    const std::string got = client.rest();
    CHECK_FALSE(client.was_reset());
    CHECK(got.find("Connection: close\r\n") != std::string::npos);
    return got.substr(0, 12);
  };
  CHECK(refusal("nonsense\r\n\r\n") == "HTTP/1.1 400");
  CHECK(refusal("GET / HTTP/3.0\r\n\r\n") == "HTTP/1.1 505");
  CHECK(refusal("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(300000, 'x')) == "HTTP/1.1 431");
  CHECK(refusal("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n" +
                std::string(300000, 'x')) == "HTTP/1.1 413");
  CHECK(server.pages.asked == 0);
  CHECK(server.counted("m3_net_http_answers_total", "4xx") == 3);
  CHECK(server.counted("m3_net_http_answers_total", "5xx") == 1);
}

TEST_CASE("http server: errors of a handler are answers, and exceptions tell nothing") {
  auto sink = std::make_shared<RecordingSink>();
  ScopedLogSink use(sink);
  Server server;
  Client client(server.port);
  const std::string wrong = client.ask("GET /wrong HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(wrong.starts_with("HTTP/1.1 404 "));
  CHECK(wrong.ends_with("\r\n\r\nno such page\n"));
  const std::string thrown = client.ask("GET /throw HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(thrown.starts_with("HTTP/1.1 500 "));
  CHECK(thrown.find("secret") == std::string::npos);
  CHECK(client.ask(kGet).starts_with("HTTP/1.1 200 "));
  Server other({},
               [](Ctx&, HttpRequest) -> Task<HttpResponse> { throw std::runtime_error("now"); });
  Client second(other.port);
  CHECK(second.ask(kGet).starts_with("HTTP/1.1 500 "));
}

TEST_CASE("http server: a slow client gets an error, and an idle one is closed") {
  HttpServerConfig config;
  config.read_timeout = 50ms;
  config.idle_timeout = 50ms;
  Server server(config);
  Client silent(server.port);
  Client slow(server.port);
  slow.send("GET / HTTP/1.1\r\nHos");
  CHECK(slow.rest().starts_with("HTTP/1.1 408 "));
  CHECK(silent.rest().empty());
  Client idle(server.port);
  CHECK(idle.ask(kGet).starts_with("HTTP/1.1 200 "));
  CHECK(idle.rest().empty());
  Client body(server.port);
  body.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
  CHECK(body.rest().starts_with("HTTP/1.1 408 "));
}

TEST_CASE("http server: a byte now and then does not keep a request alive") {
  HttpServerConfig config;
  config.read_timeout = 200ms;
  Server server(config);
  Client drip(server.port);
  std::atomic<bool> ended{false};
  std::thread sender([&] {
    while (!ended) {
      drip.send("x");
      std::this_thread::sleep_for(5ms);
    }
  });
  CHECK(drip.rest().starts_with("HTTP/1.1 408 "));
  ended = true;
  sender.join();
}

TEST_CASE("http server: a handler has a deadline, and one that ignores it is answered for") {
  auto sink = std::make_shared<RecordingSink>();
  ScopedLogSink use(sink);
  HttpServerConfig config;
  config.handler_timeout = 20ms;
  Server server(config);
  Client slow(server.port);
  CHECK(slow.ask("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 504 "));
  CHECK(server.pages.cancelled == 1);
  Client deaf(server.port);
  CHECK(deaf.ask("GET /deaf HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 504 "));
  CHECK(deaf.ask(kGet).starts_with("HTTP/1.1 200 "));
}

TEST_CASE(
    "http server: when all connections are handling a request, one more is answered with 503") {
  HttpServerConfig config;
  config.max_connections = 2;
  Server server(config);
  Client one(server.port);
  Client two(server.port);
  one.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  two.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  while (server.pages.asked < 2) std::this_thread::yield();
  Client three(server.port);
  CHECK(three.rest().starts_with("HTTP/1.1 503 "));
  CHECK(server.counted("m3_net_http_refused_total", "http") == 1);
  one.abort();
  REQUIRE(server.connections_become(1));
  Client four(server.port);
  CHECK(four.ask(kGet).starts_with("HTTP/1.1 200 "));
}

TEST_CASE("http server: a client that holds connections without a request does not block others") {
  HttpServerConfig config;
  config.max_connections = 8;
  Server server(config);
  Client working(server.port);  // keeps its place: it asks again and again
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 40; ++i) {
    idle.push_back(std::make_unique<Client>(server.port));
    if (i % 3 == 0) CHECK(idle.back()->ask(kGet).starts_with("HTTP/1.1 200 "));  // keep-alive
    if (i % 3 == 1) idle.back()->send("GET / HT");                               // a bit at a time
    CHECK(working.ask(kGet).starts_with("HTTP/1.1 200 "));
    Client fresh(server.port);
    CHECK(fresh.ask(kGet).starts_with("HTTP/1.1 200 "));
  }
  CHECK(server.counted("m3_net_http_refused_total", "http") == 0);
  CHECK(server.counted("m3_net_http_evicted_total", "http") >= 30);
  CHECK(idle.front()->rest().empty());  // closed
}

TEST_CASE("http server: a refused client that stays does not block others") {
  HttpServerConfig config;
  config.max_connections = 4;
  Server server(config);
  std::vector<std::unique_ptr<Client>> refused;
  for (int i = 0; i < 20; ++i) {
    refused.push_back(std::make_unique<Client>(server.port));
    CHECK(refused.back()->ask("no request\r\n\r\n").starts_with("HTTP/1.1 400 "));
  }
  Client fresh(server.port);
  CHECK(fresh.ask(kGet).starts_with("HTTP/1.1 200 "));
  CHECK(server.counted("m3_net_http_refused_total", "http") == 0);
}

TEST_CASE("http server: a connection is closed after a number of requests") {
  HttpServerConfig config;
  config.max_requests = 2;
  Server server(config);
  Client client(server.port);
  CHECK(client.ask(kGet).find("Connection: close") == std::string::npos);
  CHECK(client.ask(kGet).find("Connection: close") != std::string::npos);
  CHECK(client.rest().empty());
}

TEST_CASE("http server: clients that vanish leave nothing behind") {
  Server server;
  for (const char* part : {"", "GET", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab",
                           "GET /large HTTP/1.1\r\nHost: h\r\n\r\n"}) {
    Client polite(server.port);
    polite.send(part);
    Client rude(server.port);
    rude.send(part);
    REQUIRE(server.connections_become(2));
    polite.end();
    rude.abort();
    REQUIRE(server.connections_become(0));
  }
}

TEST_CASE("http server: a large answer arrives whole") {
  Server server;
  Client client(server.port);
  const std::string text = client.ask("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(text.size() > (8u << 20));
}

TEST_CASE("http server: a body that waits for 100 Continue is asked for") {
  Server server;
  Client client(server.port);
  const std::string head = "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n";
  CHECK(client.ask(head + "Expect: 100-continue\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(client.ask("ab").ends_with("PUT /x ab"));
}

TEST_CASE("http server: stop ends idle connections at once and lets answers out") {
  HttpServerConfig config;
  config.handler_timeout = 100ms;
  Server server(config);
  Client idle(server.port);
  CHECK(idle.ask(kGet).starts_with("HTTP/1.1 200 "));
  Client busy(server.port);
  busy.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  while (server.pages.asked < 2) std::this_thread::sleep_for(1ms);
  server.stop();
  CHECK(idle.rest().empty());
  const std::string last = busy.rest();
  CHECK(last.starts_with("HTTP/1.1 504 "));
  CHECK(last.find("Connection: close\r\n") != std::string::npos);
  CHECK_FALSE(Client(server.port).connected());
}

TEST_CASE("http server: stop cancels handlers that do not end") {
  Server server;
  Client busy(server.port);
  busy.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  while (server.pages.asked < 1) std::this_thread::sleep_for(1ms);
  server.stop();
  CHECK(server.pages.cancelled == 1);
}

TEST_CASE("http server: an address in use is an error that says so") {
  Server server;
  MetricRegistry metrics;
  Runtime runtime{RuntimeConfig()};
  HttpServer second(
      runtime.core(0), [](Ctx&, HttpRequest) -> Task<HttpResponse> { co_return HttpResponse(200); },
      {}, metrics);
  CHECK(second.listen(HostPort{"127.0.0.1", server.port}) == Errc::already_exists);
  CHECK(second.port() == 0);
}

}  // namespace
}  // namespace m3
