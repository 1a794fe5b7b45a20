// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/interceptor.h"

#include <stdexcept>

#include "echo_fixture.h"
#include "m3/async/when.h"

using namespace rpc_test;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::Task;

namespace {

struct Count final : m3::Interceptor {
  Task<> on_call(Ctx& ctx, const m3::InterceptedCall& call, Next& next) override {
    ++times;
    early_answers += call.response != nullptr;
    co_await next(ctx);
    co_return m3::ok;
  }
  int times = 0;
  int early_answers = 0;
};

/// A retry, as one would write it.
struct Again final : m3::Interceptor {
  Task<> on_call(Ctx& ctx, const m3::InterceptedCall&, Next& next) override {
    for (int i = 0;; ++i) {
      auto result = co_await as_result(next(ctx));
      if (result.is_ok() || i == 2) co_return std::move(result).status();
    }
  }
};

struct Twice final : m3::Interceptor {
  Task<> on_call(Ctx& ctx, const m3::InterceptedCall&, Next& next) override {
    co_await next(ctx);
    co_await next(ctx);
    co_return m3::ok;
  }
};

struct AtOnce final : m3::Interceptor {
  Task<> on_call(Ctx& ctx, const m3::InterceptedCall&, Next& next) override {
    co_await m3::when_all(ctx.core(), next(ctx), next(ctx));
    co_return m3::ok;
  }
};

struct Empty final : m3::Interceptor {
  Task<> on_call(Ctx&, const m3::InterceptedCall&, Next&) override { return {}; }
};

struct Throws final : m3::Interceptor {
  Task<> on_call(Ctx&, const m3::InterceptedCall&, Next&) override {
    throw std::runtime_error("boom");
  }
};

/// One app that answers and one that calls.
struct Pair {
  explicit Pair(m3::testing::SimRuntime& sim)
      : net(sim),
        server(net.add("dev.w.echo.1", true)),
        caller(net.add("dev.w.test.1", false)),
        echo(caller.node) {}
  Net net;
  Net::App& server;
  Net::App& caller;
  EchoClient echo;
};

bool contains(const Status& status, const std::string& part) {
  return status.text().find(part) != std::string::npos;
}

}  // namespace

CO_TEST("interceptors: one that tries again runs everything inside of it again") {
  Pair pair(sim);
  auto inner = std::make_shared<Count>();
  pair.caller.node.intercept_calls(std::make_shared<Again>());
  pair.caller.node.intercept_calls(inner);
  EchoReq fails = request("x");
  fails.set_fail_with(static_cast<std::uint32_t>(Errc::aborted));
  const auto failed = co_await as_result(pair.echo.echo(ctx, fails));
  CHECK(failed.code() == Errc::aborted);
  CHECK(inner->times == 3);
  CHECK(pair.server.handler.started == 3);
  const auto good = request("fine");
  CHECK((co_await pair.echo.echo(ctx, good)).text() == "fine");
  CHECK(inner->times == 4);
  co_await pair.net.stop(ctx);
}

CO_TEST("interceptors: a second try does not see the answer of the first") {
  Pair pair(sim);
  auto inner = std::make_shared<Count>();
  pair.caller.node.intercept_calls(std::make_shared<Twice>());
  pair.caller.node.intercept_calls(inner);
  const auto req = request("x");
  CHECK((co_await pair.echo.echo(ctx, req)).text() == "x");
  CHECK(inner->times == 2);
  CHECK(inner->early_answers == 0);
  CHECK(pair.server.handler.started == 2);
  co_await pair.net.stop(ctx);
}

CO_TEST("interceptors: an empty Task or an exception fails the call on either side") {
  const auto req = request("x");
  Notice notice;
  const std::string empty = "an interceptor returned an empty Task";
  for (bool throws : {false, true}) {
    std::shared_ptr<m3::Interceptor> bad;
    if (throws)
      bad = std::make_shared<Throws>();
    else
      bad = std::make_shared<Empty>();
    const std::string words = throws ? "exception: boom" : empty;
    for (bool client : {false, true}) {
      Pair pair(sim);
      if (client)
        pair.caller.node.intercept_calls(bad);
      else
        pair.server.node.intercept_requests(bad);
      const auto result = co_await as_result(pair.echo.echo(ctx, req));
      CHECK(result.code() == Errc::internal);
      CHECK(contains(result.status(), words));
      CHECK(pair.server.handler.started == 0);
      if (client) {
        const auto told = co_await as_result(pair.echo.tell(ctx, notice, m3::to::all()));
        CHECK(told.code() == Errc::internal);
        CHECK(contains(told.status(), words));
      }
      co_await pair.net.stop(ctx);
    }
  }
}

CO_TEST("interceptors: a request is handled once") {
  Pair pair(sim);
  pair.server.node.intercept_requests(std::make_shared<Twice>());
  const auto req = request("x");
  const auto result = co_await as_result(pair.echo.echo(ctx, req));
  CHECK(result.code() == Errc::internal);
  CHECK(contains(result.status(), "an interceptor called next() again: a request is handled once"));
  CHECK(pair.server.handler.started == 1);
  co_await pair.net.stop(ctx);
}

CO_TEST("interceptors: next() is not called twice at the same time") {
  Pair pair(sim);
  pair.caller.node.intercept_calls(std::make_shared<AtOnce>());
  EchoReq slow = request("x");
  slow.set_wait_ms(10);
  const auto result = co_await as_result(pair.echo.echo(ctx, slow));
  CHECK(result.code() == Errc::internal);
  CHECK(contains(result.status(), "next() again before the Task of its first call had finished"));
  CHECK(pair.server.handler.started == 1);
  co_await pair.net.stop(ctx);
}

CO_TEST("interceptors: a notify to all may be tried again, too") {
  Pair pair(sim);
  auto inner = std::make_shared<Count>();
  pair.caller.node.intercept_calls(std::make_shared<Twice>());
  pair.caller.node.intercept_calls(inner);
  Notice notice;
  co_await pair.echo.tell(ctx, notice, m3::to::all());
  co_await m3::sleep(ctx, 10ms);
  CHECK(inner->times == 2);
  CHECK(pair.server.handler.notices.size() == 2);
  co_await pair.net.stop(ctx);
}
