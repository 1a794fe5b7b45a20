// SPDX-License-Identifier: BSL-1.0
#include "m3/admin/admin_pages.h"

#include "m3/admin/health_probe.h"
#include "m3/async/runtime.h"
#include "m3/async/timer.h"
#include "m3/http/http_message.h"
#include "m3/obs/prometheus.h"
#include "m3/testing/co_test.h"

using namespace std::chrono_literals;
using m3::AdminPages;
using m3::AdminView;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::HealthProbe;
using m3::HttpRequest;
using m3::HttpResponse;
using m3::Status;
using m3::Task;
using m3::testing::contains;

namespace {

/// Pages of an app whose readiness is `ready`.
struct Shown {
  explicit Shown(m3::Runtime& runtime, std::string token = "")
      : pages(view(runtime), std::move(token), runtime.core(0).now()) {}

  AdminView view(m3::Runtime& runtime) {
    AdminView out;
    out.id = *m3::AppId::parse("dev.w.talk.1");
    out.version = "1.2 <beta>";
    out.services = [] { return std::vector<std::string>{"a.Talk", "a.Counter"}; };
    out.address = [] { return "127.0.0.1:7"; };
    out.state = [] { return "serving"; };
    out.ready = [this](Ctx&) -> Task<> { co_return ready; };
    out.metrics = std::make_shared<m3::MetricRegistry>();
    out.runtime = &runtime;
    return out;
  }
  Task<HttpResponse> get(Ctx& ctx, std::string path, std::string token = "",
                         std::string method = "GET") {
    HttpRequest request(std::move(method), std::move(path));
    if (!token.empty()) request.headers.set("Authorization", "Bearer " + token);
    return pages.answer(ctx, std::move(request));
  }

  Status ready;
  AdminPages pages;
};

}  // namespace

CO_TEST("admin pages: ready is 503 with one line that says why not") {
  Shown shown(sim.runtime());
  HttpResponse live = co_await shown.get(ctx, "/health/live");
  CHECK(live.status == 200);
  CHECK(live.body == "ok\n");
  HttpResponse ready = co_await shown.get(ctx, "/health/ready");
  CHECK(ready.status == 200);
  CHECK(ready.body == "ok\n");
  CHECK(ready.headers.get("Cache-Control") == "no-store");
  shown.ready = Status(Errc::unavailable, "two\nlines " + std::string(1000, 'x'));
  ready = co_await shown.get(ctx, "/health/ready");
  CHECK(ready.status == 503);
  CHECK(ready.body.starts_with("two lines xxx"));
  CHECK(ready.body.find('\n') == ready.body.size() - 1);
  CHECK(ready.body.size() < 300);
  live = co_await shown.get(ctx, "/health/live");
  CHECK(live.status == 200);
}

CO_TEST("admin pages: a page of somebody else's cannot ask through a browser") {
  Shown open(sim.runtime());
  Shown guarded(sim.runtime(), "secret");
  const auto asked = [&](Shown& shown, std::string host, std::string origin) -> Task<int> {
    HttpRequest request("GET", "/");
    request.headers.set("Authorization", "Bearer secret");
    request.headers.set("Host", host);
    if (!origin.empty()) request.headers.set("Origin", origin);
    const HttpResponse response = co_await shown.pages.answer(ctx, std::move(request));
    co_return int{response.status};
  };
  for (const char* host : {"127.0.0.1:9101", "localhost:9101", "localhost", "[::1]:9101", "[::1]"})
    CHECK(co_await asked(open, host, "") == 200);
  for (const char* host :
       {"rebound.example.com:9101", "10.0.0.1", "127.0.0.1.example.com", "", ":9101"}) {
    CHECK(co_await asked(open, host, "") == 403);
    CHECK(co_await asked(guarded, host, "") == 200);  // its name may be anything
  }
  for (const char* origin : {"http://example.com", "null", "http://localhost:1"}) {
    CHECK(co_await asked(open, "localhost:9101", origin) == 403);
    CHECK(co_await asked(guarded, "localhost:9101", origin) == 403);
  }
  CHECK(co_await asked(open, "localhost:9101", "http://localhost:9101") == 200);
  CHECK(co_await asked(guarded, "ops.example.com", "https://ops.example.com") == 200);
  HttpRequest probe("GET", "/");  // HTTP/1.0: the server lets nobody else leave the host out
  const HttpResponse probed = co_await open.pages.answer(ctx, std::move(probe));
  CHECK(probed.status == 200);
  HttpRequest health("GET", "/health/ready");
  health.headers.set("Host", "rebound.example.com");
  const HttpResponse ready = co_await open.pages.answer(ctx, std::move(health));
  CHECK(ready.status == 200);
}

CO_TEST("admin pages: all pages except health need the token, and none is revealed without it") {
  Shown shown(sim.runtime(), "secret");
  for (const char* path : {"/", "/metrics", "/nothing"}) {
    const HttpResponse none = co_await shown.get(ctx, path);
    CHECK(none.status == 401);
    CHECK(none.headers.get("WWW-Authenticate") == "Bearer");
    const HttpResponse wrong = co_await shown.get(ctx, path, "secreT");
    CHECK(wrong.status == 401);
  }
  const HttpResponse index = co_await shown.get(ctx, "/", "secret");
  CHECK(index.status == 200);
  const HttpResponse nothing = co_await shown.get(ctx, "/nothing", "secret");
  CHECK(nothing.status == 404);
  const HttpResponse live = co_await shown.get(ctx, "/health/live");
  CHECK(live.status == 200);
  const HttpResponse ready = co_await shown.get(ctx, "/health/ready");
  CHECK(ready.status == 200);
}

CO_TEST("admin pages: other methods than GET and HEAD are refused by name") {
  Shown shown(sim.runtime());
  const HttpResponse post = co_await shown.get(ctx, "/health/live", "", "POST");
  CHECK(post.status == 405);
  CHECK(post.headers.get("Allow") == "GET, HEAD");
  const HttpResponse head = co_await shown.get(ctx, "/health/live", "", "HEAD");
  CHECK(head.status == 200);
}

CO_TEST("admin pages: the index lists the pages, escaped") {
  Shown shown(sim.runtime());
  CHECK(shown.pages.add("/players/<all>", [](Ctx&, HttpRequest request) -> Task<HttpResponse> {
    co_return HttpResponse(200, request.method + " players");
  }));
  CHECK(shown.pages.add("players", {}) == Errc::invalid_argument);
  CHECK(shown.pages.add("/metrics", {}) == Errc::already_exists);
  co_await m3::sleep(ctx, 90s);
  const HttpResponse index = co_await shown.get(ctx, "/");
  for (const char* part :
       {"dev.w.talk.1", "serving", "1m30s", "1.2 &lt;beta&gt;", "127.0.0.1:7", "a.Talk, a.Counter",
        "href=\"/metrics\"", "href=\"/players/%3Call%3E\"", ">/players/&lt;all&gt;<"}) {
    INFO(index.body);
    CHECK(contains(index.body, part));
  }
  const HttpResponse page = co_await shown.get(ctx, "/players/<all>", "", "POST");
  CHECK(page.body == "POST players");
}

namespace {

/// Hooks that take their time; says how often it was asked.
struct Slow {
  int asked = 0;
  int cancelled = 0;
  Status outcome;
  Task<> check(Ctx& ctx) {
    ++asked;
    const Status slept = (co_await as_result(m3::sleep(ctx, 500ms))).status();
    if (!slept) ++cancelled;
    co_return slept ? outcome : slept;
  }
};

Task<> note(Ctx& ctx, HealthProbe& probe, std::vector<Status>& out) {
  out.push_back((co_await as_result(probe.check(ctx))).status());
  co_return m3::ok;
}

}  // namespace

CO_TEST("health probe: callers that ask while the hooks run share their answer") {
  Slow slow;
  HealthProbe probe(ctx.core(), [&](Ctx& own) { return slow.check(own); }, 1s, nullptr);
  m3::Scope scope(ctx.core());
  std::vector<Status> answers;
  slow.outcome = Status(Errc::unavailable, "cold");
  scope.spawn("one", [&](Ctx& c) { return note(c, probe, answers); });
  co_await m3::sleep(ctx, 100ms);
  scope.spawn("two", [&](Ctx& c) { return note(c, probe, answers); });
  co_await scope.drain(ctx);
  CHECK(slow.asked == 1);
  CO_REQUIRE(answers.size() == 2);
  CHECK(answers[0].text() == "cold");
  CHECK(answers[1].text() == "cold");
  slow.outcome = {};
  co_await note(ctx, probe, answers);
  CHECK(slow.asked == 2);
  CHECK(answers.back().is_ok());
  co_await scope.close(ctx);
  co_await probe.stop(ctx);
  const Status after = (co_await as_result(probe.check(ctx))).status();
  CHECK(after == Errc::unavailable);
}

CO_TEST("health probe: a caller that leaves does not cancel the others' answer") {
  Slow slow;
  HealthProbe probe(ctx.core(), [&](Ctx& own) { return slow.check(own); }, 1s, nullptr);
  m3::Scope scope(ctx.core());
  std::vector<Status> answers;
  const auto ask = [&](Ctx& soon) { return probe.check(soon); };
  m3::Ctx leaver(ctx, m3::Deadline::never());
  scope.spawn("stays", [&](Ctx& c) { return note(c, probe, answers); });
  const Status left = (co_await as_result(m3::within(leaver, 100ms, ask))).status();
  CHECK(left == Errc::deadline_exceeded);
  co_await scope.drain(ctx);
  CO_REQUIRE(answers.size() == 1);
  CHECK(answers[0].is_ok());
  CHECK(slow.asked == 1);
  co_await scope.close(ctx);
  co_await probe.stop(ctx);
}

CO_TEST("health probe: hooks that take too long are cancelled, and count as not healthy") {
  Slow slow;
  HealthProbe probe(ctx.core(), [&](Ctx& own) { return slow.check(own); }, 100ms, nullptr);
  const Status late = (co_await as_result(probe.check(ctx))).status();
  CHECK(late == Errc::deadline_exceeded);
  CHECK(late.text() == "health() has not answered within 100ms");
  CHECK(slow.cancelled == 1);
  co_await probe.stop(ctx);
}

CO_TEST("health probe: a hook that ignores its cancellation is answered for, and not run twice") {
  bool let_go = false;
  int asked = 0;
  struct Deaf {
    static Task<> wait(int& asked, bool& let_go) {
      ++asked;
      Ctx own(m3::Core::current());
      while (!let_go) co_await m3::sleep(own, 10ms);
      co_return m3::ok;
    }
  };
  HealthProbe probe(ctx.core(), [&](Ctx&) { return Deaf::wait(asked, let_go); }, 100ms, nullptr);
  for (int i = 0; i < 2; ++i) {
    const Status deaf = (co_await as_result(probe.check(ctx))).status();
    CHECK(deaf == Errc::deadline_exceeded);
    CHECK(contains(deaf.text(), "health() has not returned"));
  }
  CHECK(asked == 1);
  let_go = true;
  co_await m3::sleep(ctx, 100ms);
  co_await probe.check(ctx);
  CHECK(asked == 2);
  co_await probe.stop(ctx);
}

CO_TEST("health probe: an exception is an answer too") {
  HealthProbe probe(
      ctx.core(), [](Ctx&) -> Task<> { throw std::runtime_error("oops"); }, 100ms, nullptr);
  const Status thrown = (co_await as_result(probe.check(ctx))).status();
  CHECK(thrown == Errc::internal);
  co_await probe.stop(ctx);
}
