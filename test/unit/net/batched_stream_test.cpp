// SPDX-License-Identifier: BSL-1.0
#include "m3/net/batched_stream.h"

#include <string>
#include <vector>

#include "m3/async/timer.h"
#include "m3/net/loopback.h"
#include "m3/testing/co_test.h"

using m3::BatchedStream;
using m3::Status;
using m3::Stream;
using m3::StreamHandler;
using namespace std::chrono_literals;

namespace {

const m3::HostPort kServer{"server", 1};

struct Heard final : StreamHandler {
  Taken on_bytes(std::string_view bytes) override {
    pieces.emplace_back(bytes);
    all += bytes;
    if (then) then();
    return {bytes.size()};
  }
  void on_writable() override {}
  void on_closed(Status) override { ++closed; }
  std::function<void()> then;
  std::vector<std::string> pieces;
  std::string all;
  int closed = 0;
};

struct Pair {
  Pair(m3::Core& core, m3::LoopbackNet::Options options) : net(options) {
    net.listen(core, kServer, [this, &core](std::unique_ptr<Stream> stream) {
      there = std::make_unique<BatchedStream>(core, std::move(stream), server);
    });
    here = std::make_unique<BatchedStream>(core, *net.connect(core, kServer), client);
  }
  m3::LoopbackNet net;
  Heard client, server;
  std::unique_ptr<BatchedStream> here, there;
};

}  // namespace

CO_TEST("batched stream: data appended in one turn is sent together, in order") {
  Pair pair(sim.core(), {});
  co_await m3::sleep(ctx, 10ms);
  pair.here->append({"a", "bc"});
  pair.here->append({"d"});
  CHECK(pair.here->waiting() == 4);
  co_await m3::sleep(ctx, 10ms);
  pair.here->append({"e"});
  co_await m3::sleep(ctx, 10ms);
  CHECK((pair.server.pieces == std::vector<std::string>{"abcd", "e"}));
  CHECK(pair.here->waiting() == 0);
}

CO_TEST("batched stream: data that the peer does not accept yet is kept, and sent later") {
  m3::LoopbackNet::Options options;
  options.window = 100;
  options.latency = 5ms;
  Pair pair(sim.core(), options);
  co_await m3::sleep(ctx, 10ms);
  std::string sent;
  for (int i = 0; i < 100; ++i) {
    const std::string text = std::to_string(i) + ",";
    sent += text;
    pair.here->append({text});
  }
  co_await m3::sleep(ctx, 1ms);
  CHECK(pair.here->waiting() == sent.size() - 100);
  co_await m3::sleep(ctx, 1s);
  CHECK(pair.server.all == sent);
  CHECK(pair.here->waiting() == 0);
}

CO_TEST("batched stream: messages that have not left whole are known, also when it has ended") {
  m3::LoopbackNet::Options options;
  options.window = 100;
  options.latency = 5ms;
  for (const bool by_peer : {true, false}) {
    Pair pair(sim.core(), options);
    co_await m3::sleep(ctx, 10ms);
    pair.here->append({"first"});              // no message of its own
    for (std::uint32_t i = 1; i <= 40; ++i) {  // 1 to 11 leave at once, the 12th not whole
      pair.here->append({"four", "five"});
      pair.here->mark(i);
    }
    CHECK(pair.here->unsent() == 820);
    co_await m3::sleep(ctx, 1ms);
    CHECK(pair.here->unsent() == 820 - 66);
    co_await m3::sleep(ctx, 10ms);  // the window was opened once
    const std::uint64_t unsent = pair.here->unsent();
    CHECK((unsent > 0 && unsent < 820 - 66));
    if (by_peer) pair.there.reset();
    if (!by_peer) pair.here->close();
    co_await m3::sleep(ctx, 1s);
    CHECK(!pair.here->is_open());
    CHECK(pair.here->unsent() > 0);
    CHECK(pair.here->unsent() <= unsent);
    pair.here->mark(1000);
    CHECK(pair.here->unsent() <= unsent);
  }
  Pair all(sim.core(), options);
  co_await m3::sleep(ctx, 10ms);
  for (int i = 0; i < 100; ++i) {
    all.here->append({"message"});
    all.here->mark(3);
  }
  co_await m3::sleep(ctx, 1s);
  CHECK(all.here->unsent() == 0);
}

CO_TEST("batched stream: it may be closed in a callback and destroyed before its turn ends") {
  Pair pair(sim.core(), {});
  co_await m3::sleep(ctx, 10ms);
  pair.server.then = [&] {
    pair.there->append({"bye"});
    pair.there->close();
    CHECK(!pair.there->is_open());
  };
  pair.here->append({"hello"});
  co_await m3::sleep(ctx, 10ms);
  CHECK(pair.client.all == "bye");
  CHECK(pair.client.closed == 1);
  CHECK(pair.server.closed == 0);
  CHECK(!pair.here->is_open());
  pair.there->append({"never"});
  Pair other(sim.core(), {});
  other.here->append({"x"});
  other.here.reset();
  co_await m3::sleep(ctx, 10ms);
}
