// SPDX-License-Identifier: BSL-1.0
// Services that run their calls themselves: one after the other, on another core.
#include <set>

#include "echo_fixture.h"
#include "m3/async/serial.h"
#include "m3/async/when.h"

using namespace rpc_test;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::IncomingCall;
using m3::Status;
using m3::Task;

namespace {

/// A queue on one core: its fields are touched by one handler at a time, without a lock.
class Queue final : public EchoService {
 public:
  explicit Queue(m3::Core& home) : home_(home) {}

  bool takes_over() const override { return true; }
  Task<> run(Ctx& ctx, IncomingCall& call) override {
    co_await m3::run_on(ctx, home_, [this, &call](Ctx& there) { return in_turn(there, call); });
    co_return m3::ok;
  }
  Task<> echo(Ctx& ctx, const EchoReq& req, EchoRsp& rsp) override {
    at_once_ = std::max(at_once_, ++inside_);
    wrong_core_ += &ctx.core() != &home_;
    struct Leave {
      ~Leave() { --inside; }
      int& inside;
    } leave{inside_};
    ++seen_;
    if (req.wait_ms()) co_await m3::sleep(ctx, std::chrono::milliseconds(req.wait_ms()));
    if (auto set = ctx.set_reply_meta("seen", req.text()); !set.is_ok()) co_return set;
    if (req.fail_with()) co_return Status(m3::errc_from_number(req.fail_with()), "as asked");
    rsp.set_text(req.text() + std::string(ctx.meta("color")));
    rsp.set_caller(std::string(ctx.caller()));
    co_return m3::ok;
  }
  Task<ValueRsp> value(Ctx&, const ValueReq& req) override {
    ValueRsp rsp;
    rsp.set_text("by value " + req.text());
    co_return rsp;
  }
  Task<> tell(Ctx&, const Notice&) override {
    ++told_;
    co_return m3::ok;
  }

  int seen() const { return seen_; }
  int told() const { return told_; }
  int at_once() const { return at_once_; }
  int wrong_core() const { return wrong_core_; }

 private:
  Task<> in_turn(Ctx& there, IncomingCall& call) {
    const m3::Serial::Hold turn = co_await serial_.enter(there);
    co_await call.handle(there);
    co_return m3::ok;
  }

  m3::Core& home_;
  m3::Serial serial_;
  int inside_ = 0, at_once_ = 0, seen_ = 0, told_ = 0, wrong_core_ = 0;
};

/// Two cores with threads of their own, and an app that serves a Queue on the second.
struct TwoCores {
  TwoCores() : runtime(config()), queue(runtime.core(1)) {
    server.emplace(runtime, options("dev.w.echo.1"), resolver, metrics);
    caller.emplace(runtime, options("dev.w.caller.1"), resolver, metrics);
    REQUIRE(server->serve(queue).is_ok());
    runtime.start();
    const auto port = runtime.block_on(
        runtime.core(0), [&](Ctx& ctx) { return server->listen(ctx, {"127.0.0.1", 0}); });
    REQUIRE(port.is_ok());
    REQUIRE(resolver.add(app_id("dev.w.echo.1"), {"127.0.0.1", *port}).is_ok());
  }
  ~TwoCores() {
    (void)runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<> {
      co_await caller->stop(ctx);
      co_await server->stop(ctx);
      co_return m3::ok;
    });
    runtime.stop();
  }
  static m3::RuntimeConfig config() {
    m3::RuntimeConfig config;
    config.cores = 2;
    config.blocking_threads = 1;
    return config;
  }
  static m3::RpcNode::Options options(const std::string& id) {
    m3::RpcNode::Options options;
    options.id = app_id(id);
    return options;
  }

  m3::Runtime runtime;
  m3::MetricRegistry metrics;
  m3::StaticResolver resolver;
  Queue queue;
  std::optional<m3::RpcNode> server, caller;
};

/// What calls came to. One for each core: Catch's macros are for one thread.
struct Tally {
  int good = 0, late = 0, wrong = 0;
};

Task<> call_many(Ctx& ctx, m3::RpcNode& node, int count, Tally& tally) {
  EchoClient client(node);
  for (int i = 0; i < count; ++i) {
    EchoReq req;
    req.set_text(std::to_string(i));
    req.set_wait_ms(i % 7 == 0 ? 2 : 0);
    Ctx own(ctx, m3::Deadline(ctx.core().read_clock() + (i % 5 == 0 ? 1ms : 10s)));
    if (auto set = own.set_outgoing_meta("color", "red"); !set.is_ok()) co_return set;
    EchoRsp rsp;
    const Status status = (co_await as_result(client.echo(own, req, rsp))).status();
    if (status == Errc::deadline_exceeded) {
      ++tally.late;
      continue;
    }
    const std::string* seen = own.last_reply() ? own.last_reply()->find("seen") : nullptr;
    const bool right = status.is_ok() && rsp.text() == req.text() + "red" &&
                       rsp.caller() == "dev.w.caller.1" && seen && *seen == req.text();
    ++(right ? tally.good : tally.wrong);
  }
  co_return m3::ok;
}

}  // namespace

TEST_CASE("rpc: a service may run its calls one at a time on a core of its own") {
  TwoCores two;
  constexpr int kEach = 150, kCallers = 4;
  Tally tally[2];
  const auto outcome = two.runtime.block_on(two.runtime.core(0), [&](Ctx& ctx) -> Task<> {
    const auto on = [&](unsigned core) -> Task<> {
      co_await m3::run_on(ctx, two.runtime.core(core), [&, core](Ctx& there) -> Task<> {
        std::vector<Task<>> all;
        for (int i = 0; i < kCallers; ++i)
          all.push_back(call_many(there, *two.caller, kEach, tally[core]));
        co_await m3::when_all(there.core(), std::move(all));
        co_return m3::ok;
      });
      co_return m3::ok;
    };
    co_await m3::when_all(ctx.core(), on(0), on(1));
    co_return m3::ok;
  });
  CHECK(outcome.is_ok());
  const int good = tally[0].good + tally[1].good;
  CHECK(tally[0].wrong + tally[1].wrong == 0);
  CHECK(good + tally[0].late + tally[1].late == 2 * kCallers * kEach);
  CHECK(good >= 2 * kCallers * kEach * 3 / 5);
  CHECK(two.queue.at_once() == 1);
  CHECK(two.queue.wrong_core() == 0);
  CHECK(two.queue.seen() >= good);
}

TEST_CASE("rpc: errors, answers by value and notifies come through a service's own queue") {
  TwoCores two;
  const auto outcome = two.runtime.block_on(two.runtime.core(0), [&](Ctx& ctx) -> Task<> {
    EchoClient client(*two.caller);
    EchoReq req;
    req.set_fail_with(static_cast<std::uint32_t>(Errc::not_found));
    EchoRsp rsp;
    req.set_text("why");
    const Status failed = (co_await as_result(client.echo(ctx, req, rsp))).status();
    CHECK(failed == Errc::not_found);
    const std::string* seen = ctx.last_reply() ? ctx.last_reply()->find("seen") : nullptr;
    CHECK((seen && *seen == "why"));  // errors carry what was set, too
    ValueReq value;
    value.set_text("ann");
    CHECK((co_await client.value(ctx, value)).text() == "by value ann");
    Notice notice;
    for (int i = 0; i < 20; ++i) co_await client.tell(ctx, notice);
    (void)co_await as_result(client.value(ctx, value));  // answered behind them
    co_return m3::ok;
  });
  CHECK(outcome.is_ok());
  CHECK(two.queue.told() == 20);
}

namespace {

/// Does what a service must not.
class Careless final : public EchoService {
 public:
  bool takes_over() const override { return true; }
  Task<> run(Ctx& ctx, IncomingCall& call) override {
    const auto& req = static_cast<const EchoReq&>(call.request());
    if (req.text() == "forget") co_return m3::ok;
    if (req.text() == "refuse") co_return Status(Errc::resource_exhausted, "no room");
    co_await call.handle(ctx);
    if (req.text() == "twice") co_await call.handle(ctx);
    co_return m3::ok;
  }
  Task<EchoRsp> echo(Ctx&, const EchoReq& req) override {
    ++handled;
    EchoRsp rsp;
    rsp.set_text(req.text());
    co_return rsp;
  }
  int handled = 0;
};

}  // namespace

CO_TEST("rpc: a service that handles a call twice or not at all fails it") {
  Net net(sim);
  Careless careless;
  net.add("dev.w.echo.1", careless);
  auto& caller = net.add("dev.w.caller.1", false);
  EchoClient client(caller.node);
  const auto ask = [&](const char* text) -> Task<EchoRsp> {
    const EchoReq req = request(text);
    co_return co_await client.echo(ctx, req);
  };
  CHECK((co_await ask("ann")).text() == "ann");
  CHECK((co_await as_result(ask("forget"))).status() == Errc::internal);
  CHECK((co_await as_result(ask("twice"))).status() == Errc::internal);
  CHECK((co_await as_result(ask("refuse"))).status() == Errc::resource_exhausted);
  CHECK(careless.handled == 2);
  co_await net.stop(ctx);
}
