// SPDX-License-Identifier: BSL-1.0
// The rows about calls.
#include <set>

#include "embedded.h"
#include "m3/async/timer.h"
#include "m3/testing/catch.h"
#include "process.h"
#include "seed.m3.h"
#include "simple_ser.h"

using namespace seed;
using namespace std::chrono_literals;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Task;

namespace {

/// Says what it was told beside the request.
class Table final : public TableSerService {
 public:
  explicit Table(std::string dealer = "bob") : dealer_(std::move(dealer)) {}
  Task<Sit_Rsp> sit(Ctx& ctx, const Sit_Req& req) override {
    if (req.player() == "nobody")
      co_return m3::Status(Errc::not_found, "no such player").with_app_code(1404);
    if (req.player() == "slow") co_await m3::sleep(ctx, 1h);
    if (auto set = ctx.set_reply_meta("dealer", dealer_); !set) co_return set;
    Sit_Rsp rsp;
    rsp.set_seat(std::string(ctx.meta("color")) + " seat, asked by " + std::string(ctx.caller()));
    co_return rsp;
  }
  Task<> shout(Ctx&, const Shout_Req&) override { co_return m3::ok; }

 private:
  std::string dealer_;
};

/// Two apps in this process: one that serves Table, one that calls.
struct Pair {
  Pair() : table("table", "", "listen = \"127.0.0.1:0\"\n") {
    table.app().serve<Table>();
    REQUIRE(table.start().is_ok());
    caller.emplace("caller", "example.world1.table.1@" + table.app().address().to_string());
  }
  Embedded table;
  std::optional<Embedded> caller;
};

Sit_Req player(const std::string& name) {
  Sit_Req req;
  req.set_player(name);
  return req;
}

}  // namespace

TEST_CASE("S04: the options of a holder message become the method's") {
  const m3::MethodInfo& sit = TableSerService::kSit;
  CHECK(sit.full_name == "/seed.TableSer/Sit");
  CHECK(sit.trace);
  CHECK(sit.client);
  CHECK_FALSE(sit.notify);
  CHECK(sit.route == m3::RouteMode::hash);
  REQUIRE(sit.route_key != nullptr);
  CHECK(sit.route_key(player("ann")) == "ann");
  CHECK(TableSerService::kShout.notify);
  CHECK(proto::SimpleSerService::kHelloWorld.route_key == nullptr);  // route_key = "" is none
}

TEST_CASE(
    "S05: metadata is set by the caller, read by the handler, and comes back with the answer") {
  Pair pair;
  auto ask = [&](Ctx& ctx) -> Task<> {
    TableSerClient table(pair.caller->app());
    const auto req = player("ann");
    CHECK(ctx.set_outgoing_meta("color", "red").is_ok());
    const auto rsp = co_await table.sit(ctx, req);
    CHECK(rsp.seat() == "red seat, asked by example.world1.caller.1");
    const m3::Metadata* reply = ctx.last_reply();
    CHECK(reply);
    if (reply) CHECK(*reply->find("dealer") == "bob");
    ctx.clear_outgoing_meta();
    const auto plain = co_await table.sit(ctx, req);
    CHECK(plain.seat() == " seat, asked by example.world1.caller.1");
    co_return m3::ok;
  };
  CHECK(pair.caller->run(ask).status().to_string() == "ok");
}

TEST_CASE("S06: the owner's client checks before it sends, and chooses the route") {
  Simple app;
  Embedded caller("caller", "example.world1.simple.1@" + app.address());
  CHECK(caller.hello("Ann") == "HelloWorld , Ann");
  CHECK(caller.hello("") == "invalid_argument: name is empty");
  CHECK(caller.hello(std::string(65, 'x')) == "invalid_argument: name has more than 64 bytes");
  // The checks need nobody who would answer.
  Embedded alone("caller");
  CHECK(alone.hello("") == "invalid_argument: name is empty");
  CHECK(alone.hello("Ann").starts_with("unavailable: "));
}

TEST_CASE("S07: a call from the request alone; the type says which method") {
  Simple app;
  Embedded caller("caller", "example.world1.simple.1@" + app.address());
  auto ask = [](Ctx& ctx) -> Task<std::string> {
    proto::HelloWorld_Req req;
    req.set_req("Bob");
    const auto random = co_await m3::call(ctx, req, m3::to::random());
    const auto single = co_await m3::call(ctx, req, m3::to::single());
    const auto named = co_await m3::call(ctx, req, m3::to::app("example.world1.simple.1"));
    CHECK(random.rsp() == single.rsp());
    const auto nobody =
        co_await as_result(m3::call(ctx, req, m3::to::app("example.world1.simple.9")));
    CHECK(nobody.code() == Errc::unavailable);
    CHECK_FALSE(nobody.status().maybe_executed());
    co_return named.rsp();
  };
  auto answer = caller.run(ask);
  INFO(answer.status().to_string());
  REQUIRE(answer.is_ok());
  CHECK(*answer == "HelloWorld , Bob");
}

TEST_CASE("S07: the options of the request's rpc choose the route, and mistakes are told at once") {
  // Two instances; Sit's holder message says route_key = "Player".
  Embedded one("table", "", "listen = \"127.0.0.1:0\"\n");
  one.app().serve<Table>("one");
  REQUIRE(one.start().is_ok());
  m3::App two("table");
  two.serve<Table>("two");
  m3::App::Embedding second;
  second.config =
      "id = \"example.world1.table.2\"\ncores = 1\ndrain_wait = \"0s\"\nlisten = \"127.0.0.1:0\"\n";
  REQUIRE(two.start(second).is_ok());
  Embedded caller("caller", "example.world1.table.1@" + one.app().address().to_string() +
                                "\", \"example.world1.table.2@" + two.address().to_string());
  auto ask = [](Ctx& ctx) -> Task<> {
    std::set<std::string> dealers;
    for (int i = 0; i < 40; ++i) {
      const auto req = player("p" + std::to_string(i));
      std::set<std::string> of_one_player;
      for (int again = 0; again < 3; ++again) {
        co_await m3::call(ctx, req);
        of_one_player.insert(*ctx.last_reply()->find("dealer"));
      }
      CHECK(of_one_player.size() == 1);
      dealers.insert(of_one_player.begin(), of_one_player.end());
    }
    CHECK(dealers == std::set<std::string>{"one", "two"});
    // Nothing is sent by a call that cannot be right.
    proto::HelloWorld_Req keyless;
    const auto hashed = co_await as_result(m3::call(ctx, keyless, m3::to::hash()));
    CHECK(hashed.code() == Errc::invalid_argument);
    CHECK_FALSE(hashed.status().maybe_executed());
    Ctx nobody(ctx.core());
    const auto outside = co_await as_result(m3::call(nobody, keyless));
    CHECK(outside.code() == Errc::failed_precondition);
    co_return m3::ok;
  };
  CHECK(caller.run(ask).status().to_string() == "ok");
  CHECK(two.stop().is_ok());
}

TEST_CASE(
    "S10: a request has one answer: the message, the handler's error, or the end of its time") {
  Pair pair;
  auto ask = [&](Ctx& ctx) -> Task<> {
    TableSerClient table(pair.caller->app());
    const auto ann = player("ann"), nobody = player("nobody"), slow = player("slow");
    const auto good = co_await table.sit(ctx, ann);
    CHECK(good.seat() == " seat, asked by example.world1.caller.1");
    const auto missing = co_await as_result(table.sit(ctx, nobody));
    CHECK(missing.code() == Errc::not_found);
    CHECK(missing.status().text() == "no such player");
    CHECK(missing.status().app_code() == 1404);
    const auto late =
        co_await as_result(m3::within(ctx, 50ms, [&](Ctx& soon) { return table.sit(soon, slow); }));
    CHECK(late.code() == Errc::deadline_exceeded);
    co_return m3::ok;
  };
  CHECK(pair.caller->run(ask).status().to_string() == "ok");
}
