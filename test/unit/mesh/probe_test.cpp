// SPDX-License-Identifier: BSL-1.0
// What an instance in doubt answers.
#include "m3/mesh/detail/probe.h"

#include "mesh_fixture.h"

using m3::mesh_detail::make_instance;
using m3::mesh_detail::Membership;
using m3::mesh_detail::Probe;
using m3::mesh_detail::SlotPool;
using mesh_test::Caller;
using mesh_test::member;
using mesh_test::Server;
using mesh_test::Wires;
using namespace std::chrono_literals;

CO_TEST("probe: an answer is no older than its question") {
  m3::LoopbackNet::Options far;
  far.latency = 80ms;
  Wires wires(far);
  Server one(sim, wires, member(1));
  Caller caller(sim, wires);
  const auto slots = std::make_shared<SlotPool>();
  const auto instance = make_instance(one.self(), slots);
  Probe patient(1s, slots), hasty(150ms, slots);
  patient.start(caller.node());
  hasty.start(caller.node());
  CHECK(co_await patient.ask(ctx, instance) == Membership::Answer::well);

  // An older pong is on its way when the instance changes its mind and is asked.
  const auto change = [&](bool sick) -> m3::Task<> {
    co_await m3::sleep(ctx, 1s);
    caller.node().caller().ping(*instance);
    co_await m3::sleep(ctx, 90ms);
    CHECK(one.node().set_sick(sick) != sick);
    co_return m3::ok;
  };
  co_await change(true);
  CHECK(co_await patient.ask(ctx, instance) == Membership::Answer::sick);
  co_await change(false);
  CHECK(co_await patient.ask(ctx, instance) == Membership::Answer::well);

  // One that is heard, but whose answer does not come in time, lives: what it said last stands.
  co_await change(true);
  CHECK(co_await hasty.ask(ctx, instance) == Membership::Answer::well);
  co_await m3::sleep(ctx, 1s);
  wires.to(one.self().address).freeze(true);
  CHECK(co_await hasty.ask(ctx, instance) == Membership::Answer::silent);
  wires.to(one.self().address).freeze(false);
  caller.node().caller().forget(*instance);
  co_await caller.stop(ctx);
  co_await one.die(ctx);
}
