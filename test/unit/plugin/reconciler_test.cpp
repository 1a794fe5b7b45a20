// SPDX-License-Identifier: BSL-1.0
// The loop around the wishes: connect, bring about, watch, connect again. On virtual time.
#include "m3/plugin/reconciler.h"

#include <fmt/format.h>

#include <set>
#include <stdexcept>

#include "m3/async/timer.h"
#include "m3/testing/co_test.h"

using m3::Ctx;
using m3::Errc;
using m3::Reconciler;
using m3::Status;
using m3::Task;
using namespace std::chrono_literals;

namespace {

/// A service that takes `round_trip` to answer, and the way to it.
class Service final : public Reconciler::Link {
 public:
  explicit Service(m3::Core& core) : scope(core) {}

  Task<> connect(Ctx& ctx) override {
    ++attempts;
    if (connecting > m3::Nanos(0)) {
      co_await m3::sleep(ctx, connecting);
    }
    if (!reachable) co_return away;
    ++connections;
    connected = true;
    there.clear();
    living.add();
    co_return m3::ok;
  }
  Task<> watch(Ctx& ctx) override {
    if (throws_once) {
      throws_once = false;
      throw std::runtime_error("a mistake in watch()");
    }
    co_await living.zero(ctx);
    co_return Status(Errc::unavailable, "the service has gone");
  }
  Task<> send(Ctx&, std::vector<Reconciler::Order> orders) override {
    ++batches;
    sent += orders.size();
    scope.spawn("answers", [this, orders = std::move(orders), life = connections](Ctx& own) {
      return answer(own, orders, life);
    });
    co_return m3::ok;
  }
  Task<> disconnect(Ctx&, Status) override {
    ++disconnected;
    connected = false;
    if (living.count()) living.done();
    if (fails_to_leave) co_return Status(Errc::internal, "a mistake in disconnect()");
    co_return m3::ok;
  }
  std::uint64_t heard() const override { return bytes; }
  void on_confirmed(const std::string& key) override {
    ++confirmed[key];
    if (on_confirm) on_confirm(key);
  }

  Task<> answer(Ctx& ctx, const std::vector<Reconciler::Order>& orders, int life) {
    co_await m3::sleep(ctx, round_trip);
    for (const auto& order : orders) {
      if (between > m3::Nanos(0)) {
        co_await m3::sleep(ctx, between);
      }
      if (life != connections || silent) co_return m3::ok;
      Status status;
      if (order.establish && refuses.contains(order.key))
        status = Status(Errc::permission_denied, "not for you");
      else if (order.establish)
        there.insert(order.key);
      else
        there.erase(order.key);
      reconciler->answered(order.number, status);
    }
    co_return m3::ok;
  }
  void die() {
    there.clear();
    if (living.count()) living.done();
  }

  Reconciler* reconciler = nullptr;
  m3::Nanos connecting{0}, round_trip = 10ms, between{0};
  bool reachable = true, silent = false, connected = false;
  bool throws_once = false, fails_to_leave = false;
  Status away{Errc::unavailable, "nobody is there"};
  std::set<std::string> there, refuses;
  std::map<std::string, int> confirmed;
  std::function<void(const std::string&)> on_confirm;
  std::uint64_t bytes = 0;
  int attempts = 0, connections = 0, disconnected = 0, batches = 0;
  std::size_t sent = 0;
  m3::Countdown living;
  m3::Scope scope;
};

Reconciler::Options options() {
  Reconciler::Options out;
  out.name = "test";
  return out;
}

struct Pair {
  explicit Pair(m3::Core& core) : service(core), reconciler(core, service, options()) {
    service.reconciler = &reconciler;
  }
  Task<> stop(Ctx& ctx) {
    co_await reconciler.stop(ctx);
    co_await service.scope.close(ctx);
    co_return m3::ok;
  }
  Service service;
  Reconciler reconciler;
};

std::string topic(int i) { return fmt::format("t{}", i); }

}  // namespace

CO_TEST("reconciler: a thousand wishes take one round trip, also after the connection was lost") {
  Pair pair(sim.core());
  for (int i = 0; i < 1000; ++i) pair.reconciler.want(topic(i));
  co_await pair.reconciler.start(ctx);
  CHECK(!pair.reconciler.up());
  co_await m3::sleep(ctx, 15ms);
  CHECK(pair.reconciler.up());
  CHECK(pair.service.there.size() == 1000);
  pair.service.die();
  while (pair.service.connections < 2) {
    co_await m3::sleep(ctx, 1ms);
  }
  CHECK(!pair.reconciler.up());
  co_await m3::sleep(ctx, 15ms);
  CHECK(pair.reconciler.up());
  CHECK(pair.service.there.size() == 1000);
  CHECK(pair.service.confirmed["t7"] == 2);
  CHECK(pair.service.sent == 2000);
  co_await pair.stop(ctx);
}

CO_TEST("reconciler: wishes added and dropped while it reconnects are not lost") {
  Pair pair(sim.core());
  co_await pair.reconciler.start(ctx);
  pair.reconciler.want("stays");
  pair.reconciler.want("leaves");
  co_await pair.reconciler.settled(ctx, "leaves");
  pair.service.connecting = 300ms;
  pair.service.round_trip = 300ms;
  pair.service.die();
  // One comes at each step of the way back, and one that came before leaves.
  for (int i = 0; i < 100; ++i) {
    pair.reconciler.want(topic(i));
    if (i >= 50) pair.reconciler.drop(topic(i - 50));
    if (i == 30) pair.reconciler.drop("leaves");
    co_await m3::sleep(ctx, 11ms);
  }
  co_await m3::sleep(ctx, 2s);
  CHECK(pair.reconciler.up());
  std::set<std::string> wanted{"stays"};
  for (int i = 50; i < 100; ++i) wanted.insert(topic(i));
  CHECK(pair.service.there == wanted);
  co_await pair.stop(ctx);
}

CO_TEST("reconciler: who waits for a connection goes on with the next one") {
  Pair pair(sim.core());
  const Status early = (co_await m3::as_result(pair.reconciler.connected(ctx))).status();
  CHECK(early == Errc::unavailable);
  co_await pair.reconciler.start(ctx);
  co_await pair.reconciler.connected(ctx);
  pair.service.reachable = false;
  pair.service.die();
  co_await m3::sleep(ctx, 1ms);
  const auto in_vain = co_await m3::as_result(
      m3::within(ctx, 5s, [&](Ctx& soon) { return pair.reconciler.connected(soon); }));
  CHECK(in_vain.status() == Errc::deadline_exceeded);
  int connected = 0;
  Status stopped;
  for (int i = 0; i < 2; ++i)
    pair.service.scope.spawn("waits", [&](Ctx& own) -> Task<> {
      co_await pair.reconciler.connected(own);
      ++connected;
      co_return m3::ok;
    });
  co_await m3::sleep(ctx, 5s);
  CHECK(connected == 0);
  pair.service.reachable = true;
  co_await m3::sleep(ctx, 1s);
  CHECK(connected == 2);
  pair.service.reachable = false;
  pair.service.die();
  co_await m3::sleep(ctx, 1ms);
  pair.service.scope.spawn("waits", [&](Ctx& own) -> Task<> {
    stopped = (co_await m3::as_result(pair.reconciler.connected(own))).status();
    co_return m3::ok;
  });
  co_await pair.reconciler.stop(ctx);
  co_await m3::sleep(ctx, 1ms);
  CHECK(stopped == Errc::unavailable);
  co_await pair.stop(ctx);
}

CO_TEST("reconciler: a refused wish is its own error, and is met once it is allowed") {
  Pair pair(sim.core());
  pair.service.refuses = {"secret"};
  co_await pair.reconciler.start(ctx);
  pair.reconciler.want("secret");
  pair.reconciler.want("open");
  const Status refused = (co_await m3::as_result(pair.reconciler.settled(ctx, "secret"))).status();
  CHECK(refused == Errc::permission_denied);
  co_await pair.reconciler.settled(ctx, "open");
  CHECK(pair.reconciler.up());
  CHECK(pair.service.connections == 1);
  // It is not asked for all the time.
  const std::size_t before = pair.service.sent;
  co_await m3::sleep(ctx, 60s);
  CHECK(pair.service.sent - before <= 20);
  CHECK(pair.service.connections == 1);
  pair.service.refuses.clear();
  co_await m3::sleep(ctx, 31s);
  CHECK(pair.service.there.contains("secret"));
  co_await pair.stop(ctx);
}

CO_TEST("reconciler: a repeated refused wish does not get the old answer") {
  Pair pair(sim.core());
  pair.service.refuses = {"secret"};
  co_await pair.reconciler.start(ctx);
  pair.reconciler.want("secret");
  CHECK(!(co_await m3::as_result(pair.reconciler.settled(ctx, "secret"))).is_ok());
  pair.service.refuses.clear();
  pair.reconciler.want("secret");
  CHECK((co_await m3::as_result(pair.reconciler.settled(ctx, "secret"))).is_ok());
  co_await pair.stop(ctx);
}

CO_TEST("reconciler: a wish dropped while in flight does not stay, and its waiter is notified") {
  Pair pair(sim.core());
  co_await pair.reconciler.start(ctx);
  pair.reconciler.want("t");
  Status outcome;
  m3::Scope scope(sim.core());
  scope.spawn("waits", [&](Ctx& own) -> Task<> {
    outcome = (co_await m3::as_result(pair.reconciler.settled(own, "t"))).status();
    co_return m3::ok;
  });
  co_await m3::sleep(ctx, 5ms);
  CHECK(pair.service.sent == 1);
  pair.reconciler.drop("t");
  co_await m3::sleep(ctx, 1ms);
  CHECK(outcome == Errc::cancelled);
  co_await m3::sleep(ctx, 50ms);
  CHECK(pair.service.there.empty());
  CHECK(pair.service.confirmed.empty());
  co_await scope.close(ctx);
  co_await pair.stop(ctx);
}

CO_TEST("reconciler: slow answers are waited for as long as some arrive, silence is not") {
  Pair pair(sim.core());
  pair.service.between = 1s;
  co_await pair.reconciler.start(ctx);
  for (int i = 0; i < 10; ++i) pair.reconciler.want(topic(i));
  co_await m3::sleep(ctx, 11s);
  CHECK(pair.service.connections == 1);
  CHECK(pair.reconciler.up());
  pair.service.silent = true;
  pair.reconciler.want("more");
  const Status lost = (co_await m3::as_result(pair.reconciler.settled(ctx, "more"))).status();
  CHECK(lost == Errc::unavailable);
  pair.service.silent = false;
  pair.service.between = 0s;
  co_await m3::sleep(ctx, 3s);
  CHECK(pair.service.connections >= 2);
  CHECK(pair.reconciler.up());
  CHECK(pair.service.there.size() == 11);
  co_await pair.stop(ctx);
}

CO_TEST("reconciler: answers behind much else are waited for while something is heard") {
  Pair pair(sim.core());
  pair.service.round_trip = 9s;
  co_await pair.reconciler.start(ctx);
  pair.reconciler.want("t");
  for (int i = 0; i < 10; ++i) {
    ++pair.service.bytes;
    co_await m3::sleep(ctx, 1s);
  }
  CHECK(pair.service.connections == 1);
  CHECK(pair.reconciler.up());
  co_await pair.stop(ctx);
}

CO_TEST("reconciler: a ping that is only slow is waited for while something is heard") {
  std::uint64_t bytes = 0;
  const auto never = [](Ctx& soon) -> Task<> {
    co_await m3::sleep(soon, m3::Nanos::max());
    co_return m3::ok;
  };
  m3::Scope scope(sim.core());
  Status ended;
  bool over = false;
  scope.spawn("watch", [&](Ctx& own) -> Task<> {
    ended = (co_await m3::as_result(
                 m3::watch_by_pings(own, {"it", 2s, 2s, never, never, [&] { return bytes; }})))
                .status();
    over = true;
    co_return m3::ok;
  });
  for (int i = 0; i < 30; ++i) {
    ++bytes;
    co_await m3::sleep(ctx, 1s);
  }
  CHECK(!over);
  co_await m3::sleep(ctx, 9s);
  CHECK(over);
  CHECK(ended == Errc::unavailable);
  CHECK(ended.text() == "it is silent");
  co_await scope.close(ctx);
}

CO_TEST("reconciler: an error in the loop is logged, and the loop continues") {
  Pair pair(sim.core());
  pair.service.throws_once = true;
  pair.service.fails_to_leave = true;
  pair.reconciler.want("t");
  co_await pair.reconciler.start(ctx);
  co_await m3::sleep(ctx, 2s);
  CHECK(pair.service.connections == 2);
  CHECK(pair.reconciler.up());
  co_await pair.stop(ctx);
}

CO_TEST("reconciler: a start that fails leaves nothing, and can be called again") {
  Pair pair(sim.core());
  pair.service.reachable = false;
  CHECK((co_await m3::as_result(pair.reconciler.start(ctx))).status() == Errc::unavailable);
  CHECK(pair.service.disconnected == 1);
  pair.service.away = Status(Errc::resource_exhausted, "too many clients");
  CHECK((co_await m3::as_result(pair.reconciler.start(ctx))).status() == Errc::unavailable);
  pair.service.away = Status(Errc::unauthenticated, "wrong password");
  CHECK((co_await m3::as_result(pair.reconciler.start(ctx))).status() == Errc::unauthenticated);
  pair.service.reachable = true;
  co_await pair.reconciler.start(ctx);
  CHECK(pair.service.connected);
  co_await pair.reconciler.start(ctx);
  CHECK(pair.service.connections == 1);
  co_await pair.stop(ctx);
  CHECK(!pair.service.connected);
  Pair never(sim.core());
  never.service.reachable = false;
  CHECK(!(co_await m3::as_result(never.reconciler.start(ctx))).is_ok());
  co_await never.stop(ctx);
}

CO_TEST("reconciler: the callback of a confirmed wish may change the wishes") {
  Pair pair(sim.core());
  pair.service.on_confirm = [&](const std::string& key) {
    if (key == "a") {
      pair.reconciler.drop("b");
      pair.reconciler.want("c");
      pair.reconciler.drop("a");
    }
  };
  for (const char* key : {"a", "b"}) pair.reconciler.want(key);
  co_await pair.reconciler.start(ctx);
  co_await m3::sleep(ctx, 1s);
  CHECK((pair.service.there == std::set<std::string>{"c"}));
  co_await pair.stop(ctx);
}

CO_TEST("reconciler: pauses between attempts grow, and are short again after a good connection") {
  Pair pair(sim.core());
  co_await pair.reconciler.start(ctx);
  co_await m3::sleep(ctx, 2s);
  pair.service.reachable = false;
  pair.service.die();
  co_await m3::sleep(ctx, 60s);
  CHECK(pair.service.attempts >= 60);   // at most a second apart
  CHECK(pair.service.attempts <= 250);  // half a second on the average
  pair.service.reachable = true;
  co_await m3::sleep(ctx, 3s);
  CHECK(pair.service.connected);
  pair.service.die();
  co_await m3::sleep(ctx, 101ms);
  CHECK(pair.service.connected);
  co_await pair.stop(ctx);
}
