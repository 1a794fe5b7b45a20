// SPDX-License-Identifier: BSL-1.0
// What every broker promises (m3/plugin/broker.h), on the real servers.
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "m3/plugin/broker.h"
#include "m3/testing/catch.h"
#include "m3/testing/chaos_proxy.h"
#include "m3/testing/eventually.h"
#include "m3/testing/plugin_host.h"
#include "m3/testing/real_service.h"

using m3::Broker;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::testing::eventually;
using m3::testing::PluginHost;
using m3::testing::RealService;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;

/// An app's broker.
class App : public PluginHost<Broker> {
 public:
  App(const std::string& config, std::shared_ptr<m3::SharedParts> shared,
      m3::Nanos start_timeout = 10s)
      : PluginHost(config, {"dev.w.test.1", start_timeout, std::move(shared)}) {}
  Broker& broker() { return plugin(); }
  Status publish(const std::string& topic, const std::string& payload) {
    return on_core([&] { return broker().publish(topic, payload); });
  }
  Status subscribe(const std::string& topic, Broker::Subscriber& subscriber) {
    return run([&](Ctx& ctx) { return broker().subscribe(ctx, topic, subscriber); });
  }
  void unsubscribe(const std::string& topic, Broker::Subscriber& subscriber) {
    CHECK(on_core([&] { broker().unsubscribe(topic, subscriber); }).is_ok());
  }
};

/// Told on a core, read by the test.
class Ear final : public Broker::Subscriber {
 public:
  void on_message(std::string_view topic, std::string_view payload) override {
    const std::lock_guard lock(mutex_);
    heard_.push_back(std::string(topic) + ": " + std::string(payload));
  }
  void on_resubscribed(std::string_view) override {
    const std::lock_guard lock(mutex_);
    ++again_;
  }
  Lines heard() const {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  int again() const {
    const std::lock_guard lock(mutex_);
    return again_;
  }

 private:
  mutable std::mutex mutex_;
  Lines heard_;
  int again_ = 0;
};

/// One kind of broker, with its server.
struct Kind {
  std::string name;
  std::unique_ptr<RealService> server;  // null: none is needed
  std::shared_ptr<m3::SharedParts> shared = std::make_shared<m3::SharedParts>();
  std::string config(const std::string& more = "", const m3::HostPort& through = {}) const {
    if (!server) return "[broker.local]\n" + more;
    const m3::HostPort& at = through.port ? through : server->address();
    const std::string address = "\"" + at.to_string() + "\"\n";
    return name == "redis" ? "[broker.redis]\naddress = " + address + more
                           : "[broker.nats]\nservers = [" + address + "]\n" + more;
  }
  std::unique_ptr<App> app(const std::string& more = "") const {
    auto made = std::make_unique<App>(config(more), shared);
    INFO(made->started.to_string());
    REQUIRE(made->started.is_ok());
    return made;
  }
};

Kind make(const std::string& name, RealService::Options options = {}, bool started = true) {
  Kind out;
  out.name = name;
  if (name == "local") return out;
  const auto kind = name == "redis" ? RealService::Kind::redis : RealService::Kind::nats;
  auto made = started ? RealService::start(kind, std::move(options))
                      : RealService::prepare(kind, std::move(options));
  INFO(made.status().to_string());
  REQUIRE(made.is_ok());
  out.server = *std::move(made);
  return out;
}

/// Those that can run here.
Lines kinds(bool with_local) {
  Lines out;
  if (with_local) out.emplace_back("local");
  for (const auto& [name, kind] :
       {std::pair{"redis", RealService::Kind::redis}, std::pair{"nats", RealService::Kind::nats}}) {
    if (RealService::installed(kind))
      out.emplace_back(name);
    else
      WARN("skipped for " << name << ": " << RealService::how_to_install(kind));
  }
  return out;
}

}  // namespace

TEST_CASE("broker: messages come to everybody who subscribed, in order, the publisher too") {
  for (const std::string& name : kinds(true)) {
    INFO(name);
    const Kind kind = make(name);
    auto one = kind.app(), two = kind.app();
    Ear own, other, third;
    REQUIRE(one->subscribe("m3.all.dev.w.a", own).is_ok());
    REQUIRE(two->subscribe("m3.all.dev.w.a", other).is_ok());
    REQUIRE(two->subscribe("m3.all.dev.w.a", third).is_ok());
    Lines wanted;
    for (int i = 0; i < 500; ++i) {
      REQUIRE(one->publish("m3.all.dev.w.a", std::to_string(i)).is_ok());
      wanted.push_back("m3.all.dev.w.a: " + std::to_string(i));
    }
    REQUIRE(one->publish("elsewhere", "x").is_ok());
    CHECK(eventually([&] { return other.heard().size() == 500 && third.heard().size() == 500; }));
    CHECK(eventually([&] { return own.heard().size() == 500; }));
    CHECK(own.heard() == wanted);
    CHECK(other.heard() == wanted);
    // One leaves, the other stays.
    two->unsubscribe("m3.all.dev.w.a", other);
    REQUIRE(one->publish("m3.all.dev.w.a", "last").is_ok());
    CHECK(eventually([&] { return third.heard().size() == 501; }));
    CHECK(other.heard().size() == 500);
    two->unsubscribe("m3.all.dev.w.a", third);
    REQUIRE(two->subscribe("m3.all.dev.w.a", other).is_ok());
    REQUIRE(one->publish("m3.all.dev.w.a", "again").is_ok());
    CHECK(eventually([&] { return other.heard().size() == 501; }));
    CHECK(other.heard().back() == "m3.all.dev.w.a: again");
    CHECK(third.heard().size() == 501);
    one->unsubscribe("m3.all.dev.w.a", own);
    two->unsubscribe("m3.all.dev.w.a", other);
  }
}

TEST_CASE("broker: payloads are bytes, small and large, and too large ones are refused") {
  for (const std::string& name : kinds(true)) {
    INFO(name);
    const Kind kind = make(name);
    auto one = kind.app(), two = kind.app();
    Ear ear;
    REQUIRE(two->subscribe("t", ear).is_ok());
    std::string all;
    for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
    const std::string large(700000, '\r');
    for (const std::string& payload : {std::string(), all, std::string("a\r\nb"), large})
      REQUIRE(one->publish("t", payload).is_ok());
    CHECK(eventually([&] { return ear.heard().size() == 4; }));
    CHECK((ear.heard() == Lines{"t: ", "t: " + all, "t: a\r\nb", "t: " + large}));
    if (one->broker().max_payload() < 100u << 20) {
      const std::string over(one->broker().max_payload() + 1, 'x');
      CHECK(one->publish("t", over) == Errc::invalid_argument);
    }
    two->unsubscribe("t", ear);
  }
}

TEST_CASE("broker: a server that dies and comes back finds its subscribers again") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Kind kind = make(name);
    auto one = kind.app(), two = kind.app();
    Ear ear, late;
    REQUIRE(two->subscribe("t", ear).is_ok());
    kind.server->kill9();
    CHECK(eventually([&] { return one->publish("t", "lost") == Errc::unavailable; }));
    CHECK(eventually([&] { return two->subscribe("late", late) == Errc::unavailable; }));
    REQUIRE(kind.server->start_again().is_ok());
    CHECK(eventually([&] { return ear.again() == 1 && late.again() == 1; }));
    CHECK(eventually([&] { return one->publish("t", "back").is_ok(); }));
    CHECK(eventually([&] { return !ear.heard().empty(); }));
    CHECK(ear.heard() == Lines{"t: back"});
    REQUIRE(one->publish("late", "too").is_ok());
    CHECK(eventually([&] { return late.heard() == Lines{"late: too"}; }));
    two->unsubscribe("t", ear);
    two->unsubscribe("late", late);
  }
}

TEST_CASE("broker: a server that is frozen is found silent, and used again when it is not") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Kind kind = make(name);
    auto one = kind.app("ping_interval = \"200ms\"\n");
    Ear ear;
    REQUIRE(one->subscribe("t", ear).is_ok());
    kind.server->freeze();
    CHECK(eventually([&] { return one->publish("t", "x") == Errc::unavailable; }));
    Ear other;
    CHECK(eventually([&] { return one->subscribe("other", other) == Errc::unavailable; }));
    kind.server->thaw();
    CHECK(eventually([&] { return ear.again() >= 1; }));
    CHECK(eventually([&] {
      return one->publish("t", "back").is_ok() && !ear.heard().empty() &&
             ear.heard().back() == "t: back";
    }));
    one->unsubscribe("t", ear);
    one->unsubscribe("other", other);
  }
}

TEST_CASE("broker: a connection that falls silent while it is made is left again") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Kind kind = make(name);
    auto proxy = m3::testing::ChaosProxy::start(kind.server->address());
    REQUIRE(proxy.is_ok());
    using Way = m3::testing::ChaosProxy::Way;
    App one(kind.config("connect_timeout = \"300ms\"\n", (*proxy)->address()), kind.shared);
    REQUIRE(one.started.is_ok());
    Ear ear;
    REQUIRE(one.subscribe("t", ear).is_ok());
    // Redis says PONG and nothing more, NATS the beginning of its INFO.
    (*proxy)->black_hole_at(7, Way::to_client);
    const std::uint64_t before = (*proxy)->accepted();
    (*proxy)->cut_all();
    CHECK(eventually([&] { return (*proxy)->accepted() >= before + 3; }));
    (*proxy)->behave();  // what is silent stays so
    CHECK(eventually([&] { return ear.again() >= 1; }));
    auto other = kind.app();
    CHECK(eventually([&] { return other->publish("t", "x").is_ok() && !ear.heard().empty(); }));
    one.unsubscribe("t", ear);
  }
}

TEST_CASE("broker: a start waits for its server, and says which one it misses") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Kind kind = make(name, {}, false);
    const App missing(kind.config(), kind.shared, 300ms);
    CHECK(missing.started == Errc::unavailable);
    CHECK(missing.started.text().find(kind.server->address().to_string()) != std::string::npos);
    Status patient;
    std::thread waiting([&] { patient = App(kind.config(), kind.shared, 20s).started; });
    const Status server = kind.server->start_again();
    waiting.join();
    CHECK(server.is_ok());
    CHECK(patient.is_ok());
  }
}

TEST_CASE("broker: a wrong password is told at once, and never shown") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    RealService::Options locked;
    locked.args = name == "redis" ? Lines{"--requirepass", "right-one"}
                                  : Lines{"--user", "m3", "--pass", "right-one"};
    const std::string user = name == "redis" ? "" : "user = \"m3\"\n";
    // The service is asked without a password whether it is up, and refuses: that is up.
    const Kind kind = make(name, locked);
    const App wrong(kind.config(user + "password = \"wrong-one\"\n"), kind.shared);
    CHECK(wrong.started == Errc::unauthenticated);
    CHECK(wrong.started.text().find("wrong-one") == std::string::npos);
    const App none(kind.config(), kind.shared);
    CHECK(none.started == Errc::unauthenticated);
    const App right(kind.config(user + "password = \"right-one\"\n"), kind.shared);
    CHECK(right.started.is_ok());
  }
}
