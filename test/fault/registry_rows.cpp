// SPDX-License-Identifier: BSL-1.0
// What befalls the registry: calls go on with what it said last, and it finds its instances again.
#include <fmt/format.h>

#include "m3/testing/chaos_proxy.h"
#include "m3/testing/real_service.h"
#include "support/filters.h"
#include "support/http.h"
#include "support/instance.h"

using namespace fault;
using m3::testing::ChaosProxy;
using m3::testing::RealService;

namespace {

constexpr int kInstances = 4;

std::string consul_router(const m3::HostPort& at) {
  return "[router.consul]\naddresses = [\"" + at.to_string() + "\"]\n";
}

std::string id_of(int i) { return "dev.w.fault." + std::to_string(i); }

/// A real Consul, four instances in it, and the load that names each of them in turn: one that is
/// not in the caller's list fails its calls.
struct Town {
  Town() {
    auto made = RealService::start(RealService::Kind::consul);
    REQUIRE(made.is_ok());
    consul = *std::move(made);
    for (int i = 1; i <= kInstances; ++i)
      all.push_back(std::make_unique<Instance>(id_of(i), consul_router(consul->address())));
    auto between = ChaosProxy::start(consul->address());
    REQUIRE(between.is_ok());
    proxy = *std::move(between);
    Load::Options options;
    options.config = consul_router(proxy->address());
    options.routes = {m3::to::random()};
    for (int i = 1; i <= kInstances; ++i) options.routes.push_back(m3::to::app(id_of(i)));
    options.timeouts = {5s};
    load = std::make_unique<Load>(std::move(options));
    const TimePoint begin = now();
    for (const auto& one : all) REQUIRE(load->answered_by(one->id(), begin) != TimePoint::max());
    REQUIRE(load->more_calls(200));
    warm = now();
  }

  /// Who is listed and passes its checks.
  int listed() const {
    const std::string answer =
        http(consul->address(), "GET", "/v1/health/service/m3-dev-w-fault?passing=1");
    int count = 0;
    for (int i = 1; i <= kInstances; ++i)
      if (answer.find("\"" + id_of(i) + "\"") != std::string::npos) ++count;
    return count;
  }
  void deregister(int i) const {
    const std::string answer =
        http(consul->address(), "PUT", "/v1/agent/service/deregister/" + id_of(i));
    INFO(answer);
    REQUIRE(answer.find(" 200 ") != std::string::npos);
  }
  /// No call has failed since the load was warm.
  void check(Row& row) const {
    REQUIRE(load->more_calls(200));
    REQUIRE(load->stop());
    const auto calls = load->calls();
    for (const Call& call : calls)
      if (call.failed() && call.begun > warm) {
        row.note("for example: " + call.text);
        break;
      }
    row.holds("no call failed: " + failures(calls), count_if(calls, failed_after(warm)) == 0);
    check_calls(row, *load, {id_of(1), id_of(2), id_of(3), id_of(4)});
  }

  std::unique_ptr<RealService> consul;
  std::vector<std::unique_ptr<Instance>> all;
  std::unique_ptr<ChaosProxy> proxy;
  std::unique_ptr<Load> load;
  TimePoint warm;
};

bool consul_is_there() { return RealService::installed(RealService::Kind::consul); }

void lists_less(const std::string& name, int less) {
  if (!consul_is_there()) M3_SKIP(RealService::how_to_install(RealService::Kind::consul));
  Row row(name);
  INFO("again: " << row.replay());
  const Town town;
  for (int i = 1; i <= less; ++i) town.deregister(i);
  const TimePoint at = now();
  REQUIRE(town.load->more_calls(100));
  row.within_mark(
      "all instances listed again after",
      eventually([&] { return town.listed() == kInstances; }) ? now() - at : Nanos::max() / 4, 10s);
  town.check(row);
}

}  // namespace

TEST_CASE("fault: Consul stopped, then wiped and restarted") {
  if (!consul_is_there()) M3_SKIP(RealService::how_to_install(RealService::Kind::consul));
  Row row("fault: Consul stopped, then wiped and restarted");
  INFO("again: " << row.replay());
  const Town town;
  town.consul->stop();
  let_run(short_or_long(10s, 60s));
  REQUIRE(town.consul->start_again().is_ok());  // it keeps all in memory
  const TimePoint back = now();
  row.within_mark(
      "all instances back after",
      eventually([&] { return town.listed() == kInstances; }) ? now() - back : Nanos::max() / 4,
      10s);
  town.check(row);
}

TEST_CASE("fault: Consul frozen, then continued") {
  if (!consul_is_there()) M3_SKIP(RealService::how_to_install(RealService::Kind::consul));
  Row row("fault: Consul frozen, then continued");
  INFO("again: " << row.replay());
  const Town town;
  town.consul->freeze();
  let_run(short_or_long(10s, 60s));
  town.consul->thaw();
  const TimePoint back = now();
  row.within_mark(
      "all instances pass their checks after",
      eventually([&] { return town.listed() == kInstances; }) ? now() - back : Nanos::max() / 4,
      10s);
  town.check(row);
}

TEST_CASE("fault: partition between caller and registry") {
  if (!consul_is_there()) M3_SKIP(RealService::how_to_install(RealService::Kind::consul));
  Row row("fault: partition between caller and registry");
  INFO("again: " << row.replay());
  const Town town;
  town.proxy->stall(true);
  let_run(short_or_long(5s, 30s));
  // The others know of it, this caller cannot.
  const Instance fifth(id_of(5), consul_router(town.consul->address()));
  REQUIRE(town.load->more_calls(100));
  town.proxy->stall(false);
  const TimePoint healed = now();
  const TimePoint found = town.load->answered_by(fifth.id(), healed);
  row.within_mark("who came meanwhile is found after", found - healed, 10s);
  town.check(row);
}

TEST_CASE("fault: Consul lists half of the instances") {
  lists_less("fault: Consul lists half of the instances", kInstances / 2);
}

TEST_CASE("fault: Consul lists nobody") { lists_less("fault: Consul lists nobody", kInstances); }

TEST_CASE("fault: half of the instances sick") {
  if (!consul_is_there()) M3_SKIP(RealService::how_to_install(RealService::Kind::consul));
  Row row("fault: half of the instances sick");
  INFO("again: " << row.replay());
  auto consul = RealService::start(RealService::Kind::consul);
  REQUIRE(consul.is_ok());
  const std::string config = consul_router((*consul)->address()) +
                             "check_interval = \"500ms\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
  std::vector<std::unique_ptr<Instance>> all;
  for (int i = 1; i <= kInstances; ++i) all.push_back(std::make_unique<Instance>(id_of(i), config));
  Load::Options options;
  options.config = consul_router((*consul)->address());
  options.routes = {m3::to::random(), m3::to::hash("ann"), m3::to::single()};
  Load load(std::move(options));
  const TimePoint begin = now();
  for (const auto& one : all) REQUIRE(load.answered_by(one->id(), begin) != TimePoint::max());

  // The lowest is one of them, so that Single has to move.
  load.behave(id_of(1), BehaveReq::SICK);
  load.behave(id_of(2), BehaveReq::SICK);
  const TimePoint at = now();
  const auto to_sick_since = [&](TimePoint from) {
    return count_if(load.calls(), [&](const Call& call) {
      return call.begun > from && (call.by == id_of(1) || call.by == id_of(2));
    });
  };
  row.within_mark("the sick get no calls after",
                  eventually([&] {
                    const TimePoint from = now();
                    return load.more_calls(100) && to_sick_since(from) == 0;
                  })
                      ? now() - at
                      : Nanos::max() / 4,
                  10s);
  const TimePoint quiet = now();
  let_run(short_or_long(3s, 30s));
  REQUIRE(load.more_calls(200));
  row.holds(fmt::format("{} calls went to the sick since", to_sick_since(quiet)),
            to_sick_since(quiet) == 0);

  // Three of four: rather the check is sick.
  load.behave(id_of(3), BehaveReq::SICK);
  const TimePoint more = now();
  row.within_mark("with three of four said to be sick, all are called after",
                  load.answered_by(id_of(1), more) - more, 10s);
  REQUIRE(load.stop());
  check_calls(row, load, {id_of(1), id_of(2), id_of(3), id_of(4)});
}
