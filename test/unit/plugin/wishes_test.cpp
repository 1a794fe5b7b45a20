// SPDX-License-Identifier: BSL-1.0
// Random histories: whatever happens in between, in the end the service has what is wished for.
#include "m3/plugin/wishes.h"

#include <fmt/format.h>

#include <cstdlib>
#include <random>
#include <set>

#include "m3/testing/catch.h"

using m3::Errc;
using m3::Nanos;
using m3::Status;
using m3::TimePoint;
using m3::Wishes;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kStart{24h};

std::uint64_t seed_of(int round) {
  const char* given = std::getenv("M3_TEST_SEED");
  return given ? std::strtoull(given, nullptr, 10) : 1000003u + static_cast<unsigned>(round);
}

/// The wishes, a service that takes its time, and what should be the case.
class History {
 public:
  History(std::uint64_t seed, bool lasting)
      : random_(seed), lasting_(lasting), wishes_(options(lasting), [this] { return random_(); }) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      check();
    }
    come_to_rest();
  }

 private:
  struct Sent {
    Wishes::Order order;
    int connection;
  };
  static Wishes::Options options(bool lasting) {
    Wishes::Options out;
    out.lasting = lasting;
    return out;
  }
  unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }
  std::string any_key() { return fmt::format("k{}", pick(6)); }

  void step() {
    switch (pick(12)) {
      case 0:
      case 1: {
        const std::string key = any_key();
        wishes_.want(key);
        wanted_.insert(key);
        return;
      }
      case 2:
      case 3: {
        const std::string key = any_key();
        wishes_.drop(key);
        wanted_.erase(key);
        return;
      }
      case 4:
        return renew(any_key());
      case 5:
        return pick(3) == 0 ? lose() : connect();
      case 6:
      case 7:
        return send(1 + pick(4));
      case 8: {  // somebody else deletes it
        const std::string key = any_key();
        for (const Sent& one : sent_)
          if (one.order.key == key) return;
        there_.erase(key);
        wishes_.missing(key);
        return;
      }
      case 9:
        if (const std::string key = any_key(); !refuses_.erase(key) && pick(2))
          refuses_.insert(key);
        return;
      case 10:
        now_ += std::chrono::milliseconds(pick(2000));
        return;
      default:
        return answer_one();
    }
  }
  void renew(const std::string& key) {
    wishes_.renew(key);
    wanted_.insert(key);
  }
  void connect() {
    if (wishes_.is_connected()) return;
    ++connection_;
    if (!lasting_) there_.clear();
    wishes_.connected();
  }
  void lose() {
    if (!wishes_.is_connected()) return;
    wishes_.lost();
    // What was on its way may have arrived.
    while (lasting_ && !sent_.empty()) {
      if (pick(2)) take_effect(sent_.front().order);
      sent_.pop_front();
    }
    if (!lasting_) there_.clear();
  }
  void send(std::size_t window) {
    for (Wishes::Order& order : wishes_.take(now_, window)) {
      CHECK(order.number > last_number_);
      CHECK(order.establish == wanted_.contains(order.key));
      for (const Sent& other : sent_)
        if (other.connection == connection_) CHECK(other.order.key != order.key);
      last_number_ = order.number;
      sent_.push_back({std::move(order), connection_});
    }
  }
  void take_effect(const Wishes::Order& order) {
    if (order.establish)
      there_[order.key] = order.version;
    else
      there_.erase(order.key);
  }
  void answer_one() {
    if (sent_.empty()) return;
    const Sent one = sent_.front();
    sent_.pop_front();
    Status status;
    const bool old = one.connection != connection_ || !wishes_.is_connected();
    if (one.order.establish && refuses_.contains(one.order.key)) {
      status = Status(Errc::permission_denied, "no");
    } else if (flaky_ && pick(5) == 0) {
      if (pick(2) && !old) take_effect(one.order);
      status = Status(Errc::unavailable, "perhaps");
    } else if (!old) {
      take_effect(one.order);
    }
    const Wishes::Answer answer = wishes_.answered(one.order.number, status, now_);
    if (old) CHECK(answer.key.empty());
    if (answer.confirmed) {
      CHECK(wanted_.contains(answer.key));
      CHECK(there_.contains(answer.key));
    }
    if (answer.refused) CHECK(wanted_.contains(answer.key));
  }
  void check() {
    CHECK(wishes_.wanted() == wanted_.size());
    CHECK(wishes_.next_retry() > TimePoint());
    bool all = wishes_.is_connected();
    for (const std::string& key : wanted_) {
      const auto state = wishes_.state(key);
      CHECK(state != Wishes::State::unknown);
      if (state == Wishes::State::open) all = false;
      if (state == Wishes::State::confirmed) CHECK(there_.contains(key));
    }
    CHECK(wishes_.up() == all);
  }
  void come_to_rest() {
    flaky_ = false;
    for (int i = 0; i < 200; ++i) {
      connect();
      send(100);
      while (!sent_.empty()) answer_one();
      now_ += 1s;
    }
    check();
    std::set<std::string> should, is;
    for (const std::string& key : wanted_)
      if (!refuses_.contains(key)) should.insert(key);
    for (const auto& [key, version] : there_)
      if (!refuses_.contains(key) || !wanted_.contains(key)) is.insert(key);
    CHECK(is == should);
    CHECK(wishes_.up());
    CHECK(wishes_.under_way() == 0);
  }

  std::mt19937_64 random_;
  const bool lasting_;
  Wishes wishes_;
  TimePoint now_ = kStart;
  bool flaky_ = true;
  int connection_ = 0;
  std::uint64_t last_number_ = 0;
  std::set<std::string> wanted_, refuses_;
  std::map<std::string, std::uint64_t> there_;
  std::deque<Sent> sent_;
};

}  // namespace

TEST_CASE("wishes: after any history the service has the wanted keys, and nothing else") {
  const int rounds = std::getenv("M3_TEST_SEED") ? 1 : 2000;
  for (const bool lasting : {false, true}) {
    for (int round = 0; round < rounds; ++round) {
      const std::uint64_t seed = seed_of(round);
      INFO("replay with M3_TEST_SEED=" << seed << (lasting ? ", lasting" : ""));
      History(seed, lasting).run(120);
    }
  }
}

TEST_CASE(
    "wishes: a wish dropped and made again while its order is under way needs no second one") {
  Wishes wishes({}, [] { return 0u; });
  wishes.connected();
  wishes.want("t");
  const auto orders = wishes.take(kStart, 10);
  REQUIRE(orders.size() == 1);
  wishes.drop("t");
  CHECK(wishes.take(kStart, 10).empty());
  wishes.want("t");
  CHECK(wishes.answered(orders[0].number, m3::ok, kStart).confirmed);
  CHECK(wishes.take(kStart, 10).empty());
  CHECK(wishes.up());
}

TEST_CASE("wishes: a key renewed while its order is in flight is established again") {
  Wishes wishes({}, [] { return 0u; });
  wishes.connected();
  wishes.want("t");
  const auto first = wishes.take(kStart, 10);
  wishes.renew("t");
  CHECK(!wishes.answered(first[0].number, m3::ok, kStart).confirmed);
  const auto second = wishes.take(kStart, 10);
  REQUIRE(second.size() == 1);
  CHECK(second[0].version == first[0].version + 1);
  CHECK(wishes.answered(second[0].number, m3::ok, kStart).confirmed);
}

TEST_CASE("wishes: a key that outlives its connection is withdrawn if it was dropped meanwhile") {
  Wishes::Options lasting;
  lasting.lasting = true;
  Wishes wishes(lasting, [] { return 0u; });
  wishes.connected();
  wishes.want("t");
  (void)wishes.answered(wishes.take(kStart, 10)[0].number, m3::ok, kStart);
  wishes.lost();
  wishes.drop("t");
  wishes.connected();
  const auto orders = wishes.take(kStart, 10);
  REQUIRE(orders.size() == 1);
  CHECK(!orders[0].establish);
  (void)wishes.answered(orders[0].number, m3::ok, kStart);
  CHECK(wishes.take(kStart, 10).empty());
}
