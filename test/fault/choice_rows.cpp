// SPDX-License-Identifier: BSL-1.0
// One of two instances refuses at once, lacks the method, or breaks each connection: how soon calls
// keep clear of it, by Random, Hash and Single in turn, and how they find back.
#include <fmt/format.h>

#include "m3/testing/chaos_proxy.h"
#include "support/filters.h"
#include "support/instance.h"
#include "support/rogue_server.h"

using namespace fault;
using m3::testing::ChaosProxy;
using Manner = RogueServer::Manner;

namespace {

Load::Options by_every_route(std::string config) {
  Load::Options options;
  options.config = std::move(config);
  options.work_ms = 50;
  options.routes = {m3::to::random(), m3::to::hash("ann"), m3::to::random(), m3::to::hash("bob"),
                    m3::to::single()};
  return options;
}

/// Of the calls that began more than a second after `at`.
void check_share(Row& row, const std::vector<Call>& calls, TimePoint at) {
  const std::size_t later =
      count_if(calls, [&](const Call& call) { return call.begun > at + 1s && call.ends > 0; });
  const std::size_t bad = count_if(calls, failed_after(at + 1s));
  const std::size_t all = count_if(calls, failed_after(at));
  row.note(fmt::format("{} calls failed in the first second", all - bad));
  const double share = later ? 100.0 * static_cast<double>(bad) / static_cast<double>(later) : 100;
  row.within_mark(fmt::format("percent that failed of {} calls after the first second: {}", later,
                              failures(calls)),
                  share, 1.0);
}

void refuses(const std::string& name, m3::Errc code) {
  Row row(name);
  INFO("again: " << row.replay());
  const Instance one(kOne);
  const Instance two(kTwo);
  Load load(by_every_route(static_router({&one, &two})));
  REQUIRE(warm_up(load));
  load.behave(kOne, BehaveReq::REFUSE, code);
  const TimePoint at = now();
  REQUIRE(load.more_calls(200));
  const std::uint64_t before = load.count(kOne).started();
  REQUIRE(load.more_calls(static_cast<std::size_t>(short_or_long(1000, 6000))));
  check_share(row, load.calls(), at);
  const std::uint64_t asked = load.count(kOne).started() - before;
  row.holds(fmt::format("it was asked {} times after the first second", asked), asked <= 12);
  const TimePoint well = now();
  load.behave(kOne, BehaveReq::WELL);
  row.within_mark("used again after it was well", load.answered_by(kOne, well) - well, 10s);
  REQUIRE(load.stop());
  row.holds("no call failed after it was well", count_if(load.calls(), failed_after(well)) == 0);
  check_calls(row, load, {kTwo});
}

/// Each is about twice the previous one, up to 10 s, so half a minute sees twelve at most.
void check_pauses(Row& row, const std::vector<TimePoint>& connected) {
  std::string line;
  for (std::size_t i = 1; i < connected.size(); ++i)
    line += fmt::format("{}{}", i == 1 ? "" : ", ", ms(connected[i] - connected[i - 1]));
  const bool grew =
      connected.size() >= 4 && connected.size() <= 12 &&
      connected.back() - connected[connected.size() - 2] > 2 * (connected[2] - connected[1]);
  row.holds("the pauses between its connections grow: " + line.substr(0, 300), grew);
}

void dies(const std::string& name, Manner manner, bool reset) {
  Row row(name);
  INFO("again: " << row.replay());
  RogueServer rogue(kOne, {"/fault.Fault/Work"}, manner);
  auto proxy = ChaosProxy::start(rogue.address());
  REQUIRE(proxy.is_ok());
  if (reset) rogue.on_request([&] { (*proxy)->cut_all(); });
  const Instance two(kTwo);
  Load load(
      by_every_route(static_peers({peer(kOne, (*proxy)->address()), peer(kTwo, two.address())})));
  const TimePoint at = now();
  REQUIRE(load.more_calls(static_cast<std::size_t>(short_or_long(1200, 6000))));
  check_share(row, load.calls(), at);
  check_pauses(row, rogue.connected());
  row.note(fmt::format("it was sent {} calls", rogue.requests()));
  rogue.on_request(nullptr);
  rogue.set_manner(Manner::answers);
  const int before = rogue.requests();
  const TimePoint well = now();
  row.holds("it gets calls again", eventually([&] { return rogue.requests() > before + 20; }, 40s));
  row.note("twenty calls after " + ms(now() - well));
  REQUIRE(load.stop());
  row.holds("no call failed after it was well", count_if(load.calls(), failed_after(well)) == 0);
  check_calls(row, load, {kTwo});
}

}  // namespace

TEST_CASE("fault: a fast refuser of resource_exhausted") {
  refuses("fault: a fast refuser of resource_exhausted", m3::Errc::resource_exhausted);
}

TEST_CASE("fault: a fast refuser of unimplemented") {
  refuses("fault: a fast refuser of unimplemented", m3::Errc::unimplemented);
}

TEST_CASE("fault: a fast refuser of unauthenticated") {
  refuses("fault: a fast refuser of unauthenticated", m3::Errc::unauthenticated);
}

TEST_CASE("fault: a fast refuser that lacks the method") {
  Row row("fault: a fast refuser that lacks the method");
  INFO("again: " << row.replay());
  RogueServer other(kOne, {"/fault.Fault/Another"}, Manner::answers);
  const Instance two(kTwo);
  Load load(by_every_route(static_peers({peer(kOne, other.address()), peer(kTwo, two.address())})));
  const TimePoint at = now();
  REQUIRE(load.more_calls(static_cast<std::size_t>(short_or_long(600, 6000))));
  REQUIRE(load.stop());
  check_share(row, load.calls(), at);
  row.holds("no call failed at all", count_if(load.calls(), failed) == 0);
  row.holds(fmt::format("it was sent {} calls", other.requests()), other.requests() == 0);
  check_calls(row, load, {kTwo});
}

TEST_CASE("fault: a peer that dies on every request and closes") {
  dies("fault: a peer that dies on every request and closes", Manner::closes, false);
}

TEST_CASE("fault: a peer that dies on every request and resets") {
  dies("fault: a peer that dies on every request and resets", Manner::never_answers, true);
}

TEST_CASE("fault: a peer that dies on every request and says goaway") {
  dies("fault: a peer that dies on every request and says goaway", Manner::says_goaway, false);
}
