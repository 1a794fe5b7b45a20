// SPDX-License-Identifier: BSL-1.0
// What befalls the broker: calls do not care, broadcasts come again and what was lost is counted.
#include <fmt/format.h>

#include <memory>

#include "m3/mesh/topics.h"
#include "m3/testing/chaos_proxy.h"
#include "m3/testing/real_service.h"
#include "support/filters.h"
#include "support/instance.h"

using namespace fault;
using m3::testing::ChaosProxy;
using m3::testing::RealService;

namespace {

std::string broker(const m3::HostPort& at, RealService::Kind kind) {
  const std::string address = "\"" + at.to_string() + "\"";
  return kind == RealService::Kind::redis ? "[broker.redis]\naddress = " + address + "\n"
                                          : "[broker.nats]\nservers = [" + address + "]\n";
}

/// Waits until both heard a shout after number `after`.
bool both_hear(Load& load, std::uint64_t after, Nanos limit = 60s) {
  return eventually(
      [&] {
        return load.count(kOne).last_shout() > after && load.count(kTwo).last_shout() > after;
      },
      limit);
}

/// Two instances and a load that shouts to them over the broker, heard by both.
struct Shouting {
  explicit Shouting(const std::string& with_broker)
      : one(kOne, with_broker + "[router.static]\n"), two(kTwo, with_broker + "[router.static]\n") {
    Load::Options options;
    options.config = with_broker + static_router({&one, &two});
    options.shouts = true;
    load = std::make_unique<Load>(std::move(options));
    REQUIRE(warm_up(*load));
    REQUIRE(both_hear(*load, 5));
  }
  const Instance one;
  const Instance two;
  std::unique_ptr<Load> load;
};

void restarted(const std::string& name, RealService::Kind kind) {
  if (!RealService::installed(kind)) M3_SKIP(RealService::how_to_install(kind));
  Row row(name);
  INFO("again: " << row.replay());
  auto server = RealService::start(kind);
  REQUIRE(server.is_ok());
  const std::string with_broker = broker((*server)->address(), kind);
  const Shouting all(with_broker);
  Load& load = *all.load;

  // What a frozen server was sent is lost with it, and nobody is told: only numbers show it.
  (*server)->freeze();
  const std::uint64_t sent = load.shouted();
  REQUIRE(eventually([&] { return load.shouted() >= sent + 5; }));
  (*server)->kill9();
  let_run(short_or_long(3s, 10s));
  REQUIRE((*server)->start_again().is_ok());
  const TimePoint back = now();
  REQUIRE(both_hear(load, load.shouted()));
  row.within_mark("broadcasts come again after", now() - back, 2s);
  REQUIRE(load.more_calls(100));
  REQUIRE(load.stop());
  const std::uint64_t shouted = load.shouted();
  REQUIRE(both_hear(load, shouted - 1));
  for (const std::string& id : {kOne, kTwo}) {
    const CountRsp counts = load.count(id);
    row.holds(fmt::format("{}: of {} broadcasts {} came and {} were counted as missing", id,
                          shouted, counts.shouts(), counts.missing()),
              counts.missing() >= 5 && counts.shouts() + counts.missing() == shouted);
  }
  const auto calls = load.calls();
  row.holds("no call failed: " + failures(calls), count_if(calls, failed) == 0);
  check_calls(row, load, {kOne, kTwo});
}

void half_open(const std::string& name, RealService::Kind kind) {
  if (!RealService::installed(kind)) M3_SKIP(RealService::how_to_install(kind));
  Row row(name);
  INFO("again: " << row.replay());
  auto server = RealService::start(kind);
  REQUIRE(server.is_ok());
  auto proxy = ChaosProxy::start((*server)->address());
  REQUIRE(proxy.is_ok());
  const std::string with_broker = broker((*proxy)->address(), kind);
  const Shouting all(with_broker);
  Load& load = *all.load;
  const std::uint64_t accepted = (*proxy)->accepted();
  (*proxy)->black_hole(true);
  const TimePoint at = now();
  REQUIRE(eventually([&] { return (*proxy)->accepted() > accepted; }));
  row.within_mark("the silent server is left after", now() - at, 5s);
  let_run(short_or_long(3s, 30s));
  (*proxy)->black_hole(false);
  const TimePoint back = now();
  REQUIRE(both_hear(load, load.shouted()));
  // One attempt of 2 s may be under way, into the hole.
  row.within_mark("broadcasts come again after", now() - back, 4s);
  REQUIRE(load.stop());
  const auto calls = load.calls();
  row.holds("no call failed: " + failures(calls), count_if(calls, failed) == 0);
  check_calls(row, load, {kOne, kTwo});
}

}  // namespace

TEST_CASE("fault: broker restarted, redis") {
  restarted("fault: broker restarted, redis", RealService::Kind::redis);
}

TEST_CASE("fault: broker restarted, nats") {
  restarted("fault: broker restarted, nats", RealService::Kind::nats);
}

TEST_CASE("fault: half-open TCP to the broker, redis") {
  half_open("fault: half-open TCP to the broker, redis", RealService::Kind::redis);
}

TEST_CASE("fault: half-open TCP to the broker, nats") {
  half_open("fault: half-open TCP to the broker, nats", RealService::Kind::nats);
}

TEST_CASE("fault: a topic that the broker refuses") {
  const auto kind = RealService::Kind::redis;
  if (!RealService::installed(kind)) M3_SKIP(RealService::how_to_install(kind));
  Row row("fault: a topic that the broker refuses");
  INFO("again: " << row.replay());
  RealService::Options allowed;
  allowed.args = {"--user", "default", "on", "nopass", "+@all", "~*", "resetchannels", "&m3.all.*"};
  auto server = RealService::start(kind, allowed);
  REQUIRE(server.is_ok());
  const std::string with_broker = broker((*server)->address(), kind);
  const Shouting all(with_broker);
  Load& load = *all.load;
  for (int i = 0; i < 3; ++i) {
    const m3::Status joined = load.run([&](m3::Ctx& ctx, m3::App&) -> m3::Task<> {
      m3::Ctx soon(ctx, m3::Deadline(ctx.core().now() + 5s));
      co_await m3::topics(soon).join("secret." + std::to_string(i));
      co_return m3::ok;
    });
    row.holds("to join it fails: " + joined.to_string(),
              joined.code() == m3::Errc::permission_denied);
  }
  REQUIRE(both_hear(load, load.shouted() + 10));
  REQUIRE(load.stop());
  const std::uint64_t shouted = load.shouted();
  REQUIRE(both_hear(load, shouted - 1));
  for (const std::string& id : {kOne, kTwo}) {
    const CountRsp counts = load.count(id);
    row.holds(fmt::format("{}: all of {} broadcasts came", id, shouted),
              counts.shouts() == shouted && counts.missing() == 0);
  }
  row.holds("no subscription was lost", load.metric("m3_broadcasts_resubscribed_total") == 0);
  check_calls(row, load, {kOne, kTwo});
}
