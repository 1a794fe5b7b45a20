// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/mesh.h"

#include <map>
#include <string>

#include <atomic>
#include <mutex>
#include "m3/testing/rogue_peer.h"
#include "town.h"

using m3::as_result;
using m3::Ctx;
using m3::Task;
using mesh_test::Caller;
using mesh_test::know;
using mesh_test::kRole;
using mesh_test::member;
using mesh_test::Server;
using mesh_test::tell_when_watched;
using mesh_test::Wires;
using namespace std::chrono_literals;

namespace {

using m3::testing::contains;

/// Who answered how often; errors by their text.
Task<std::map<std::string, int>> ask_often(Ctx& ctx, Caller& caller, int times) {
  std::map<std::string, int> out;
  for (int i = 0; i < times; ++i) ++out[co_await caller.ask(ctx, m3::to::random())];
  co_return out;
}

double ejected(Caller& caller) {
  for (const auto& family : caller.metrics().collect())
    if (family.name == "m3_rpc_ejected_total")
      for (const auto& series : family.series) return series.value;
  return -1;
}

}  // namespace

CO_TEST(
    "mesh: an instance that answers with errors is left out for a while, but never more than "
    "half") {
  Wires wires;
  Server one(sim, wires, member(1)), two(sim, wires, member(2)), three(sim, wires, member(3));
  Caller caller(sim, wires);
  co_await know(ctx, caller, {member(1), member(2), member(3)});
  const std::string error = "internal: as told";
  one.fails_with = m3::Errc::internal;
  auto seen = co_await ask_often(ctx, caller, 200);
  CHECK(seen[error] == 5);  // in a row; then the others answer
  CHECK(seen["dev.w.role.2"] + seen["dev.w.role.3"] == 195);
  CHECK(ejected(caller) == 1);
  // A handler's refusals are answers, not faults.
  three.fails_with = m3::Errc::not_found;
  seen = co_await ask_often(ctx, caller, 100);
  CHECK(seen["not_found: as told"] > 20);
  CHECK(seen[error] == 0);
  CHECK(ejected(caller) == 1);
  // Of three a second one stays, bad as it is.
  three.fails_with = m3::Errc::internal;
  seen = co_await ask_often(ctx, caller, 100);
  CHECK(seen[error] > 20);
  CHECK(seen["dev.w.role.1"] == 0);
  CHECK(ejected(caller) == 1);
  three.fails_with = m3::Errc::ok;
  one.fails_with = m3::Errc::ok;
  co_await m3::sleep(ctx, 11s);
  seen = co_await ask_often(ctx, caller, 100);
  CHECK(seen.size() == 3);
  CHECK(seen["dev.w.role.1"] > 0);
  co_await caller.stop(ctx);
  co_await one.die(ctx);
  co_await two.die(ctx);
  co_await three.die(ctx);
}

CO_TEST(
    "mesh: one that lets its callers' deadlines pass is left out, whosever deadlines they are") {
  Wires wires;
  Server one(sim, wires, member(1)), two(sim, wires, member(2));
  Caller caller(sim, wires);
  co_await know(ctx, caller, {member(1), member(2)});
  one.hangs = true;
  int late = 0;
  for (int i = 0; i < 100; ++i) {
    // The caller's own deadline: the call has none that is sooner.
    const auto answer = co_await as_result(
        m3::within(ctx, 50ms, [&](Ctx& soon) { return caller.ask(soon, m3::to::random()); }));
    if (answer.is_ok() ? contains(*answer, "deadline_exceeded") : true) ++late;
  }
  CHECK(late == 5);
  CHECK(ejected(caller) == 1);
  co_await caller.stop(ctx);
  co_await one.die(ctx);
  co_await two.die(ctx);
}

CO_TEST("mesh: an instance that is leaving still reports its id") {
  Wires wires;
  Server leaving(sim, wires, member(1, 7));
  Caller caller(sim, wires);
  co_await know(ctx, caller, {member(1, 7)});
  co_await leaving.node().leave(ctx);
  const m3::SelfReport report = co_await caller.mesh().report_from(ctx, member(1, 7));
  CHECK(report.generation == 7);
  CHECK(report.leaving);
  co_await caller.stop(ctx);
  co_await leaving.die(ctx);
}

CO_TEST("mesh: the first call waits for the router's first answer") {
  Wires wires;
  Server one(sim, wires, member(1));
  Caller caller(sim, wires);
  m3::Scope scope(ctx.core());
  scope.spawn("router", [&](Ctx& c) { return tell_when_watched(c, caller, {member(1)}); });
  CHECK(co_await caller.ask(ctx, m3::to::random()) == "dev.w.role.1");
  co_await scope.close(ctx);
  co_await caller.stop(ctx);
  co_await one.die(ctx);
}

CO_TEST("mesh: without an instance a call fails at once, or when wait_for_route is over") {
  Wires wires;
  Caller caller(sim, wires);
  // The router is silent.
  auto began = ctx.core().now();
  CHECK(contains(co_await caller.ask(ctx, m3::to::random()), "the router has not answered"));
  CHECK(ctx.core().now() - began <= 2100ms);
  co_await know(ctx, caller, {});
  began = ctx.core().now();
  CHECK(contains(co_await caller.ask(ctx, m3::to::random()),
                 "unavailable: no instance of dev.w.role is known"));
  CHECK(contains(co_await caller.ask(ctx, m3::to::app("dev.w.role.7")),
                 "no instance of the app dev.w.role.7 is known"));
  CHECK(ctx.core().now() == began);
  co_await caller.stop(ctx);

  m3::MeshConfig patient;
  patient.wait_for_route = 3s;
  Caller waiting(sim, wires, patient);
  co_await know(ctx, waiting, {});
  sim.clock().advance(1s);  // work in this turn: it does not shorten the wait
  began = ctx.core().read_clock();
  CHECK(contains(co_await waiting.ask(ctx, m3::to::random()), "no instance of dev.w.role"));
  CHECK(ctx.core().read_clock() - began >= 2990ms);
  Server late(sim, wires, member(1));
  m3::Scope scope(ctx.core());
  struct Later {
    static Task<> tell(Ctx& ctx, Caller& caller) {
      co_await m3::sleep(ctx, 1s);
      caller.router.tell(kRole, {member(1)});
      co_return m3::ok;
    }
  };
  scope.spawn("later", [&](Ctx& c) { return Later::tell(c, waiting); });
  CHECK(co_await waiting.ask(ctx, m3::to::random()) == "dev.w.role.1");
  co_await scope.close(ctx);
  co_await waiting.stop(ctx);
  co_await late.die(ctx);
}

CO_TEST("mesh: an empty list is not believed while instances answer") {
  Wires wires;
  Server one(sim, wires, member(1)), two(sim, wires, member(2));
  Caller caller(sim, wires);
  co_await know(ctx, caller, {member(1), member(2)});
  caller.router.tell(kRole, {});
  for (int i = 0; i < 100; ++i) {
    CHECK(contains(co_await caller.ask(ctx, m3::to::random()), "dev.w.role."));
    co_await m3::sleep(ctx, 100ms);
  }
  // One dies: then nobody vouches for it any more, and the other stays.
  co_await one.die(ctx);
  co_await m3::sleep(ctx, 3s);
  const auto known = caller.mesh().snapshot(ctx.core(), kRole);
  CHECK(known->entries().size() == 1);
  for (int i = 0; i < 20; ++i) CHECK(co_await caller.ask(ctx, m3::to::random()) == "dev.w.role.2");
  co_await caller.stop(ctx);
  co_await two.die(ctx);
}

CO_TEST("mesh: one that was restarted with a clock that went back gets its calls") {
  for (const bool same_address : {false, true}) {
    Wires wires;
    m3::Member before = member(1, 7), after = member(1, 4);
    if (same_address) after.address = before.address;
    Server old(sim, wires, before);
    Caller caller(sim, wires);
    co_await know(ctx, caller, {before});
    CHECK(co_await caller.ask(ctx, m3::to::random()) == "dev.w.role.1");
    // An old answer of the registry, while the later one lives.
    caller.router.tell(kRole, {member(1, 2)});
    co_await m3::sleep(ctx, 1s);
    CHECK(caller.mesh().snapshot(ctx.core(), kRole)->named("dev.w.role.1")->generation == 7);
    co_await old.die(ctx);
    Server fresh(sim, wires, after);
    caller.router.tell(kRole, {after});
    co_await m3::sleep(ctx, 2s);
    CHECK(co_await caller.ask(ctx, m3::to::random()) == "dev.w.role.1");
    CHECK(caller.mesh().snapshot(ctx.core(), kRole)->named("dev.w.role.1")->generation == 4);
    co_await caller.stop(ctx);
    co_await fresh.die(ctx);
  }
}

CO_TEST("mesh: a connection from before does not vouch for one that is silent") {
  Wires wires;
  Server one(sim, wires, member(1)), two(sim, wires, member(2));
  Caller caller(sim, wires);
  co_await know(ctx, caller, {member(1), member(2)});
  for (int i = 0; i < 20; ++i)
    CHECK(contains(co_await caller.ask(ctx, m3::to::random()), "dev.w.role."));
  co_await m3::sleep(ctx, 1min);
  wires.to(one.self().address).freeze(true);
  caller.router.tell(kRole, {member(2)});
  co_await m3::sleep(ctx, 1200ms);
  CHECK(caller.mesh().snapshot(ctx.core(), kRole)->entries().size() == 1);
  wires.to(one.self().address).freeze(false);
  co_await caller.stop(ctx);
  co_await one.die(ctx);
  co_await two.die(ctx);
}

CO_TEST("mesh: an instance that disappears while another is probed is probed at once") {
  Wires wires;
  Server one(sim, wires, member(1)), two(sim, wires, member(2)), three(sim, wires, member(3));
  Server four(sim, wires, member(4));
  Caller caller(sim, wires);
  const auto tell = [&](int from) {
    std::vector<m3::Member> list;
    for (int ins = from; ins <= 12; ++ins) list.push_back(member(ins));
    caller.router.tell(kRole, list);
  };
  const auto known = [&] { return caller.mesh().snapshot(ctx.core(), kRole)->entries().size(); };
  co_await know(ctx, caller, {member(1)});
  tell(1);
  tell(2);
  co_await m3::sleep(ctx, 300ms);  // the first answered, and is kept for a moment
  CHECK(known() == 12);
  co_await two.die(ctx);
  tell(3);
  co_await m3::sleep(ctx, 50ms);
  CHECK(known() == 11);
  // One that hangs does not hold up the others.
  wires.to(three.self().address).freeze(true);
  tell(4);
  co_await m3::sleep(ctx, 100ms);
  co_await four.die(ctx);
  tell(5);
  co_await m3::sleep(ctx, 50ms);
  CHECK(known() == 10);
  co_await m3::sleep(ctx, 3s);
  CHECK(known() == 8);
  wires.to(three.self().address).freeze(false);
  co_await caller.stop(ctx);
  for (Server* server : {&one, &three}) co_await server->die(ctx);
}

CO_TEST("mesh: one that says it is leaving is not kept against the registry's word") {
  Wires wires;
  Server one(sim, wires, member(1));
  Caller caller(sim, wires);
  co_await know(ctx, caller, {member(1)});
  CHECK(co_await caller.ask(ctx, m3::to::random()) == "dev.w.role.1");
  caller.router.tell(kRole, {});
  co_await one.node().leave(ctx);
  co_await m3::sleep(ctx, 3s);
  CHECK(caller.mesh().snapshot(ctx.core(), kRole)->empty());
  co_await caller.stop(ctx);
  co_await one.die(ctx);
}

CO_TEST("mesh: the router's last lists stay valid while it is unreachable") {
  Wires wires;
  Server one(sim, wires, member(1));
  Caller caller(sim, wires);
  co_await know(ctx, caller, {member(1)});
  caller.router.lose(kRole);
  CHECK_FALSE(caller.mesh().router_status().is_ok());
  CHECK(co_await caller.ask(ctx, m3::to::single()) == "dev.w.role.1");
  caller.router.tell(kRole, {member(1)});
  CHECK(caller.mesh().router_status().is_ok());
  co_await caller.stop(ctx);
  co_await one.die(ctx);
}

CO_TEST("mesh: cordoned and draining ones get calls only by name") {
  Wires wires;
  Server one(sim, wires, member(1)), two(sim, wires, member(2));
  Caller caller(sim, wires);
  auto cordoned = member(1);
  cordoned.state = m3::MemberState::cordoned;
  co_await know(ctx, caller, {cordoned, member(2)});
  for (int i = 0; i < 20; ++i) {
    const std::string key = std::to_string(i);
    CHECK(co_await caller.ask(ctx, m3::to::random()) == "dev.w.role.2");
    CHECK(co_await caller.ask(ctx, m3::to::hash(key), key) == "dev.w.role.2");
    CHECK(co_await caller.ask(ctx, m3::to::single()) == "dev.w.role.2");
  }
  CHECK(co_await caller.ask(ctx, m3::to::app("dev.w.role.1")) == "dev.w.role.1");
  cordoned.state = m3::MemberState::draining;
  auto second = member(2);
  second.state = m3::MemberState::draining;
  caller.router.tell(kRole, {cordoned, second});
  CHECK(contains(co_await caller.ask(ctx, m3::to::random()), "leaving or cordoned"));
  co_await caller.stop(ctx);
  co_await one.die(ctx);
  co_await two.die(ctx);
}

CO_TEST("mesh: a weight or a state that changes keeps the connections") {
  Wires wires;
  Server one(sim, wires, member(1)), two(sim, wires, member(2));
  Caller caller(sim, wires);
  auto changed = member(1);
  co_await know(ctx, caller, {changed, member(2)});
  const auto ask_both = [&]() -> Task<> {
    for (int ins : {1, 2}) {
      const std::string id = member(ins).id.to_string();
      CHECK(co_await caller.ask(ctx, m3::to::app(id)) == id);
    }
    co_return m3::ok;
  };
  co_await ask_both();
  CHECK(wires.dials == 2);
  for (const std::uint32_t weight : {50u, 0u, 100u}) {
    changed.weight = weight;
    changed.state = weight == 0 ? m3::MemberState::cordoned : m3::MemberState::serving;
    caller.router.tell(kRole, {changed, member(2)});
    co_await ask_both();
    CHECK(wires.dials == 2);
    CHECK(one.node().connections() == 1);
  }
  co_await caller.stop(ctx);
  co_await one.die(ctx);
  co_await two.die(ctx);
}

CO_TEST("mesh: all callers agree on Single and Hash, and late starters too") {
  Wires wires;
  Server two(sim, wires, member(2)), nine(sim, wires, member(9)), ten(sim, wires, member(10));
  Caller early(sim, wires), late(sim, wires);
  co_await know(ctx, early, {member(10), member(9)});
  early.router.tell(kRole, {member(9), member(10), member(2)});
  co_await know(ctx, late, {member(2), member(10), member(9)});
  CHECK(co_await early.ask(ctx, m3::to::single()) == "dev.w.role.2");
  CHECK(co_await late.ask(ctx, m3::to::single()) == "dev.w.role.2");
  for (int i = 0; i < 200; ++i) {
    const std::string key = std::to_string(i);
    const std::string first = co_await early.ask(ctx, m3::to::hash(key), key);
    const std::string second = co_await late.ask(ctx, m3::to::hash(key), key);
    CHECK(first == second);
  }
  co_await early.stop(ctx);
  co_await late.stop(ctx);
  for (Server* server : {&two, &nine, &ten}) co_await server->die(ctx);
}

CO_TEST("mesh: hundreds that a registry forgets at once are all asked") {
  Wires wires;
  constexpr int kMany = 500;
  std::vector<m3::Member> list;
  std::vector<std::unique_ptr<Server>> servers;
  for (int i = 1; i <= kMany; ++i) {
    list.push_back(member(i));
    if (i > kMany / 2) servers.push_back(std::make_unique<Server>(sim, wires, member(i)));
  }
  Caller caller(sim, wires);
  co_await know(ctx, caller, list);
  caller.router.tell(kRole, {});
  co_await m3::sleep(ctx, 5s);
  CHECK(caller.mesh().snapshot(ctx.core(), kRole)->entries().size() == kMany / 2);
  co_await caller.stop(ctx);
  for (auto& server : servers) co_await server->die(ctx);
}

CO_TEST("mesh: the instance at a member's address is identified by its generation") {
  Wires wires;
  Server one(sim, wires, member(1, 7));
  Caller caller(sim, wires);
  const auto found = co_await as_result(caller.mesh().report_from(ctx, member(1, 7)));
  CHECK((found.is_ok() && found->generation == 7 && !found->leaving));
  const auto nobody = co_await as_result(caller.mesh().report_from(ctx, member(2)));
  CHECK(nobody.status() == m3::Errc::unavailable);
  co_await caller.stop(ctx);
  co_await one.die(ctx);
}
