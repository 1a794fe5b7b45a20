// SPDX-License-Identifier: BSL-1.0
// The order of the steps of one row.
#include "plugins/database/redis/row_gate.h"

#include <string>

#include "m3/async/scope.h"
#include "m3/async/timer.h"
#include "m3/testing/co_test.h"

using m3::Ctx;
using m3::Errc;
using m3::Task;
using m3::redis_detail::RowGate;
using namespace std::chrono_literals;
using Mode = RowGate::Mode;

namespace {

/// Steps that take their time, and what they did when.
struct Steps {
  explicit Steps(m3::Core& core) : scope(core) {}
  void begin(const std::string& name, const std::string& row, Mode mode, m3::Nanos time = 10ms) {
    scope.spawn("step", [this, name, row, mode, time](Ctx& own) -> Task<> {
      const RowGate::Hold hold = co_await gate.enter(own, row, mode);
      done += "+" + name + " ";
      co_await m3::sleep(own, time);
      done += "-" + name + (hold.is_oldest() ? " " : "? ");
      co_return m3::ok;
    });
  }
  RowGate gate;
  std::string done;
  m3::Scope scope;
};

}  // namespace

CO_TEST("row gate: writes are alone, reads are together, in the order in which they came") {
  Steps steps(sim.core());
  steps.begin("r1", "k", Mode::reads);
  steps.begin("r2", "k", Mode::reads, 20ms);
  steps.begin("w3", "k", Mode::writes);
  steps.begin("r4", "k", Mode::reads);
  steps.begin("r5", "k", Mode::reads, 20ms);
  steps.begin("w6", "k", Mode::writes);
  steps.begin("w7", "k", Mode::writes);
  co_await steps.scope.drain(ctx);
  CHECK(steps.done == "+r1 +r2 -r1 -r2 +w3 -w3 +r4 +r5 -r4 -r5 +w6 -w6 +w7 -w7 ");
  CHECK(steps.gate.rows() == 0);
}

CO_TEST("row gate: other rows do not wait") {
  Steps steps(sim.core());
  steps.begin("a", "k", Mode::writes, 20ms);
  steps.begin("b", "l", Mode::writes);
  co_await steps.scope.drain(ctx);
  CHECK(steps.done == "+a +b -b -a ");
}

CO_TEST("row gate: a read that ends before an earlier one knows it") {
  Steps steps(sim.core());
  steps.begin("r1", "k", Mode::reads, 20ms);
  steps.begin("r2", "k", Mode::reads);
  co_await steps.scope.drain(ctx);
  CHECK(steps.done == "+r1 +r2 -r2? -r1 ");
}

CO_TEST("row gate: one that gives up lets those behind it in") {
  Steps steps(sim.core());
  steps.begin("r1", "k", Mode::reads, 100ms);
  m3::Status gave_up;
  steps.scope.spawn("hasty", [&](Ctx& own) -> Task<> {
    gave_up = (co_await m3::as_result(m3::within(own, 10ms, [&](Ctx& soon) -> Task<> {
                (void)co_await steps.gate.enter(soon, "k", Mode::writes);
                co_return m3::ok;
              }))).status();
    co_return m3::ok;
  });
  steps.begin("r2", "k", Mode::reads, 1ms);
  co_await m3::sleep(ctx, 5ms);
  CHECK(steps.done == "+r1 ");
  co_await m3::sleep(ctx, 15ms);
  CHECK(gave_up == Errc::deadline_exceeded);
  CHECK(steps.done == "+r1 +r2 -r2? ");
  co_await steps.scope.drain(ctx);
  CHECK(steps.gate.rows() == 0);
}
