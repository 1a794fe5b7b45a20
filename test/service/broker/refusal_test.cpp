// SPDX-License-Identifier: BSL-1.0
// What a server refuses: a topic, a message, a connection. It concerns that one and nothing else.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "broker_fixture.h"

using namespace broker_test;

namespace {

/// A file for a server, gone with the test.
class File {
 public:
  explicit File(const std::string& text)
      : path_((std::filesystem::temp_directory_path() / ("m3-broker-" + std::to_string(::getpid()) +
                                                         "-" + std::to_string(++count) + ".conf"))
                  .string()) {
    std::ofstream(path_) << text;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  static inline int count = 0;
  std::string path_;
};

RealService::Options with_args(Lines args) {
  RealService::Options out;
  out.args = std::move(args);
  return out;
}

constexpr const char* kUser = "user = \"m3\"\npassword = \"right\"\n";

/// A server that lets the user m3 have topics ok.* and no others.
struct Restricted {
  explicit Restricted(const std::string& name)
      : file(R"(authorization { users = [ { user: m3, password: right,
          permissions: { publish: ["ok.>"], subscribe: ["ok.>"] } } ] })"),
        kind(make(name, with_args(name == "redis" ? Lines{"--user", "default", "off", "--user",
                                                          "m3", "on", ">right", "+@all", "&ok.*"}
                                                  : Lines{"-c", file.path()}))) {}
  File file;
  Kind kind;
};

}  // namespace

TEST_CASE("broker: a topic that is refused is its own error, and the others go on") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Restricted server(name);
    auto one = server.kind.app(kUser), two = server.kind.app(kUser);
    Ear ear, denied, late;
    REQUIRE(one->subscribe("ok.before", ear).is_ok());
    const Status refused = one->subscribe("secret", denied);
    INFO(refused.to_string());
    CHECK(refused == Errc::permission_denied);
    REQUIRE(one->subscribe("ok.after", late).is_ok());
    REQUIRE(two->publish("ok.before", "x").is_ok());
    REQUIRE(two->publish("ok.after", "y").is_ok());
    CHECK(eventually([&] { return ear.heard() == Lines{"ok.before: x"}; }));
    CHECK(eventually([&] { return late.heard() == Lines{"ok.after: y"}; }));
    CHECK(ear.again() == 0);  // the connection was not lost
    CHECK(late.again() == 0);
    one->unsubscribe("ok.before", ear);
    one->unsubscribe("ok.after", late);
    one->unsubscribe("secret", denied);
  }
}

TEST_CASE("broker: publishing to a refused topic is an error, once the server has refused") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const Restricted server(name);
    auto one = server.kind.app(kUser);
    Ear ear;
    REQUIRE(one->subscribe("ok.t", ear).is_ok());
    std::atomic<int> told{0};
    REQUIRE(one->on_core([&] {
                 one->broker().on_refused([&told](std::string_view topic, const Status& why) {
                   if (topic == "secret" && why == Errc::permission_denied) ++told;
                 });
               })
                .is_ok());
    CHECK(one->publish("secret", "x").is_ok());  // nobody knows yet
    CHECK(eventually([&] { return told == 1; }, 4s));
    CHECK(one->publish("secret", "x") == Errc::permission_denied);
    REQUIRE(one->publish("ok.t", "x").is_ok());
    CHECK(eventually([&] { return ear.heard() == Lines{"ok.t: x"}; }));
    one->unsubscribe("ok.t", ear);
  }
}

TEST_CASE("broker: a subscription that a NATS server ends is known, and made again when allowed") {
  if (!RealService::installed(RealService::Kind::nats))
    M3_SKIP(RealService::how_to_install(RealService::Kind::nats));
  const auto allowing = [](const std::string& topics) {
    return "authorization { users = [ { user: m3, password: right, permissions: "
           "{ publish: [\"ok.>\"], subscribe: [" +
           topics + "] } } ] }";
  };
  const File file(allowing("\"ok.>\""));
  const Kind kind = make("nats", with_args({"-c", file.path()}));
  const auto reload = [&](const std::string& topics) {
    std::ofstream(file.path()) << allowing(topics);
    REQUIRE(::kill(kind.server->pid(), SIGHUP) == 0);
  };
  auto one = kind.app(kUser);
  Ear ended, stays, asked;
  REQUIRE(one->subscribe("ok.ended", ended).is_ok());
  REQUIRE(one->subscribe("ok.stays", stays).is_ok());
  reload("\"ok.stays\"");
  const auto hears = [&](const std::string& topic, const Ear& ear) {
    const std::size_t before = ear.heard().size();
    REQUIRE(one->publish(topic, "x").is_ok());
    return eventually([&] { return ear.heard().size() > before; }, 200ms);
  };
  CHECK(eventually([&] { return !hears("ok.ended", ended); }));
  CHECK(hears("ok.stays", stays));
  CHECK(one->subscribe("ok.ended", asked) == Errc::permission_denied);
  reload("\"ok.>\"");
  CHECK(eventually([&] { return ended.again() > 0; }));
  CHECK(hears("ok.ended", ended));
  CHECK(stays.again() == 0);  // the connection was not lost
  for (Ear* ear : {&ended, &asked}) one->unsubscribe("ok.ended", *ear);
  one->unsubscribe("ok.stays", stays);
}

TEST_CASE("broker: a server at its limit of connections is waited for, unlike a wrong password") {
  for (const std::string& name : kinds(false)) {
    INFO(name);
    const File nats("max_connections: 1\n");
    // Redis takes two connections for each app.
    const Kind kind = make(
        name, with_args(name == "redis" ? Lines{"--maxclients", "2"} : Lines{"-c", nats.path()}));
    std::unique_ptr<App> first;
    CHECK(eventually([&] {  // the place of the test's own look may still be taken
      first = std::make_unique<App>(kind.config(), kind.shared, 1s);
      return first->started.is_ok();
    }));
    const App refused(kind.config(), kind.shared, 500ms);
    INFO(refused.started.to_string());
    CHECK(refused.started == Errc::deadline_exceeded);
    CHECK(refused.started.text().find("max") != std::string::npos);
    Status patient;
    std::thread waiting([&] { patient = App(kind.config(), kind.shared, 20s).started; });
    first.reset();
    waiting.join();
    CHECK(patient.is_ok());
  }
}

TEST_CASE("broker: a user of Redis without a password is still that user") {
  if (!RealService::installed(RealService::Kind::redis)) M3_SKIP("redis-server is not installed");
  const Kind kind =
      make("redis",
           with_args({"--user", "default", "off", "--user", "m3", "on", "nopass", "+@all", "&*"}));
  const App none(kind.config(), kind.shared);
  CHECK(none.started == Errc::unauthenticated);
  const App named(kind.config("user = \"m3\"\n"), kind.shared);
  INFO(named.started.to_string());
  CHECK(named.started.is_ok());
}

TEST_CASE("broker: a message that another NATS server allows does not break a connection") {
  using Kind = RealService::Kind;
  if (!RealService::installed(Kind::nats)) M3_SKIP(RealService::how_to_install(Kind::nats));
  // Ports for the two to find each other.
  auto port_one = RealService::prepare(Kind::nats), port_two = RealService::prepare(Kind::nats);
  REQUIRE(port_one.is_ok());
  REQUIRE(port_two.is_ok());
  const std::string way_one = "nats://" + (*port_one)->address().to_string();
  const std::string way_two = "nats://" + (*port_two)->address().to_string();
  const File small("max_payload: 1000\n");
  broker_test::Kind one = make("nats", with_args({"-c", small.path(), "--cluster_name", "m3",
                                                  "--cluster", way_one, "--routes", way_two}));
  broker_test::Kind two =
      make("nats", with_args({"--cluster_name", "m3", "--cluster", way_two, "--routes", way_one}));
  auto hears = one.app(), speaks = two.app();
  Ear ear;
  REQUIRE(hears->subscribe("t", ear).is_ok());
  CHECK(eventually([&] {  // they have found each other
    return speaks->publish("t", "small").is_ok() && !ear.heard().empty();
  }));
  const std::string large(20000, 'x');
  REQUIRE(speaks->publish("t", large).is_ok());
  CHECK(eventually([&] { return ear.heard().back() == "t: " + large; }, 5s));
  CHECK(ear.again() == 0);
  CHECK(hears->publish("t", large) == Errc::invalid_argument);
  hears->unsubscribe("t", ear);
}
