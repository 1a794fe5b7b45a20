// SPDX-License-Identifier: BSL-1.0
// What every broker promises (m3/plugin/broker.h), on the real servers.
#include <atomic>

#include "broker_fixture.h"

using namespace broker_test;

TEST_CASE("broker: messages reach all subscribers in order, including the publisher") {
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

TEST_CASE("broker: a server that dies and returns gets its subscribers back") {
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

TEST_CASE("broker: messages unsent to a frozen server are reported lost with its connection") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Kind kind = make(name);
    auto one = kind.app("ping_interval = \"200ms\"\nmax_pending = \"4MiB\"\n");
    std::atomic<std::uint64_t> lost{0};
    REQUIRE(one->on_core([&] { return one->broker().on_lost([&](auto n) { lost += n; }), m3::ok; })
                .is_ok());
    kind.server->freeze();
    const std::string payload(64 << 10, 'x');
    std::uint64_t taken = 0;
    while (one->publish("t", payload).is_ok()) ++taken;
    CHECK(one->publish("t", payload) == Errc::resource_exhausted);
    CHECK(eventually([&] { return lost > 0; }));
    CHECK(lost >= (2u << 20) / payload.size());  // the system takes some more meanwhile
    CHECK(lost <= taken);
    kind.server->thaw();
    CHECK(eventually([&] { return one->publish("t", "back").is_ok(); }));
    REQUIRE(one->on_core([&] { return one->broker().on_lost({}), m3::ok; }).is_ok());
  }
}

TEST_CASE("broker: a connection that falls silent while it is made is left again") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Kind kind = make(name);
    auto proxy = ChaosProxy::start(kind.server->address());
    REQUIRE(proxy.is_ok());
    using Way = ChaosProxy::Way;
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

TEST_CASE("broker: a start waits for its server, and names the missing one") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Kind kind = make(name, {}, false);
    const App missing(kind.config(), kind.shared, 300ms);
    CHECK(missing.started == Errc::deadline_exceeded);
    CHECK(missing.started.text().find(kind.server->address().to_string()) != std::string::npos);
    Status patient;
    std::thread waiting([&] { patient = App(kind.config(), kind.shared, 20s).started; });
    const Status server = kind.server->start_again();
    waiting.join();
    CHECK(server.is_ok());
    CHECK(patient.is_ok());
  }
}

TEST_CASE("broker: a wrong password fails at once, and is never shown") {
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

TEST_CASE("broker: the server may be a name with several addresses") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Kind kind = make(name);
    // ::1 and 127.0.0.1 on most machines; the server listens on the second.
    App one(kind.config("", {"localhost", kind.server->address().port}), kind.shared);
    INFO(one.started.to_string());
    REQUIRE(one.started.is_ok());
    const App none(kind.config("", {"no-such-host.invalid", 1}), kind.shared, 300ms);
    CHECK(none.started == Errc::deadline_exceeded);
    CHECK(none.started.text().find("no-such-host.invalid") != std::string::npos);
  }
}
