// SPDX-License-Identifier: BSL-1.0
// The rows about services beside the apps, on the real servers.
#include <chrono>
#include <memory>

#include "apps/multi/client.h"
#include "apps/multi/multi_ser.h"
#include "embedded.h"
#include "m3/testing/catch.h"
#include "m3/testing/eventually.h"
#include "m3/testing/require_service.h"

using m3::Ctx;
using m3::Task;
using m3::testing::eventually;
using m3::testing::RealService;
using m3::testing::require_service;
using multi::Client;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;

Task<> tell(Ctx& ctx, m3::App& app, std::string topic, std::string text) {
  Client client(app);
  co_await client.tell(ctx, std::move(topic), std::move(text));
  co_return m3::ok;
}

Task<Lines> heard(Ctx& ctx, m3::App& app) {
  Client client(app);
  co_return co_await client.heard(ctx, *m3::AppId::parse("example.world1.multi.1"));
}

/// Two apps that share nothing but the broker: what one tells a topic, the other hears.
void tell_over(const std::string& broker) {
  m3::App multi("multi");
  multi.use_section<multi::Settings>().serve<multi::MultiSer>();
  m3::App::Embedding there;
  there.config =
      "id = \"example.world1.multi.1\"\nlisten = \"127.0.0.1:0\"\ncores = 1\n"
      "drain_wait = \"0s\"\n[router.static]\n" +
      broker + "[app]\ntopics = [\"news\"]\n";
  const m3::Status started = multi.start(there);
  INFO(started.to_string());
  REQUIRE(started.is_ok());
  seed::Embedded caller("caller", "example.world1.multi.1@" + multi.address().to_string(), broker);
  const Lines wanted{"example.world1.caller.1 tells: one", "example.world1.caller.1 tells: two"};
  for (const char* text : {"one", "two"}) {
    const auto told = caller.run([&](Ctx& ctx) { return tell(ctx, caller.app(), "news", text); });
    INFO(told.status().to_string());
    REQUIRE(told.is_ok());
  }
  const auto elsewhere =
      caller.run([&](Ctx& ctx) { return tell(ctx, caller.app(), "other", "unheard"); });
  REQUIRE(elsewhere.is_ok());
  Lines lines;
  (void)eventually([&] {
    auto answer = caller.run([&](Ctx& ctx) { return heard(ctx, caller.app()); });
    INFO(answer.status().to_string());
    REQUIRE(answer.is_ok());
    lines = *std::move(answer);
    return lines == wanted;
  });
  CHECK(lines == wanted);
  REQUIRE(multi.stop().is_ok());
}

}  // namespace

TEST_CASE("S20: topics are published and subscribed through NATS") {
  const auto nats = require_service(RealService::Kind::nats);
  tell_over("[broker.nats]\nservers = [\"" + nats->address().to_string() + "\"]\n");
}

TEST_CASE("S20: topics are published and subscribed through Redis") {
  const auto redis = require_service(RealService::Kind::redis);
  tell_over("[broker.redis]\naddress = \"" + redis->address().to_string() + "\"\n");
}

TEST_CASE("U5: Redis pub/sub is spoken by m3 itself, while it pings") {
  const auto redis = require_service(RealService::Kind::redis);
  tell_over("[broker.redis]\naddress = \"" + redis->address().to_string() +
            "\"\nping_interval = \"100ms\"\n");
}
