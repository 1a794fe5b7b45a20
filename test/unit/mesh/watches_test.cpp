// SPDX-License-Identifier: BSL-1.0
// Which services are watched, and for how long.
#include "m3/mesh/detail/watches.h"

#include <string>

#include "mesh_fixture.h"

using m3::Ctx;
using m3::Task;
using mesh_test::Caller;
using mesh_test::kRole;
using mesh_test::member;
using mesh_test::Server;
using mesh_test::Wires;
using namespace std::chrono_literals;

namespace {

/// The caller has called kRole, whose first instance answers.
Task<> begin_calling(Ctx& ctx, Caller& caller) {
  (void)caller.mesh().snapshot(ctx.core(), kRole);
  co_await m3::sleep(ctx, 1ms);
  caller.router.tell(kRole, {member(1)});
  CHECK(co_await caller.ask(ctx, m3::to::random()) == "dev.w.role.1");
  co_return m3::ok;
}

/// Calls an id that nobody has. The router answers at once.
Task<> call_nonsense(Ctx& ctx, Caller& caller, int number) {
  const m3::Pick pick = caller.mesh().pick({kRole, m3::RouteMode::p2p,
                                            "dev.w.made-up" + std::to_string(number) + ".1",
                                            m3::kNoSlot, caller.node().caller().peers()});
  CHECK_FALSE(pick.instance);
  if (number % 100 == 0) {
    co_await m3::sleep(ctx, 1ms);
    caller.router.tell_nobody(kRole);
  }
  co_return m3::ok;
}

}  // namespace

CO_TEST("mesh watches: a service without calls for ten minutes is no longer watched") {
  Wires wires;
  Server one(sim, wires, member(1));
  Caller caller(sim, wires);
  co_await begin_calling(ctx, caller);
  for (int i = 0; i < 3; ++i) {
    co_await m3::sleep(ctx, 9min);
    CHECK(caller.router.is_watched(kRole));
    CHECK(co_await caller.ask(ctx, m3::to::app("dev.w.role.1")) == "dev.w.role.1");
  }
  CHECK(one.node().connections() == 1);
  co_await m3::sleep(ctx, 10min + 10s);
  CHECK_FALSE(caller.router.is_watched(kRole));
  CHECK(one.node().connections() == 0);
  co_await begin_calling(ctx, caller);  // and from then on it is again
  CHECK(caller.router.begun == 2);
  co_await caller.stop(ctx);
  co_await one.die(ctx);
}

CO_TEST("mesh watches: an empty service is remembered for ten seconds after the last call") {
  Wires wires;
  Caller caller(sim, wires);
  co_await call_nonsense(ctx, caller, 100);
  for (int i = 0; i < 5; ++i) {
    co_await m3::sleep(ctx, 9s);
    co_await call_nonsense(ctx, caller, 100);
  }
  CHECK(caller.router.begun == 1);
  co_await m3::sleep(ctx, 16s);
  CHECK(caller.router.watched() == 0);
  co_await caller.stop(ctx);
}

CO_TEST("mesh watches: a storm of made-up ids is bounded, and pushes no living service out") {
  Wires wires;
  Server one(sim, wires, member(1));
  Caller caller(sim, wires);
  co_await begin_calling(ctx, caller);
  std::size_t most = 0;
  for (int i = 1; i <= 20000; ++i) {
    co_await call_nonsense(ctx, caller, i);
    most = std::max(most, caller.router.watched());
  }
  CHECK(most <= m3::mesh_detail::CoreView::kMostEmpty + 101);
  CHECK(most > m3::mesh_detail::CoreView::kMostEmpty / 2);
  CHECK(caller.router.is_watched(kRole));
  CHECK(co_await caller.ask(ctx, m3::to::random()) == "dev.w.role.1");
  CHECK(wires.dials == 1);
  co_await m3::sleep(ctx, 16s);
  CHECK(caller.router.watched() == 1);
  co_await caller.stop(ctx);
  co_await one.die(ctx);
}

CO_TEST("mesh watches: a call that waits for an instance keeps its watch") {
  Wires wires;
  m3::MeshConfig patient;
  patient.wait_for_route = 1min;
  Caller caller(sim, wires, patient);
  Server one(sim, wires, member(1));
  std::string answer;
  m3::Scope scope(ctx.core());
  scope.spawn("call", [&](Ctx& own) -> Task<> {
    Ctx patiently(own, m3::Deadline(own.core().now() + 1min));
    answer = co_await caller.ask(patiently, m3::to::random());
    co_return m3::ok;
  });
  co_await m3::sleep(ctx, 1ms);
  caller.router.tell(kRole, {});
  co_await m3::sleep(ctx, 2s);  // the call has its method's deadline
  CHECK(caller.router.is_watched(kRole));
  caller.router.tell(kRole, {member(1)});
  co_await scope.close(ctx);
  co_await caller.stop(ctx);
  co_await one.die(ctx);
}

CO_TEST("mesh watches: one that is given up while its instances are in doubt ends its questions") {
  Wires wires;
  Server one(sim, wires, member(1));
  Caller caller(sim, wires);
  co_await begin_calling(ctx, caller);
  auto sick = member(1);
  sick.healthy = false;  // asked again and again
  caller.router.tell(kRole, {sick});
  co_await m3::sleep(ctx, 10min + 10s);
  CHECK_FALSE(caller.router.is_watched(kRole));
  const int dials = wires.dials;
  co_await m3::sleep(ctx, 1min);
  CHECK(wires.dials == dials);
  CHECK(one.node().connections() == 0);
  co_await caller.stop(ctx);
  co_await one.die(ctx);
}

TEST_CASE("mesh watches: a service is watched while one core calls it") {
  m3::testing::SimRuntime sim(2);
  const auto ended = sim.run([&](Ctx& ctx) -> Task<> {
    Wires wires;
    Caller caller(sim, wires);
    m3::Core& second = sim.runtime().core(1);
    const auto look = [&]() -> Task<> {
      co_await m3::run_on(ctx, second, [&](Ctx& there) -> Task<> {
        (void)caller.mesh().snapshot(there.core(), kRole);
        co_return m3::ok;
      });
      co_return m3::ok;
    };
    (void)caller.mesh().snapshot(ctx.core(), kRole);
    co_await look();
    co_await m3::sleep(ctx, 1ms);
    caller.router.tell(kRole, {member(1)});
    for (int i = 0; i < 3; ++i) {
      co_await m3::sleep(ctx, 9min);
      co_await look();
    }
    CHECK(caller.router.is_watched(kRole));
    // The first core has let go of it, and has it at once when it calls again.
    (void)caller.mesh().snapshot(ctx.core(), kRole);
    co_await m3::sleep(ctx, 1ms);
    CHECK(caller.mesh().snapshot(ctx.core(), kRole) != nullptr);
    CHECK(caller.router.begun == 1);
    co_await m3::sleep(ctx, 11min);
    CHECK_FALSE(caller.router.is_watched(kRole));
    co_await caller.stop(ctx);
    co_return m3::ok;
  });
  CHECK(ended.status().to_string() == "ok");
}
