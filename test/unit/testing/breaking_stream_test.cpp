// SPDX-License-Identifier: BSL-1.0
#include "m3/testing/breaking_stream.h"

#include <string>
#include <utility>
#include <vector>

#include "m3/net/loopback.h"
#include "m3/testing/sim.h"

namespace m3::testing {
namespace {

/// Says its line when it is let, and again each time the other side has answered.
class Talker final : public StreamHandler {
 public:
  void start(std::unique_ptr<Stream> made) {
    stream = std::move(made);
    stream->start(*this);
  }
  void say(std::string_view line) {
    waiting.append(line);
    flush();
  }
  Taken on_bytes(std::string_view bytes) override {
    CHECK(closed == 0);
    heard.append(bytes);
    Taken taken;
    taken.bytes = bytes.size();
    if (answers > 0 && --answers >= 0) say("pong.");
    return taken;
  }
  void on_writable() override {
    CHECK(closed == 0);
    flush();
  }
  void on_closed(Status status) override {
    ++closed;
    why = std::move(status);
  }
  void flush() {
    while (!waiting.empty()) {
      const std::size_t taken = stream->send(waiting);
      waiting.erase(0, taken);
      if (taken == 0) return;
    }
  }
  std::unique_ptr<Stream> stream;
  std::string heard;
  std::string waiting;
  int answers = 0;
  int closed = 0;
  Status why;
};

}  // namespace

TEST_CASE("fail at: every step is met once, and the run without a failure is the last") {
  std::vector<std::size_t> failed;
  int runs = 0;
  const std::size_t steps = fail_at_each_step([&](FailAt& fail) {
    ++runs;
    for (std::size_t i = 1; i <= 4; ++i)
      if (fail.now()) failed.push_back(i);
  });
  CHECK(steps == 4);
  CHECK(runs == 5);
  CHECK(failed == std::vector<std::size_t>{1, 2, 3, 4});
}

TEST_CASE("breaking stream: wherever it breaks, both sides hear of it once") {
  const HostPort address = *HostPort::parse("10.0.0.1:20051");
  const std::size_t steps = fail_at_each_step([&](FailAt& fail) {
    SimRuntime sim(2);
    LoopbackNet::Options options;
    options.window = 8;
    LoopbackNet net(options);
    Talker server;
    server.answers = 3;
    net.listen(sim.core(1), address,
               [&](std::unique_ptr<Stream> stream) { server.start(std::move(stream)); });
    LoopbackTransport loopback(sim.core(), net);
    BreakingTransport transport(sim.core(), loopback, fail);
    Talker client;
    const Status connected = sim.run([&](Ctx& ctx) -> Task<> {
                                  client.start(co_await transport.connect(ctx, address));
                                  client.say("ping, ping, ping.");
                                  co_return ok;
                                })
                                 .status();
    sim.settle();
    if (fail.step() == 1) {
      CHECK(connected.code() == Errc::unavailable);
      CHECK_FALSE(connected.maybe_executed());
      return;
    }
    CHECK(connected.is_ok());
    const bool broken = fail.reached();
    CHECK(client.closed == (broken ? 1 : 0));
    CHECK(server.closed == (broken ? 1 : 0));
    if (broken)
      CHECK(client.why.text() == "broken at step " + std::to_string(fail.step()));
    else
      CHECK(client.heard == "pong.pong.pong.");
    // What arrived is the beginning of what was said, cut anywhere.
    CHECK(std::string("ping, ping, ping.").starts_with(server.heard));
    CHECK(std::string("pong.pong.pong.").starts_with(client.heard));
  });
  // A connect, three sends and one that fell short, two writables, three answers: about that.
  CHECK(steps >= 8);
  CHECK(steps <= 16);
}

TEST_CASE("breaking stream: one destroyed before it could report is safe") {
  SimRuntime sim;
  LoopbackNet net;
  const HostPort address = *HostPort::parse("10.0.0.1:1");
  net.listen(sim.core(), address, [](std::unique_ptr<Stream>) {});
  FailAt fail(1);
  auto stream = breaking_stream(sim.core(), *net.connect(sim.core(), address), fail);
  Talker owner;
  stream->start(owner);
  CHECK(stream->send("x") == 1);
  stream.reset();
  sim.settle();
  CHECK(owner.closed == 0);
}

}  // namespace m3::testing
