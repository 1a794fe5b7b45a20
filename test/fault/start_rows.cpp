// SPDX-License-Identifier: BSL-1.0
// Instances that come, go for a while, and do not get through their start.
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "m3/testing/chaos_proxy.h"
#include "m3/testing/real_service.h"
#include "support/filters.h"
#include "support/http.h"
#include "support/instance.h"

using namespace fault;
using m3::testing::ChaosProxy;
using m3::testing::RealService;

namespace {

bool there(RealService::Kind kind) { return RealService::installed(kind); }

std::string consul_router(const m3::HostPort& at) {
  return "[router.consul]\naddresses = [\"" + at.to_string() + "\"]\n";
}

bool lists(const m3::HostPort& consul, const std::string& id) {
  return http(consul, "GET", "/v1/health/service/m3-dev-w-fault").find("\"" + id + "\"") !=
         std::string::npos;
}

/// How long a process takes to end after SIGTERM.
Nanos time_to_end(seed::Process& process, int& code) {
  const TimePoint at = now();
  process.signal(SIGTERM);
  code = process.wait();
  return now() - at;
}

/// A connection that only takes up room.
class Guest {
 public:
  explicit Guest(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  ~Guest() { ::close(fd_); }

 private:
  const int fd_;
};

/// "2026-11-30T21": of the first line that it logged.
std::string hour_of(const Instance& one) { return one.output().substr(0, 13); }

void drained(Row& row, const Instance& one, const Instance& two, const std::string& router) {
  Load::Options options;
  options.config = router;
  options.routes = {m3::to::random(), m3::to::hash("ann"), m3::to::hash("bob"), m3::to::hash("eve"),
                    m3::to::single()};
  Load load(std::move(options));
  REQUIRE(warm_up(load));
  load.drain(one.id(), true);
  const TimePoint at = now();
  row.within_mark("the drained one gets no calls after", last_after(load.calls(), at, by(one.id())),
                  1s);
  let_run(short_or_long(3s, 30s));
  // One who has not called it before does not either.
  Load::Options others;
  others.id = "dev.w.load.2";
  others.first_id = 1'000'000'000;
  others.config = router;
  others.routes = {m3::to::random(), m3::to::hash("ann"), m3::to::hash("bob"), m3::to::hash("eve"),
                   m3::to::single()};
  Load newcomer(std::move(others));
  REQUIRE(newcomer.more_calls(200));
  REQUIRE(newcomer.stop());
  const auto first = count_if(newcomer.calls(), by(one.id()));
  row.holds(fmt::format("{} of 200 calls of a new caller went to the drained one", first),
            first == 0);
  const auto since = count_if(load.calls(), [&](const Call& call) {
    return call.by == one.id() && call.begun > at + Row::allowed(1s);
  });
  row.holds(fmt::format("{} calls went to it since", since), since == 0);
  load.drain(one.id(), false);
  const TimePoint back = now();
  row.within_mark("called back, it gets calls after", load.answered_by(one.id(), back) - back, 3s);
  REQUIRE(load.stop());
  const auto calls = load.calls();
  row.holds("no call failed: " + failures(calls), count_if(calls, failed) == 0);
  check_calls(row, load, {one.id(), two.id()});
}

}  // namespace

TEST_CASE("fault: an instance drained and called back, router.static") {
  Row row("fault: an instance drained and called back, router.static");
  INFO("again: " << row.replay());
  const Instance one(kOne), two(kTwo);
  drained(row, one, two, static_router({&one, &two}));
}

TEST_CASE("fault: an instance drained and called back, router.consul") {
  if (!there(RealService::Kind::consul))
    M3_SKIP(RealService::how_to_install(RealService::Kind::consul));
  Row row("fault: an instance drained and called back, router.consul");
  INFO("again: " << row.replay());
  auto consul = RealService::start(RealService::Kind::consul);
  REQUIRE(consul.is_ok());
  const std::string router = consul_router((*consul)->address());
  const Instance one(kOne, router), two(kTwo, router);
  drained(row, one, two, router);
}

TEST_CASE("fault: SIGTERM while an app waits for its broker") {
  if (!there(RealService::Kind::consul))
    M3_SKIP(RealService::how_to_install(RealService::Kind::consul));
  if (!there(RealService::Kind::redis))
    M3_SKIP(RealService::how_to_install(RealService::Kind::redis));
  Row row("fault: SIGTERM while an app waits for its broker");
  INFO("again: " << row.replay());
  auto consul = RealService::start(RealService::Kind::consul);
  REQUIRE(consul.is_ok());
  auto redis = RealService::prepare(RealService::Kind::redis);
  REQUIRE(redis.is_ok());
  const seed::TempFile config("listen = \"127.0.0.1:0\"\nstart_timeout = \"1m\"\n[broker.redis]\n" +
                              fmt::format("address = \"{}\"\n", (*redis)->address().to_string()) +
                              consul_router((*consul)->address()));
  {
    const auto waits = Instance::begin(kOne, config);
    REQUIRE(waits->says((*redis)->address().to_string()));  // a line that names it
    int code = 0;
    row.within_mark("it ends after", time_to_end(*waits, code), 1s);
    row.holds(fmt::format("its exit code is {}", code), code == 0);
    row.holds("it is not listed", !lists((*consul)->address(), kOne));
  }
  // One that is patient comes up when the broker does.
  const auto waits = Instance::begin(kOne, config);
  REQUIRE(waits->says((*redis)->address().to_string()));
  REQUIRE((*redis)->start_again().is_ok());
  const TimePoint back = now();
  REQUIRE(waits->says("services=fault.Fault"));
  row.within_mark("with the broker there it is up after", now() - back, 3s);
  row.holds("it is listed", lists((*consul)->address(), kOne));
  int code = 0;
  row.within_mark("then it ends after", time_to_end(*waits, code), 4s);
  row.holds(fmt::format("its exit code is {}", code), code == 0);
  row.holds("it is not listed any more", !lists((*consul)->address(), kOne));
}

TEST_CASE("fault: SIGTERM while the registry does not answer the registration") {
  if (!there(RealService::Kind::consul))
    M3_SKIP(RealService::how_to_install(RealService::Kind::consul));
  Row row("fault: SIGTERM while the registry does not answer the registration");
  INFO("again: " << row.replay());
  auto consul = RealService::start(RealService::Kind::consul);
  REQUIRE(consul.is_ok());
  auto proxy = ChaosProxy::start((*consul)->address());
  REQUIRE(proxy.is_ok());
  (*proxy)->delay(1500ms, ChaosProxy::Way::to_client);
  const seed::TempFile config("listen = \"127.0.0.1:0\"\nstart_timeout = \"1m\"\n" +
                              consul_router((*proxy)->address()));
  const auto waits = Instance::begin(kOne, config);
  REQUIRE(eventually([&] { return lists((*consul)->address(), kOne); }));
  const bool ready = waits->output().find("services=fault.Fault") != std::string::npos;
  row.holds("it is listed before it knows", !ready);
  int code = 0;
  row.within_mark("it ends after", time_to_end(*waits, code), 12s);
  row.holds(fmt::format("its exit code is {}", code), code == 0);
  row.holds("it is not listed any more",
            eventually([&] { return !lists((*consul)->address(), kOne); }, 5s));
}

TEST_CASE("fault: a start that does not get through is undone") {
  if (!there(RealService::Kind::consul))
    M3_SKIP(RealService::how_to_install(RealService::Kind::consul));
  Row row("fault: a start that does not get through is undone");
  INFO("again: " << row.replay());
  auto consul = RealService::start(RealService::Kind::consul);
  REQUIRE(consul.is_ok());
  auto proxy = ChaosProxy::start((*consul)->address());
  REQUIRE(proxy.is_ok());
  // The registration comes through, its answers come after the start has given up.
  (*proxy)->delay(1200ms, ChaosProxy::Way::to_client);
  const seed::TempFile config("listen = \"127.0.0.1:0\"\nstart_timeout = \"1s\"\n" +
                              consul_router((*proxy)->address()));
  const auto failing = Instance::begin(kOne, config);
  const int code = failing->wait();
  row.holds(fmt::format("its exit code is {}", code), code == 1);
  row.holds("it says which step", failing->output().find("start ") != std::string::npos);
  (*proxy)->behave();
  row.holds("it is not listed", eventually([&] { return !lists((*consul)->address(), kOne); }, 5s));
}

TEST_CASE("fault: a broker that is full at the start") {
  if (!there(RealService::Kind::redis))
    M3_SKIP(RealService::how_to_install(RealService::Kind::redis));
  Row row("fault: a broker that is full at the start");
  INFO("again: " << row.replay());
  RealService::Options small;
  small.args = {"--maxclients", "2"};
  auto redis = RealService::start(RealService::Kind::redis, small);
  REQUIRE(redis.is_ok());
  const auto port = (*redis)->address().port;
  auto guests = std::make_unique<std::pair<Guest, Guest>>(
      std::piecewise_construct, std::tuple<std::uint16_t>(port), std::tuple<std::uint16_t>(port));
  const seed::TempFile config(fmt::format(
      "listen = \"127.0.0.1:0\"\n[broker.redis]\naddress = \"127.0.0.1:{}\"\n[router.static]\n",
      port));
  const auto waits = Instance::begin(kOne, config);
  REQUIRE(waits->says("max number of clients"));
  const std::string said = waits->output();
  row.holds("it does not speak of credentials", said.find("password") == std::string::npos &&
                                                    said.find("credential") == std::string::npos);
  guests.reset();
  const TimePoint room = now();
  REQUIRE(waits->says("services=fault.Fault"));
  row.within_mark("with room again it is up after", now() - room, 3s);
}

TEST_CASE("fault: a slow broker and a slow registry at the start") {
  for (const auto kind : {RealService::Kind::consul, RealService::Kind::redis})
    if (!there(kind)) M3_SKIP(RealService::how_to_install(kind));
  Row row("fault: a slow broker and a slow registry at the start");
  INFO("again: " << row.replay());
  auto consul = RealService::start(RealService::Kind::consul);
  auto redis = RealService::start(RealService::Kind::redis);
  REQUIRE(consul.is_ok());
  REQUIRE(redis.is_ok());
  auto to_consul = ChaosProxy::start((*consul)->address());
  auto to_redis = ChaosProxy::start((*redis)->address());
  REQUIRE(to_consul.is_ok());
  REQUIRE(to_redis.is_ok());
  (*to_consul)->delay(300ms, ChaosProxy::Way::to_client);
  (*to_redis)->delay(300ms, ChaosProxy::Way::to_client);
  const TimePoint begin = now();
  const Instance one(kOne, "[broker.redis]\naddress = \"" + (*to_redis)->address().to_string() +
                               "\"\n" + consul_router((*to_consul)->address()));
  row.within_mark("it is up after", now() - begin, 4s);
  Load::Options options;
  options.config = consul_router((*consul)->address());
  Load load(std::move(options));
  REQUIRE(load.answered_by(kOne, begin) != TimePoint::max());
  REQUIRE(load.more_calls(200));
  REQUIRE(load.stop());
  check_calls(row, load, {kOne});
}

/// Restarted with another clock, twice, after a kill: the registry still lists the one before.
TEST_CASE("fault: an instance comes back with a clock that is an hour behind, then right again") {
  for (const auto kind : {RealService::Kind::consul, RealService::Kind::redis})
    if (!there(kind)) M3_SKIP(RealService::how_to_install(kind));
  Row row("fault: an instance comes back with a clock that is an hour behind, then right again");
  INFO("again: " << row.replay());
  auto consul = RealService::start(RealService::Kind::consul);
  auto redis = RealService::start(RealService::Kind::redis);
  REQUIRE(consul.is_ok());
  REQUIRE(redis.is_ok());
  const std::string config = "[broker.redis]\naddress = \"" + (*redis)->address().to_string() +
                             "\"\n" + consul_router((*consul)->address());
  auto one = std::make_unique<Instance>(kOne, config);
  const Instance two(kTwo, config);
  Load::Options options;
  options.config = config;
  options.routes = {m3::to::random(), m3::to::hash("ann"), m3::to::hash("bob"), m3::to::single()};
  options.idempotent = true;
  options.shouts = true;
  Load load(std::move(options));
  REQUIRE(warm_up(load));
  for (const char* clock : {"-3600", "0"}) {
    one->kill9();
    (void)one->wait();
    one = std::make_unique<Instance>(kOne, config, "127.0.0.1:0",
                                     std::string("export M3_FAULT_CLOCK=") + clock);
    if (*clock == '-')
      row.holds("its clock is wrong: " + hour_of(*one), hour_of(*one) < hour_of(two));
    const TimePoint back = now();
    row.within_mark(fmt::format("with its clock {} s wrong it gets calls after", clock),
                    load.answered_by(kOne, back) - back, 5s);
    row.holds("it hears broadcasts",
              eventually(
                  [&] {
                    return load.count(kOne).last_shout() + 3 > load.shouted() && load.shouted() > 5;
                  },
                  10s));
    REQUIRE(load.more_calls(200));
  }
  REQUIRE(load.stop());
  const auto calls = load.calls();
  row.holds("no call failed: " + failures(calls), count_if(calls, failed) == 0);
}

/// What it says after the restart is not taken for old.
TEST_CASE("fault: a publisher comes back with a clock that is an hour behind") {
  const auto kind = RealService::Kind::redis;
  if (!there(kind)) M3_SKIP(RealService::how_to_install(kind));
  Row row("fault: a publisher comes back with a clock that is an hour behind");
  INFO("again: " << row.replay());
  auto redis = RealService::start(kind);
  REQUIRE(redis.is_ok());
  const std::string broker =
      "[broker.redis]\naddress = \"" + (*redis)->address().to_string() + "\"\n";
  const Instance two(kTwo, broker + "[router.static]\n");
  std::uint64_t heard = 0;
  for (const char* clock : {"0", "-3600", "3600"}) {
    const Instance one(kOne, broker + static_router({&two}), "127.0.0.1:0",
                       std::string("export M3_FAULT_CLOCK=") + clock);
    Load::Options options;
    options.config = static_router({&one, &two});
    Load load(std::move(options));
    for (int i = 0; i < 5; ++i) load.shout_from(kOne, ++heard);
    const bool all = eventually([&] { return load.count(kTwo).shouts() == heard; }, 10s);
    row.holds(fmt::format("with its clock {} s wrong all it says is heard", clock), all);
    row.holds("none counts as missing", load.count(kTwo).missing() == 0);
    REQUIRE(load.stop());
  }
}
