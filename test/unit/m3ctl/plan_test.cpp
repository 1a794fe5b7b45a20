// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/plan.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <set>

#include "apps/m3ctl/cluster/ports.h"
#include "test/unit/m3ctl/cluster_folder.h"

using m3::testing::contains;
using m3ctl::ClusterEntry;
using m3ctl::ClusterPlan;
using m3ctl_test::ClusterFolder;

namespace {

ClusterPlan plan_of(const ClusterFolder& folder, const std::string& text, m3::ErrorList& errors,
                    bool to_start = false) {
  return m3ctl::make_plan(folder.load(text), folder.path(), to_start, errors);
}

ClusterPlan plan_of(const ClusterFolder& folder, const std::string& text) {
  m3::ErrorList errors;
  ClusterPlan out = plan_of(folder, text, errors);
  INFO(errors.to_string());
  REQUIRE(errors.empty());
  return out;
}

std::string errors_of(const ClusterFolder& folder, const std::string& text, bool to_start = false) {
  m3::ErrorList errors;
  (void)plan_of(folder, text, errors, to_start);
  return errors.to_string();
}

constexpr const char* kTwoApps = R"(
[[app]]
binary = "./app"
func = "shop"
instances = 2
[[app]]
binary = "./app"
func = "bank"
env = "dev"
)";

/// Somebody else's port of 127.0.0.1.
class TakenPort {
 public:
  TakenPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(socket_, any, size) == 0);
    REQUIRE(listen(socket_, 1) == 0);
    REQUIRE(getsockname(socket_, any, &size) == 0);
    port = ntohs(address.sin_port);
  }
  ~TakenPort() { close(socket_); }
  TakenPort(const TakenPort&) = delete;
  TakenPort& operator=(const TakenPort&) = delete;
  std::uint16_t port = 0;

 private:
  int socket_;
};

}  // namespace

TEST_CASE("m3ctl plan: an entry for each instance, in the order of the file, with its own words") {
  const ClusterFolder folder;
  const ClusterPlan plan = plan_of(folder, kTwoApps);
  REQUIRE(plan.entries.size() == 3);
  CHECK(plan.groups() == 3);  // 0 are the services
  CHECK(plan.entries[0].name == "local.world1.shop.1");
  CHECK(plan.entries[1].name == "local.world1.shop.2");
  CHECK(plan.entries[2].name == "dev.world1.bank.1");
  CHECK(plan.entries[1].group == 1);
  CHECK(plan.entries[2].group == 2);
  std::set<std::uint16_t> ports;
  for (const ClusterEntry& entry : plan.entries) {
    CHECK(entry.is_app());
    const std::string config = folder / (entry.name + ".toml");
    CHECK(entry.argv ==
          std::vector<std::string>{folder / "app", "--id", entry.name, "--config", config});
    REQUIRE(entry.admin);
    ports.insert({entry.address.port, entry.admin->port});
  }
  CHECK(ports.size() == 6);
}

TEST_CASE("m3ctl plan: an instance's file is the app's own with what the cluster puts over it") {
  const ClusterFolder folder;
  folder.write("shop.toml", "weight = 7\nlisten = \"127.0.0.1:1\"\n[rpc]\ntoken = \"${TOKEN}\"\n");
  const ClusterPlan plan = plan_of(folder, R"(
[[app]]
binary = "./app"
func = "shop"
instances = 2
config = "shop.toml"
set = { lane = "l{instance}-{port}", "router.static.peers" = ["{peers}"] }
)");
  const std::string text = folder.read("local.world1.shop.2.toml");
  const std::string address = plan.entries[1].address.to_string();
  CHECK(contains(text, "weight = 7"));
  CHECK(contains(text, "\"" + address + "\""));
  CHECK(contains(text, "\"" + plan.entries[1].admin->to_string() + "\""));
  CHECK(contains(text, "\"l2-" + std::to_string(plan.entries[1].address.port) + "\""));
  CHECK(contains(text, "local.world1.shop.1@" + plan.entries[0].address.to_string()));
  CHECK(contains(text, "${TOKEN}"));
  CHECK_FALSE(contains(text, "127.0.0.1:1\""));
}

TEST_CASE("m3ctl plan: ports of the file are taken as they are") {
  const ClusterFolder folder;
  m3ctl::PortFinder ports;
  const std::uint16_t port = *ports.next();
  const ClusterPlan plan =
      plan_of(folder, "[[app]]\nbinary = \"./app\"\nports = [" + std::to_string(port) + "]\n");
  CHECK(plan.entries[0].address.port == port);
}

TEST_CASE("m3ctl plan: a port twice is wrong, one in use only when the cluster is to start") {
  const ClusterFolder folder;
  const TakenPort taken;
  const std::string port = std::to_string(taken.port);
  const std::string one = "[[app]]\nbinary = \"./app\"\nports = [" + port + "]\n";
  CHECK(errors_of(folder, one).empty());
  CHECK(contains(errors_of(folder, one, true), "port " + port + " is in use"));
  CHECK(contains(errors_of(folder, one + "[[app]]\nbinary = \"./app\"\nfunc = \"b\"\nports = [" +
                                       port + "]\n"),
                 "port " + port + " is used twice"));
}

TEST_CASE("m3ctl plan: the same id twice, a missing program and a missing file are all reported") {
  const ClusterFolder folder;
  const std::string all = errors_of(folder, R"([[app]]
binary = "./app"
[[app]]
binary = "./app"
[[app]]
binary = "./none"
func = "c"
[[app]]
binary = "./app"
func = "d"
config = "none.toml"
)");
  CHECK(contains(all, "local.world1.app.1 is there twice"));
  CHECK(contains(all, "town.toml:6: app[2].binary: ./none: the program was not found"));
  CHECK(contains(all, "app[3].config: there is no file"));
  CHECK(contains(errors_of(folder, "[[app]]\nbinary = \"./app\"\nconfig = \"" +
                                       std::string(5000, 'a') + "\"\n"),
                 "too long"));
}

TEST_CASE("m3ctl plan: braces are filled or refused") {
  const ClusterFolder folder;
  const auto lane = [&](const std::string& text) {
    return errors_of(folder, "[[app]]\nbinary = \"./app\"\nset = { lane = \"" + text + "\" }\n");
  };
  CHECK(lane("{{x").empty());
  CHECK(contains(lane("{redis}"), "add \"redis\" to needs"));
  CHECK(contains(lane("{instanc}"), "did you mean \"instance\"?"));
  CHECK(contains(lane("{instance"), "is not closed"));
  CHECK(contains(lane("a{peers}"), "a whole item of a list"));
}

TEST_CASE("m3ctl plan: an app that dislikes its configuration is quoted") {
  const ClusterFolder folder;
  folder.program("fussy", "echo \"$4:3: lane: too loud\"; exit 2");
  CHECK(contains(errors_of(folder, "[[app]]\nbinary = \"./fussy\"\n"),
                 "app[0]: local.world1.fussy.1: lane: too loud"));
  folder.program("mute", "exit 3");
  CHECK(contains(errors_of(folder, "[[app]]\nbinary = \"./mute\"\n"), "is it an m3 app?"));
}

TEST_CASE("m3ctl plan: errors of one app do not hide those of the others") {
  const ClusterFolder folder;
  folder.program("fussy", "echo \"$4:3: lane: too loud\"; exit 2");
  folder.program("picky", "echo \"$4:3: cores: too many\"; exit 2");
  m3::ErrorList errors;
  const m3ctl::ClusterFile file = folder.load(R"([[app]]
binary = "./app"
instances = 0
[[app]]
binary = "./fussy"
[[app]]
binary = "./none"
[[app]]
binary = "./picky"
)",
                                              errors);
  (void)m3ctl::make_plan(file, folder.path(), false, errors);
  const std::string all = errors.to_string();
  INFO(all);
  CHECK(errors.size() == 4);
  CHECK(contains(all, "town.toml:3: app[0].instances: 0 is out of range"));
  CHECK(contains(all, "town.toml:5: app[1]: local.world1.fussy.1: lane: too loud"));
  CHECK(contains(all, "town.toml:7: app[2].binary: ./none: the program was not found"));
  CHECK(contains(all, "town.toml:9: app[3]: local.world1.picky.1: cores: too many"));
}

TEST_CASE("m3ctl plan: an app that is wrong is not asked about its configuration") {
  const ClusterFolder folder;
  folder.program("fussy", "echo \"$4:3: lane: too loud\"; exit 2");
  const std::string all =
      errors_of(folder, "[[app]]\nbinary = \"./fussy\"\nset = { listen = \"x\" }\n");
  CHECK(contains(all, "app[0].set.listen"));
  CHECK_FALSE(contains(all, "too loud"));
}

TEST_CASE("m3ctl plan: the tool's file finds the instances by the list of all") {
  const ClusterFolder folder;
  const ClusterPlan plan = plan_of(folder, kTwoApps);
  const std::string text = folder.read("m3ctl.toml");
  for (const ClusterEntry& entry : plan.entries)
    CHECK(contains(text, entry.name + "@" + entry.address.to_string()));
  CHECK(plan.tool_config == folder / "m3ctl.toml");
}

TEST_CASE("m3ctl plan: a router that m3ctl does not contain is left out of its own file") {
  const ClusterFolder folder;
  const ClusterPlan plan = plan_of(folder, R"(
[[app]]
binary = "./app"
func = "shop"
set = { "router.own.where" = "here", "rpc.token" = "t" }
)");
  const std::string text = folder.read("m3ctl.toml");
  CHECK_FALSE(contains(text, "router.own"));
  CHECK(contains(text, "local.world1.shop.1@" + plan.entries[0].address.to_string()));
  CHECK(contains(text, "token = \"t\""));
}

TEST_CASE("m3ctl plan: a cluster that runs is planned again where it is") {
  const ClusterFolder folder;
  m3ctl::RunningCluster running;
  running.entries.push_back({.id = "local.world1.shop.1",
                             .address = "127.0.0.1:20001",
                             .admin = "127.0.0.1:20002",
                             .log = "",
                             .is_app = true,
                             .state = "ready"});
  const auto again = [&](const std::string& more) {
    m3ctl::ClusterFile file = folder.load("[[app]]\nbinary = \"./app\"\nfunc = \"shop\"\n" + more);
    m3::ErrorList errors;
    (void)m3ctl::make_plan_again(file, folder.path(), running, errors);
    return errors.to_string();
  };
  CHECK(again("set = { weight = 7 }\n").empty());
  const std::string text = folder.read("local.world1.shop.1.toml");
  CHECK(contains(text, "listen = \"127.0.0.1:20001\""));
  CHECK(contains(text, "listen = \"127.0.0.1:20002\""));
  CHECK(contains(text, "weight = 7"));
  CHECK(contains(again("instances = 2\n"), "local.world1.shop.2 is not running yet"));
  CHECK(contains(again("needs = [\"redis\"]\n"), "redis is not running yet"));
}
