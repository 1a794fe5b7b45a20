// SPDX-License-Identifier: BSL-1.0
#include <concepts>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "actors.m3.h"
#include "both.m3.h"
#include "comments.m3.h"
#include "common/ids.m3.h"
#include "game/role.m3.h"
#include "hello.m3.h"
#include "hidden.m3.h"
#include "m3/base/method_hash.h"
#include "m3/testing/co_test.h"
#include "names.m3.h"
#include "no_package.m3.h"
#include "reference.m3.h"
#include "routes.m3.h"
#include "seed.m3.h"

namespace {

using demo::routes::RoutesService;
using m3::RouteMode;

template <class Request>
std::string key_of(const m3::MethodInfo& info, const Request& request) {
  REQUIRE(info.route_key != nullptr);
  return info.route_key(request);
}

template <class Request, class Value>
std::string key_of_value(const m3::MethodInfo& info, Value value) {
  Request request;
  request.set_key(value);
  return key_of(info, request);
}

}  // namespace

TEST_CASE("golden: a method table names, hashes and describes its methods") {
  const m3::MethodInfo& say = hello::HelloService::kSay;
  CHECK(say.full_name == "/hello.Hello/Say");
  CHECK(say.hash == m3::method_hash("/hello.Hello/Say"));
  CHECK(say.route == RouteMode::random);
  CHECK(say.client);
  CHECK_FALSE(say.notify);
  CHECK(say.route_key == nullptr);
  CHECK(say.request().GetDescriptor()->full_name() == "hello.SayReq");
  CHECK(say.response().GetDescriptor()->full_name() == "hello.SayRsp");

  const m3::MethodInfo& shout = hello::HelloService::kShout;
  CHECK(shout.notify);
  CHECK_FALSE(shout.client);
  CHECK(shout.request().GetDescriptor()->full_name() == "hello.Notice");
  CHECK(shout.response == nullptr);
}

TEST_CASE("golden: a service lists its methods in the order of the .proto") {
  hello::HelloService service;
  CHECK(service.service_name() == "hello.Hello");
  REQUIRE(service.bindings().size() == 2);
  CHECK(service.bindings()[0].info == &hello::HelloService::kSay);
  CHECK(service.bindings()[1].info == &hello::HelloService::kShout);
  CHECK(demo::routes::NoneService().bindings().empty());
}

TEST_CASE("golden: a service knows which of its rpcs have no handler") {
  using Names = std::vector<std::string_view>;
  struct Nothing : hello::HelloService {};
  struct ByValue : hello::HelloService {
    m3::Task<hello::SayRsp> say(m3::Ctx&, const hello::SayReq&) override {
      co_return hello::SayRsp();
    }
  };
  struct Pooled : hello::HelloService {
    m3::Task<> say(m3::Ctx&, const hello::SayReq&, hello::SayRsp&) override { co_return m3::ok; }
  };
  struct Grandchild : ByValue {
    m3::Task<> shout(m3::Ctx&, const hello::Notice&) override { co_return m3::ok; }
  };
  struct Hidden : hello::HelloService {
   private:
    m3::Task<> shout(m3::Ctx&, const hello::Notice&) override { co_return m3::ok; }
  };
  CHECK(Nothing::not_overridden<Nothing>() == Names{"Say", "Shout"});
  CHECK(ByValue::not_overridden<ByValue>() == Names{"Shout"});
  CHECK(Pooled::not_overridden<Pooled>() == Names{"Shout"});
  CHECK(Grandchild::not_overridden<Grandchild>().empty());
  CHECK(Hidden::not_overridden<Hidden>() == Names{"Say"});
}

TEST_CASE("golden: a hash key is the field as text") {
  demo::routes::ByName name;
  name.set_name("ann");
  CHECK(key_of(RoutesService::kHashByName, name) == "ann");
  CHECK(key_of(RoutesService::kHashByName, demo::routes::ByName()).empty());
  CHECK(key_of_value<demo::routes::ByI32>(
            RoutesService::kHashByI32, std::numeric_limits<std::int32_t>::min()) == "-2147483648");
  CHECK(key_of_value<demo::routes::ByI64>(RoutesService::kHashByI64,
                                          std::numeric_limits<std::int64_t>::min()) ==
        "-9223372036854775808");
  CHECK(key_of_value<demo::routes::ByU32>(
            RoutesService::kHashByU32, std::numeric_limits<std::uint32_t>::max()) == "4294967295");
  CHECK(key_of_value<demo::routes::ByU64>(RoutesService::kHashByU64,
                                          std::numeric_limits<std::uint64_t>::max()) ==
        "18446744073709551615");
  CHECK(key_of_value<demo::routes::ByOptional>(RoutesService::kHashByOptional, "k") == "k");
  demo::routes::ByOneof oneof;
  CHECK(key_of(RoutesService::kHashByOneof, oneof) == "0");
  oneof.set_right(7);
  CHECK(key_of(RoutesService::kHashByOneof, oneof) == "7");
}

TEST_CASE("golden: the options of an rpc reach its method table") {
  CHECK(RoutesService::kHashByName.route == RouteMode::hash);
  CHECK(RoutesService::kHashByI32.route == RouteMode::hash);  // a route_key alone
  CHECK(RoutesService::kRandomWithKey.route == RouteMode::random);
  CHECK(RoutesService::kToOne.route == RouteMode::p2p);
  CHECK(RoutesService::kToFirst.route == RouteMode::single);
  CHECK(RoutesService::kTellAll.route == RouteMode::broadcast);
  CHECK(RoutesService::kTellTopic.route == RouteMode::multicast);
  CHECK(RoutesService::kTellTopic.notify);
  CHECK(RoutesService::kPlain.route == RouteMode::random);
  CHECK(RoutesService::kPlain.timeout_ms == 0);
  CHECK(RoutesService::kNoKey.route_key == nullptr);
  CHECK(RoutesService::kInADay.timeout_ms == 86'400'000);
  const m3::MethodInfo& all = RoutesService::kEverything;
  CHECK((all.client && all.trace && all.idempotent && !all.notify));
  CHECK(all.durability == m3::Durability::sync);
  CHECK(all.timeout_ms == 1500);
  CHECK(RoutesService::kPlain.durability == m3::Durability::write_behind);
}

TEST_CASE("golden: the method's option wins over the holder's, field by field") {
  both::Key_Req request;
  request.set_a("a");
  request.set_b(-5);
  CHECK(key_of(both::BothService::kKey, request) == "-5");
  CHECK(both::BothService::kKey.trace);
  CHECK_FALSE(both::BothService::kKey.client);
  CHECK(both::BothService::kNoKey.route_key == nullptr);
  CHECK(both::BothService::kNoKey.route == RouteMode::random);
  CHECK_FALSE(both::BothService::kAnswers.notify);
  CHECK_FALSE(both::BothService::kAnswers.trace);
  CHECK(both::BothService::kAnswers.client);
  CHECK(both::BothService::kTells.notify);
}

TEST_CASE("golden: m3game's spelling gives the same tables") {
  CHECK(proto::SimpleSerService::kHelloWorld.full_name == "/proto.SimpleSer/HelloWorld");
  CHECK(proto::SimpleSerService::kHelloWorld.route_key == nullptr);
  CHECK(proto::SimpleSerClient::kDefaultFunc == "simple");
  CHECK(proto::MutilSerService::kTraceHello.trace);
  proto::Register_Req request;
  request.set_actorid("7");
  CHECK(key_of(proto::ActorRegSerService::kRegister, request) == "7");
  CHECK(proto::ActorRegSerService::kRegister.client);
  CHECK(proto::ActorSerService::kPostChannel.notify);
}

TEST_CASE("golden: actor services route to the actor of their key") {
  using demo::actors::RoleSerService;
  CHECK(RoleSerService::kPlacement == "activated");
  CHECK(demo::actors::ClubServerService::kPlacement == "resident_dynamic");
  CHECK(demo::actors::SvcService::kPlacement == "stateless");
  demo::actors::LoginReq login;
  login.set_role_id("ann");
  CHECK(RoleSerService::kLogin.route == RouteMode::actor);
  CHECK(key_of(RoleSerService::kLogin, login) == "ann");
  demo::actors::FightReq fight;
  fight.set_role_id(1);
  fight.set_zone_id(2);
  CHECK(RoleSerService::kFight.route == RouteMode::actor);
  CHECK(key_of(RoleSerService::kFight, fight) == "2");
  CHECK(RoleSerService::kTick.route_key == nullptr);
  CHECK(RoleSerService::kKick.route == RouteMode::broadcast);
}

TEST_CASE("golden: the func of a service is said or made from its name") {
  CHECK(hello::HelloClient::kDefaultFunc == "hello");
  CHECK(demo::routes::RoutesClient::kDefaultFunc == "routes-2");
  CHECK(demo::actors::RoleSerClient::kDefaultFunc == "role");
  CHECK(demo::actors::ClubServerClient::kDefaultFunc == "club");
  CHECK(demo::actors::SvcClient::kDefaultFunc == "svc");
  CHECK(proto::ActorRegSerClient::kDefaultFunc == "actorreg");
}

TEST_CASE("golden: a request type leads to its rpc") {
  using Say = m3::RpcTraits<hello::SayReq>;
  STATIC_REQUIRE(std::same_as<Say::Response, hello::SayRsp>);
  STATIC_REQUIRE(Say::default_func == "hello");
  CHECK(&Say::info() == &hello::HelloService::kSay);
  STATIC_REQUIRE(std::same_as<m3::RpcTraits<hello::Notice>::Response, void>);
  CHECK(&m3::RpcTraits<game::role::Local>::info() == &game::role::RoleService::kOwn);
  CHECK(&m3::RpcTraits<GlobalReq>::info() == &GlobalService::kDo);
}

CO_TEST("golden: a handler that is not overridden says so") {
  hello::HelloService service;
  hello::SayReq request;
  hello::SayRsp response;
  CHECK_FALSE(service.say(ctx, request, response)
                  .valid());  // no pooled handler: the dispatcher takes the other
  const m3::Result<hello::SayRsp> answer = co_await m3::as_result(service.say(ctx, request));
  CHECK(answer.code() == m3::Errc::unimplemented);
  CHECK(answer.status().text() == "/hello.Hello/Say is not overridden");
  m3::Task<> shout = service.shout(ctx, hello::Notice());
  // NOLINTNEXTLINE(bugprone-use-after-move): CHECK reads it once
  CHECK((co_await m3::as_result(std::move(shout))).code() == m3::Errc::unimplemented);
}
