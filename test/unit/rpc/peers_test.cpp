// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/peers.h"

#include <deque>
#include <vector>

#include "m3/base/method_hash.h"
#include "m3/rpc/detail/link.h"
#include "m3/rpc/detail/peer_methods.h"
#include "m3/rpc/rpc_config.h"
#include "m3/testing/catch.h"
#include "m3/testing/sim.h"

using m3::Errc;
using m3::Nanos;
using m3::Peers;
using m3::Status;
using Answer = m3::Peers::Answer;
using Standing = m3::Peers::Standing;
using namespace std::chrono_literals;

namespace {

/// The instances of one service, on a clock that the test moves.
struct Service {
  explicit Service(std::size_t size) : peers(sim.core()) {
    for (std::size_t i = 0; i < size; ++i) {
      auto& one = instances.emplace_back();
      one.slot = static_cast<std::uint32_t>(i);
      all.push_back(&one);
      (void)peers[one.slot];
    }
  }
  Peers::State& at(std::size_t i) { return peers[static_cast<std::uint32_t>(i)]; }
  /// How many such answers in a row it takes; 0: a hundred do not.
  int until_ejected(std::size_t i, Answer answer, bool trial = false) {
    for (int n = 1; n <= 100; ++n)
      if (peers.answered(at(i), answer, trial, config)) return n;
    return 0;
  }
  void pass(Nanos time) { sim.run_for(time); }
  bool usable(std::size_t i) { return peers.usable(instances[i]); }

  m3::testing::SimRuntime sim;
  m3::RpcConfig config;
  Peers peers;
  std::deque<m3::Instance> instances;
  std::vector<const m3::Instance*> all;
};

}  // namespace

TEST_CASE("peers: how an answer is judged") {
  using By = Peers::By;
  const auto of = [](Errc code, bool executed, By by) {
    Status status(code, "x");
    return Peers::answer_of(executed ? status : std::move(status).not_executed(), by);
  };
  for (const Errc code : {Errc::resource_exhausted, Errc::unimplemented, Errc::unauthenticated}) {
    for (const By by : {By::name, By::key, By::chance})
      CHECK(of(code, false, by) == Answer::refusal);
    CHECK(of(code, true, By::chance) == Answer::complaint);
    for (const By by : {By::name, By::key}) CHECK(of(code, true, by) == Answer::neutral);
  }
  for (const bool executed : {true, false})
    CHECK(of(Errc::moved, executed, By::name) == Answer::good);
  for (const By by : {By::key, By::chance}) CHECK(of(Errc::moved, false, by) == Answer::refusal);
  CHECK(of(Errc::moved, true, By::key) == Answer::neutral);
  CHECK(of(Errc::moved, true, By::chance) == Answer::complaint);
  CHECK(of(Errc::unavailable, false, By::chance) == Answer::refusal);
  CHECK(of(Errc::unavailable, true, By::chance) == Answer::error);
  for (const Errc code : {Errc::deadline_exceeded, Errc::internal, Errc::data_loss, Errc::unknown})
    CHECK(of(code, true, By::chance) == Answer::error);
  for (const Errc code : {Errc::invalid_argument, Errc::permission_denied, Errc::not_found,
                          Errc::aborted, Errc::failed_precondition, Errc::already_exists})
    for (const bool executed : {true, false}) CHECK(of(code, executed, By::chance) == Answer::good);
}

TEST_CASE("peers: five errors in a row eject, and so does more than a third of all answers") {
  Service service(1);
  CHECK(service.until_ejected(0, Answer::error) == 5);
  CHECK(service.until_ejected(0, Answer::refusal) == 5);
  const auto share = [&](int good, int bad) {
    for (int round = 0; round < 200; ++round) {
      for (int i = 0; i < good; ++i)
        if (service.peers.answered(service.at(0), Answer::good, false, service.config)) return true;
      for (int i = 0; i < bad; ++i)
        if (service.peers.answered(service.at(0), Answer::error, false, service.config))
          return true;
    }
    return false;
  };
  CHECK_FALSE(share(2, 1));
  CHECK(share(3, 2));
  CHECK(service.until_ejected(0, Answer::complaint) > 0);
  CHECK(service.until_ejected(0, Answer::neutral) == 0);
}

TEST_CASE("peers: pauses double up to the longest, and start over after a good while") {
  Service service(1);
  Nanos before{0};
  for (int i = 0; i < 8; ++i) {
    const Nanos most = std::min<Nanos>(1s * (1 << i), service.config.eject_for);
    const Nanos pause = service.peers.eject(service.at(0), Answer::error, service.config, 0s);
    CHECK(pause <= most);
    CHECK(pause >= most / 2);
    before = pause;
    CHECK_FALSE(service.usable(0));
    service.pass(pause + 1ms);
    CHECK(service.usable(0));
    REQUIRE(service.peers.begin_trial(service.at(0)));
    service.peers.end_trial(service.at(0));
  }
  for (int i = 0; i < 10; ++i)
    service.peers.answered(service.at(0), Answer::good, true, service.config);
  CHECK(service.at(0).standing == Standing::trusted);
  service.pass(11s);
  CHECK(service.peers.eject(service.at(0), Answer::error, service.config, 0s) <= 1s);
  // A refusal's own time counts, within bounds.
  CHECK(service.peers.eject(service.at(0), Answer::refusal, service.config, 7s) >= 7s);
  CHECK(service.peers.eject(service.at(0), Answer::refusal, service.config, 1h) == 10s);
}

TEST_CASE("peers: a connection that breaks once is dialled again at once, then ever later") {
  Service service(1);
  CHECK(service.peers.broke(service.at(0), service.config) == 0s);
  CHECK_FALSE(service.usable(0));
  CHECK(service.peers.take_to_dial() == &service.instances[0]);
  for (const Nanos most : {200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 10000ms, 10000ms}) {
    service.peers.reached(service.at(0));
    CHECK(service.usable(0));
    const Nanos pause = service.peers.broke(service.at(0), service.config);
    CHECK(pause <= most);
    CHECK(pause >= most / 2);
    CHECK_FALSE(service.usable(0));
    CHECK(service.peers.take_to_dial() == nullptr);
    service.pass(pause + 1ms);
  }
}

TEST_CASE("peers: one call tries an instance on trial, then as many as were answered and one") {
  Service service(1);
  service.peers.unreachable(service.at(0), 0s);
  service.peers.reached(service.at(0));
  for (int passed = 0; passed < 10; ++passed) {
    INFO(passed);
    for (int i = 0; i <= passed; ++i) {
      REQUIRE(service.usable(0));
      REQUIRE(service.peers.begin_trial(service.at(0)));
    }
    CHECK_FALSE(service.usable(0));
    CHECK_FALSE(service.peers.begin_trial(service.at(0)));
    for (int i = 0; i <= passed; ++i) service.peers.end_trial(service.at(0));
    CHECK_FALSE(service.peers.answered(service.at(0), Answer::good, true, service.config));
  }
  CHECK(service.at(0).standing == Standing::trusted);
}

TEST_CASE("peers: a second trial begins from nothing") {
  Service service(1);
  Peers::State& state = service.at(0);
  for (int round = 0; round < 2; ++round) {
    service.pass(service.peers.eject(state, Answer::error, service.config, 0s) + 1ms);
    for (int i = 1; i <= 10; ++i) {
      CHECK(state.standing != Standing::trusted);
      CHECK(service.peers.begin_trial(state));
      CHECK(state.trials == 1);
      service.peers.answered(state, Answer::good, true, service.config);
      service.peers.end_trial(state);
    }
    CHECK(state.standing == Standing::trusted);
  }
}

TEST_CASE("peers: one bad answer of a trial ends it, one of a call from before does not") {
  Service service(1);
  service.peers.unreachable(service.at(0), 0s);
  service.peers.reached(service.at(0));
  CHECK(service.until_ejected(0, Answer::error, false) == 0);
  CHECK(service.until_ejected(0, Answer::error, true) == 1);
  // A call that takes long does not keep the next one waiting for good.
  REQUIRE(service.peers.begin_trial(service.at(0)));
  CHECK_FALSE(service.usable(0));
  service.pass(2s);
  CHECK(service.usable(0));
}

TEST_CASE("peers: errors eject at most half of a service, complaints only a single instance") {
  Service service(4);
  for (const std::size_t i : {0u, 1u}) {
    CHECK(service.peers.half_stay_without(service.instances[i], service.all));
    service.peers.eject(service.at(i), Answer::error, service.config, 0s);
  }
  CHECK_FALSE(service.peers.half_stay_without(service.instances[2], service.all));
  CHECK(service.peers.half_stay_without(service.instances[0], service.all));
  // One on trial is still missing.
  service.peers.reached(service.at(0));
  CHECK_FALSE(service.peers.half_stay_without(service.instances[2], service.all));
  CHECK(service.peers.only_one_complains(service.instances[2], service.all));
  CHECK(service.until_ejected(3, Answer::complaint) > 0);
  CHECK_FALSE(service.peers.only_one_complains(service.instances[2], service.all));
}

TEST_CASE("peers: of those that are left out, one that can be reached is the least bad") {
  Service service(4);
  service.peers.unreachable(service.at(0), 1h);
  service.peers.eject(service.at(1), Answer::error, service.config, 0s);
  service.peers.eject(service.at(2), Answer::error, service.config, 0s);
  service.peers.unreachable(service.at(3), 1h);
  service.at(1).in_flight = 1;
  const m3::Choice any{service.peers};
  CHECK(any.first_of(service.all) == service.all[1]);
  CHECK(any.calmest_of(service.all, 0) == service.all[2]);
  const m3::Choice but_one{service.peers, 1};
  CHECK(but_one.first_of(service.all) == service.all[2]);
  service.peers.reached(service.at(3));
  CHECK(any.first_of(service.all) == service.all[3]);
}

TEST_CASE("rpc: peers that serve the same methods share one table, in the same order") {
  const auto named = [](std::initializer_list<const char*> names) {
    std::vector<m3::MethodName> out;
    for (const char* name : names) {
      m3::MethodName method;
      method.name = name;
      method.hash = m3::method_hash(method.name);
      out.push_back(std::move(method));
    }
    return out;
  };
  m3::rpc_detail::PeerMethodsPool pool;
  const auto first = pool.intern(named({"/a.A/X", "/a.A/Y"}));
  const auto same = pool.intern(named({"/a.A/X", "/a.A/Y"}));
  const auto other = pool.intern(named({"/a.A/X"}));
  CHECK(first == same);
  CHECK(first != other);
  CHECK(pool.intern(named({"/a.A/Y", "/a.A/X"})) != first);

  m3::MethodInfo y;
  y.full_name = "/a.A/Y";
  y.hash = m3::method_hash(y.full_name);
  CHECK(first->serves(y) == m3::rpc_detail::Serves::yes);
  CHECK(other->serves(y) == m3::rpc_detail::Serves::no);
  const Status lacks = other->refusal(y, "dev.w.a.1");
  CHECK(lacks.to_string() ==
        "unimplemented: dev.w.a.1 does not serve /a.A/Y, did you mean \"/a.A/X\"?");
  CHECK(other->refusal(y, "dev.w.a.2").text().find("dev.w.a.2 does not serve") == 0);
  m3::MethodInfo clash = y;
  clash.full_name = "/b.B/Z";
  CHECK(first->serves(clash) == m3::rpc_detail::Serves::clash);
  CHECK(first->refusal(clash, "dev.w.a.1") == Errc::internal);
}
