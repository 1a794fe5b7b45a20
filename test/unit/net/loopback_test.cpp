// SPDX-License-Identifier: BSL-1.0
#include "m3/net/loopback.h"

#include "m3/testing/sim.h"
#include "stream_peer.h"

namespace m3 {
namespace {

using namespace std::chrono_literals;
using stream_test::Duo;
using stream_test::Peer;
using stream_test::stream_promises;
using stream_test::until;
using testing::SimRuntime;

HostPort server_address() { return *HostPort::parse("10.0.0.1:20051"); }

Task<Duo> make_duo(Ctx& ctx, LoopbackNet& net, Core& acceptor_core) {
  Duo duo;
  net.listen(acceptor_core, server_address(),
             [&](std::unique_ptr<Stream> stream) { duo.acceptor = std::move(stream); });
  LoopbackTransport transport(ctx.core(), net);
  duo.dialer = co_await transport.connect(ctx, server_address());
  CHECK(co_await until(ctx, [&] { return duo.acceptor != nullptr; }));
  net.unlisten(server_address());
  co_return duo;
}

LoopbackNet::Options options(Nanos latency, std::size_t slice, std::size_t window) {
  LoopbackNet::Options out;
  out.latency = latency;
  out.slice = slice;
  out.window = window;
  return out;
}

/// A connection from core 0 to core 1 of a simulation.
struct Link {
  explicit Link(LoopbackNet::Options with = {}) : net(with) {
    net.listen(sim.core(1), server_address(),
               [this](std::unique_ptr<Stream> stream) { b.start(std::move(stream)); });
    a.start(*net.connect(sim.core(0), server_address()));
    sim.settle();
  }
  SimRuntime sim{2};
  LoopbackNet net;
  Peer a;
  Peer b;
};

}  // namespace

TEST_CASE("loopback: streams keep what Stream promises") {
  for (const LoopbackNet::Options& with :
       {options(0ns, 0, 1u << 20), options(3ms, 0, 64u << 10), options(0ns, 40000, 100000)}) {
    for (const auto& promise : stream_promises()) {
      INFO(promise.name << ", latency " << with.latency.count() << " ns, slice " << with.slice);
      SimRuntime sim;
      LoopbackNet net(with);
      CHECK(sim.run([&](Ctx& ctx) {
                 return promise.check(
                     ctx, {[&](Ctx& c) { return make_duo(c, net, c.core()); }, 2u << 20});
               })
                .status()
                .is_ok());
    }
  }
}

TEST_CASE("loopback: the two sides live on different cores") {
  Link link(options(2ms, 3, 10));
  const std::string text = "the quick brown fox";
  link.a.send(text);
  CHECK(link.a.unsent() == text.size() - 10);
  link.sim.settle();
  CHECK(link.b.received.empty());
  link.sim.run_for(2ms);
  CHECK(link.b.received == text.substr(0, 10));
  CHECK(link.b.shown == 4);  // 3 + 3 + 3 + 1
  CHECK(link.a.writable == 1);
  link.sim.run_for(2ms);
  CHECK(link.b.received == text);
}

TEST_CASE("loopback: a dial to an address without a listener is unavailable and not executed") {
  SimRuntime sim;
  LoopbackNet net;
  auto none = net.connect(sim.core(), server_address());
  CHECK(none.code() == Errc::unavailable);
  CHECK_FALSE(none.status().maybe_executed());
}

TEST_CASE("loopback: a listener that is removed during a dial closes it") {
  SimRuntime sim(2);
  LoopbackNet net;
  int accepted = 0;
  net.listen(sim.core(1), server_address(), [&](std::unique_ptr<Stream>) { ++accepted; });
  Peer a;
  a.start(*net.connect(sim.core(0), server_address()));
  net.unlisten(server_address());
  sim.settle();
  CHECK(accepted == 0);
  CHECK(a.closed == 1);
}

TEST_CASE("loopback: a cut ends both sides once and loses the bytes in flight") {
  Link link(options(5ms, 0, 1000));
  link.a.send("lost");
  link.b.stream().pause_reading(true);
  link.net.cut_all();
  link.sim.run_for(1s);
  CHECK(link.a.closed == 1);
  CHECK(link.b.closed == 1);
  CHECK(link.a.why.code() == Errc::unavailable);
  CHECK(link.b.received.empty());
}

TEST_CASE("loopback: while frozen nothing moves, afterwards everything does, in order") {
  Link link(options(1ms, 0, 8));
  link.net.freeze(true);
  link.a.send("first, second");
  link.sim.run_for(1h);
  CHECK(link.b.seen == 0);
  CHECK(link.a.unsent() == 5);
  link.a.send("!");
  link.net.freeze(false);
  link.sim.run_for(10ms);
  CHECK(link.b.received == "first, second!");
  link.net.freeze(true);
  link.a.stream().close();
  link.sim.run_for(1h);
  CHECK(link.b.closed == 0);
  link.net.freeze(false);
  link.sim.run_for(10ms);
  CHECK(link.b.closed == 1);
}

TEST_CASE("loopback: a connect takes a round trip, waits for the thaw, and ends with its context") {
  SimRuntime sim(2);
  LoopbackNet net(options(7ms, 0, 1000));
  net.listen(sim.core(1), server_address(), [](std::unique_ptr<Stream>) {});
  LoopbackTransport transport(sim.core(), net);
  const TimePoint began = sim.clock().now();
  auto connect = [&](Ctx& ctx) -> Task<> {
    auto stream = co_await transport.connect(ctx, server_address());
    co_return ok;
  };
  CHECK(sim.run(connect).status().is_ok());
  CHECK(sim.clock().now() - began >= 14ms);
  net.freeze(true);
  auto late = sim.run([&](Ctx& ctx) -> Task<> {
    co_await within(ctx, 1s, connect);
    co_return ok;
  });
  CHECK(late.code() == Errc::deadline_exceeded);
  net.freeze(false);
  CHECK(sim.run(connect).status().is_ok());
}

TEST_CASE("loopback: the same run twice is the same run") {
  auto history = [] {
    Link link(options(1ms, 7, 50));
    std::string log;
    link.b.on_frame = [&] {
      log += std::to_string(link.b.seen) + "@" +
             std::to_string(link.sim.clock().now().time_since_epoch().count()) + " ";
    };
    link.a.send(stream_test::pattern(500));
    link.sim.run_for(1s);
    return log;
  };
  const std::string first = history();
  CHECK(first.size() > 100);
  CHECK(first == history());
}

}  // namespace m3
