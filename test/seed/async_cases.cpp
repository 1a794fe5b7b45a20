// SPDX-License-Identifier: BSL-1.0
// The seed's Async model: one handler at a time.
#include <chrono>
#include <vector>

#include "apps/async/async_ser.h"
#include "apps/async/client.h"
#include "m3/app/app.h"
#include "m3/async/when.h"
#include "m3/testing/catch.h"

namespace {

using m3::Ctx;
using m3::Task;
using Lines = std::vector<async::Client::Line>;
using namespace std::chrono_literals;

/// The example app, embedded. It calls itself.
struct Channel {
  Channel() : app("async") {
    app.use_section<async::Settings>().serve<async::AsyncSer>(m3::serial);
    m3::App::Embedding embedding;
    embedding.config =
        "id = \"example.world1.async.1\"\nlisten = \"127.0.0.1:0\"\ncores = 2\ndrain_wait = "
        "\"0s\"\n"
        "[app]\npull_takes = \"100ms\"\n";
    const m3::Status started = app.start(std::move(embedding));
    REQUIRE(started.to_string() == "ok");
  }
  ~Channel() { (void)app.stop(); }
  m3::App app;
};

}  // namespace

TEST_CASE("S23: a broadcast is heard, and a slow pull keeps its turn") {
  Channel channel;
  const auto outcome = channel.app.block_on([&](Ctx& ctx) -> Task<> {
    async::Client client(channel.app);
    co_await client.post(ctx, "June", "Good Morning");
    // It arrives beside the next call, which waits behind it or finds it there.
    Lines lines;
    for (int i = 0; i < 50 && lines.empty(); ++i) lines = co_await client.pull(ctx);
    CHECK(lines == Lines{{"June", "Good Morning"}});
    // Four at once take four times as long: none begins before the one before it has ended.
    const auto begin = std::chrono::steady_clock::now();
    std::vector<Task<Lines>> pulls;
    for (int i = 0; i < 4; ++i) pulls.push_back(client.pull(ctx));
    const auto pulled = co_await m3::when_all(ctx.core(), std::move(pulls));
    CHECK(std::chrono::steady_clock::now() - begin >= 400ms);
    CHECK(pulled.size() == 4);
    co_return m3::ok;
  });
  CHECK(outcome.status().to_string() == "ok");
}
