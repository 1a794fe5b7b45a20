// SPDX-License-Identifier: BSL-1.0
// Whom calls go to when instances are new, sick, restarted or refuse.
#include <algorithm>
#include <map>
#include <string>

#include "m3/testing/rogue_peer.h"
#include "town.h"

using m3::Task;
using m3::testing::contains;
using mesh_test::Caller;
using mesh_test::know;
using mesh_test::kRole;
using mesh_test::member;
using mesh_test::Server;
using mesh_test::Town;
using mesh_test::Wires;
using namespace std::chrono_literals;

namespace {

const m3::Route kChoosing[] = {m3::to::random(), m3::to::hash(), m3::to::single()};

}  // namespace

CO_TEST("mesh: of few and of many instances, those that refuse get few calls by any route") {
  for (const int size : {2, 12})
    for (const m3::Route& route : kChoosing) {
      Town town(sim, size);
      co_await know(ctx, town.caller, town.list);
      // More than half of them: who refuses does no work that the others would have to take over.
      const int refusing = size == 2 ? 1 : 8;
      for (int i = 0; i < refusing; ++i)
        town.servers[static_cast<std::size_t>(i)]->refuses_with = m3::Errc::resource_exhausted;
      (void)co_await town.answered(ctx, route);
      for (int i = 0; i < 5; ++i) CHECK(co_await town.answered(ctx, route) >= 99);
      for (auto& server : town.servers) server->refuses_with = m3::Errc::ok;
      for (int i = 0; i < 12; ++i) (void)co_await town.answered(ctx, route);
      std::map<std::string, int> by;
      for (int i = 0; i < 400; ++i) ++by[co_await town.caller.ask(ctx, route, std::to_string(i))];
      CHECK(by["dev.w.role.1"] >= (route.mode() == m3::RouteMode::single ? 400 : 1));
      co_await town.end(ctx);
    }
}

CO_TEST("mesh: peers that die on every request, of few instances and of many, by any route") {
  for (const int size : {2, 12})
    for (const m3::Route& route : kChoosing) {
      Town town(sim, size);
      m3::HelloConfig hello;
      hello.app_id = "dev.w.role.1";
      const m3::MethodInfo& who = mesh_test::RoleService::kWho;
      hello.methods = m3::encode_methods({{who.hash, std::string(who.full_name)}});
      m3::testing::RoguePeer rogue(sim.core(), hello);
      rogue.manner = m3::testing::RoguePeer::Manner::closes;
      const m3::HostPort address = town.list.front().address;
      town.wires.to(address).listen(sim.core(), address,
                                    [&](auto stream) { rogue.accept(std::move(stream)); });
      co_await know(ctx, town.caller, town.list);
      (void)co_await town.answered(ctx, route);
      const int asked = rogue.requests;
      for (int i = 0; i < 10; ++i) CHECK(co_await town.answered(ctx, route) >= 99);
      CHECK(rogue.requests - asked <= 5);
      co_await town.end(ctx);
      town.wires.to(address).unlisten(address);
    }
}

CO_TEST("mesh: an actor's calls go to its owner, whatever became of others") {
  Town town(sim, 3);
  co_await know(ctx, town.caller, town.list);
  for (auto& server : town.servers) server->refuses_with = m3::Errc::resource_exhausted;
  for (int i = 0; i < 20; ++i) {
    const std::string who = co_await town.caller.ask(ctx, m3::to::actor("ann"));
    CHECK(contains(who, "resource_exhausted"));
  }
  int asked = 0;
  for (auto& server : town.servers) asked += server->asked > 0;
  CHECK(asked == 1);
  co_await town.end(ctx);
}

CO_TEST(
    "mesh: a random call does not wait for one that is new and deaf; a new one gets its share") {
  for (const bool weighted : {false, true}) {
    Town town(sim, 3);
    if (weighted) town.list[0].weight = 50;
    const m3::Member fresh = town.list.back();
    const m3::Member deaf = member(4);
    m3::testing::RoguePeer rogue(sim.core(), {});
    rogue.manner = m3::testing::RoguePeer::Manner::never_greets;
    town.wires.to(deaf.address).listen(sim.core(), deaf.address, [&](auto stream) {
      rogue.accept(std::move(stream));
    });
    town.list.pop_back();
    co_await know(ctx, town.caller, town.list);
    for (const m3::Member& one : town.list)
      CHECK(co_await town.caller.ask(ctx, m3::to::app(one.id.to_string())) == one.id.to_string());
    town.list.push_back(fresh);
    town.list.push_back(deaf);
    town.caller.router.tell(kRole, town.list);
    std::map<std::string, int> by;
    m3::Nanos longest{0};
    for (int i = 0; i < 300; ++i) {
      const m3::TimePoint began = ctx.core().now();
      ++by[co_await town.caller.ask(ctx, m3::to::random())];
      longest = std::max(longest, ctx.core().now() - began);
      co_await m3::sleep(ctx, 1ms);
    }
    CHECK(longest < 1ms);
    CHECK(by.size() == 3);
    CHECK(by["dev.w.role.3"] > 50);
    CHECK(rogue.connected.size() == 1);  // it is dialled nevertheless
    co_await town.end(ctx);
    town.wires.to(deaf.address).unlisten(deaf.address);
  }
}

CO_TEST("mesh: a key's first call after its owner's restart is listed goes to the owner") {
  for (const bool same_address : {false, true})
    for (const auto down : {10ms, 500ms, 20000ms}) {
      Wires wires;
      m3::Member before = member(1, 1), after = member(1, 2);
      if (same_address) after.address = before.address;
      Server old(sim, wires, before), two(sim, wires, member(2));
      Caller caller(sim, wires);
      co_await know(ctx, caller, {before, member(2)});
      std::string key = "0";
      while (co_await caller.ask(ctx, m3::to::hash(key), key) != "dev.w.role.1") key += "0";
      co_await old.die(ctx);
      const m3::TimePoint back = ctx.core().now() + down;
      while (ctx.core().now() < back) {  // pauses grow meanwhile
        CHECK(co_await caller.ask(ctx, m3::to::hash(key), key) == "dev.w.role.2");
        co_await m3::sleep(ctx, 5ms);
      }
      Server fresh(sim, wires, after);
      caller.router.tell(kRole, {after, member(2)});
      CHECK(co_await caller.ask(ctx, m3::to::hash(key), key) == "dev.w.role.1");
      co_await caller.stop(ctx);
      co_await fresh.die(ctx);
      co_await two.die(ctx);
    }
}

CO_TEST("mesh: one that says it is sick gets no calls by choice, unless too many do") {
  Town town(sim, 3);
  co_await know(ctx, town.caller, town.list);
  const auto asked = [&]() -> Task<std::map<std::string, int>> {
    std::map<std::string, int> by;
    for (int i = 0; i < 100; ++i) {
      ++by[co_await town.caller.ask(ctx, m3::to::random())];
      co_await m3::sleep(ctx, 10ms);
    }
    co_return by;
  };
  CHECK((co_await asked()).size() == 3);
  CHECK_FALSE(town.servers[0]->node().set_sick(true));
  co_await m3::sleep(ctx, 1s);  // a ping
  for (int i = 0; i < 3; ++i) {
    auto by = co_await asked();
    CHECK(by.size() == 2);
    CHECK(by["dev.w.role.1"] == 0);
  }
  CHECK(co_await town.caller.ask(ctx, m3::to::app("dev.w.role.1")) == "dev.w.role.1");
  CHECK((co_await town.caller.mesh().report_from(ctx, town.list[0])).sick);
  for (int i : {1, 2}) town.servers[static_cast<std::size_t>(i)]->node().set_sick(true);
  co_await m3::sleep(ctx, 3s);
  CHECK((co_await asked()).size() == 3);
  CHECK(town.caller.mesh().snapshot(ctx.core(), kRole)->ignores_sick());
  for (int i : {0, 1}) CHECK(town.servers[static_cast<std::size_t>(i)]->node().set_sick(false));
  co_await m3::sleep(ctx, 2s);
  auto by = co_await asked();
  CHECK(by.size() == 2);
  CHECK(by["dev.w.role.3"] == 0);
  town.servers[2]->node().set_sick(false);
  co_await m3::sleep(ctx, 2s);
  CHECK((co_await asked()).size() == 3);
  co_await town.end(ctx);
}

CO_TEST("mesh: one that was sick when its first caller came says so in its hello") {
  Town town(sim, 2);
  town.servers[0]->node().set_sick(true);
  co_await know(ctx, town.caller, town.list);
  CHECK(co_await town.caller.ask(ctx, m3::to::app("dev.w.role.1")) == "dev.w.role.1");
  for (int i = 0; i < 50; ++i)
    CHECK(co_await town.caller.ask(ctx, m3::to::random()) == "dev.w.role.2");
  co_await town.end(ctx);
}
