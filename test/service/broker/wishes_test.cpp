// SPDX-License-Identifier: BSL-1.0
// Subscriptions are wishes: whatever happens to the connection, in the end exactly they are heard.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "broker_fixture.h"
#include "m3/async/timer.h"

using namespace broker_test;

namespace {

std::string topic(int i) { return fmt::format("topic.{}", i); }

std::set<std::string> topics_heard(const Ear& ear) {
  std::set<std::string> out;
  for (const std::string& line : ear.heard()) out.insert(line.substr(0, line.find(": ")));
  return out;
}

/// What is in one of them only.
Lines difference(const std::set<std::string>& a, const std::set<std::string>& b) {
  Lines out;
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

/// An app whose way to the server can be disturbed.
struct Disturbed {
  Disturbed(const Kind& kind, const std::string& more = "") {
    auto made = ChaosProxy::start(kind.server->address());
    REQUIRE(made.is_ok());
    proxy = *std::move(made);
    app = std::make_unique<App>(kind.config(more, proxy->address()), kind.shared);
    REQUIRE(app->started.is_ok());
  }
  std::unique_ptr<ChaosProxy> proxy;
  std::unique_ptr<App> app;
};

}  // namespace

TEST_CASE("broker: topics joined and left while it connects again are neither lost nor kept") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Kind kind = make(name);
    Disturbed one(kind);
    auto other = kind.app();
    Ear ear;
    one.proxy->delay(5ms);
    std::set<std::string> wanted, left;
    REQUIRE(one.app->subscribe("first", ear).is_ok());
    wanted.insert("first");
    // They fall into every step of the way back, of several losses.
    int next = 0;
    for (int round = 0; round < 10; ++round) {
      const int before = ear.again();
      one.proxy->cut_all();
      CHECK(eventually([&] {
        const std::string joined = topic(next++);
        (void)one.app->run([&](Ctx& ctx) {
          return m3::within(
              ctx, 1ms, [&](Ctx& soon) { return one.app->broker().subscribe(soon, joined, ear); });
        });
        wanted.insert(joined);
        if (next % 3 == 0) {
          const std::string leaves = *wanted.rbegin();
          one.app->unsubscribe(leaves, ear);
          wanted.erase(leaves);
          left.insert(leaves);
        }
        return ear.again() > before;
      }));
    }
    one.proxy->behave();
    for (const std::string& each : wanted) left.erase(each);
    CHECK(eventually(
        [&] {
          const auto heard = topics_heard(ear);
          for (const std::string& each : wanted)
            if (!heard.contains(each)) (void)other->publish(each, "x");
          return heard.size() >= wanted.size();
        },
        5s));
    CHECK(difference(topics_heard(ear), wanted).empty());
    // A second subscriber comes late, and hears as much.
    Ear second;
    for (const std::string& each : wanted) REQUIRE(one.app->subscribe(each, second).is_ok());
    const std::size_t heard = ear.heard().size();
    for (const std::string& each : wanted) REQUIRE(other->publish(each, "y").is_ok());
    for (const std::string& each : left) REQUIRE(other->publish(each, "y").is_ok());
    CHECK(eventually([&] { return topics_heard(second).size() == wanted.size(); }, 5s));
    CHECK(difference(topics_heard(second), wanted).empty());
    CHECK(eventually([&] { return ear.heard().size() == heard + wanted.size(); }, 5s));
    for (const std::string& each : wanted) {
      one.app->unsubscribe(each, ear);
      one.app->unsubscribe(each, second);
    }
  }
}

TEST_CASE("broker: thousands of topics are subscribed again at once, however far the server is") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Kind kind = make(name);
    Disturbed one(kind);
    Ear ear;
    constexpr int kTopics = 3000;
    for (int i = 0; i < kTopics; ++i) REQUIRE(one.app->subscribe(topic(i), ear).is_ok());
    one.proxy->delay(20ms);
    const auto at = std::chrono::steady_clock::now();
    one.proxy->cut_all();
    CHECK(eventually([&] { return ear.again() == kTopics; }, 10s));
    const auto took = std::chrono::steady_clock::now() - at;
    CHECK(took < 5s);
    for (int i = 0; i < kTopics; ++i) one.app->unsubscribe(topic(i), ear);
  }
}

TEST_CASE("broker: a callback about a new connection may unsubscribe itself and others") {
  class Leaver final : public Broker::Subscriber {
   public:
    Leaver(App& app, std::vector<std::unique_ptr<Ear>>& others) : app_(app), others_(others) {}
    void on_message(std::string_view, std::string_view) override {}
    void on_resubscribed(std::string_view topic) override {
      app_.broker().unsubscribe(topic, *this);
      for (const auto& other : others_)
        for (int i = 0; i < 20; ++i) app_.broker().unsubscribe(topic_of(i), *other);
      others_.clear();
      ++told;
    }
    static std::string topic_of(int i) { return topic(i); }
    std::atomic<int> told = 0;

   private:
    App& app_;
    std::vector<std::unique_ptr<Ear>>& others_;
  };
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Kind kind = make(name);
    Disturbed one(kind);
    std::vector<std::unique_ptr<Ear>> others;
    Leaver leaver(*one.app, others);
    for (int i = 0; i < 20; ++i) REQUIRE(one.app->subscribe(topic(i), leaver).is_ok());
    for (int n = 0; n < 3; ++n) {
      others.push_back(std::make_unique<Ear>());
      for (int i = 0; i < 20; ++i) REQUIRE(one.app->subscribe(topic(i), *others.back()).is_ok());
    }
    one.proxy->cut_all();
    CHECK(eventually([&] { return leaver.told == 20; }));
    Ear last;
    CHECK(eventually([&] { return one.app->subscribe("last", last).is_ok(); }));
    one.app->unsubscribe("last", last);
  }
}
