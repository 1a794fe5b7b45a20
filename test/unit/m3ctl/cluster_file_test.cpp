// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/cluster_file.h"

#include <chrono>

#include "test/unit/m3ctl/cluster_folder.h"

using m3::testing::contains;
using m3ctl::ClusterFile;
using m3ctl::Service;
using m3ctl_test::ClusterFolder;
using namespace std::chrono_literals;

namespace {

std::string errors_of(const std::string& text) {
  const ClusterFolder folder;
  m3::ErrorList errors;
  (void)folder.load(text, errors);
  return errors.to_string();
}

}  // namespace

TEST_CASE("m3ctl cluster file: missing keys have defaults") {
  const ClusterFolder folder;
  const ClusterFile file = folder.load("[[app]]\nbinary = \"./app\"\n");
  CHECK(file.name == "town");
  CHECK(file.stop_timeout == 40s);
  REQUIRE(file.apps.size() == 1);
  const ClusterFile::App& app = file.apps.front();
  CHECK(app.binary.text == "./app");
  CHECK(app.binary.line == 2);
  CHECK(app.env == "local");
  CHECK(app.world == "world1");
  CHECK(app.instances == 1);
  CHECK(app.ports.list.empty());
  CHECK(app.needs.empty());
  CHECK(file.key(app, "ports") == "app[0].ports");
  CHECK(file.beside("../x.toml") ==
        std::filesystem::path(folder / "../x.toml").lexically_normal().string());
}

TEST_CASE("m3ctl cluster file: every key is read") {
  const ClusterFolder folder;
  const ClusterFile file = folder.load(R"(
name = "village"
stop_timeout = "3s"
[services.redis]
port = 7000
keep_data = true
[[app]]
binary = "app"
func = "shop"
env = "dev"
world = "world2"
instances = 2
config = "shop.toml"
ports = [7001, 7002]
needs = ["redis", "nats"]
set = { "rpc.token" = "${TOKEN}" }
)");
  CHECK(file.name == "village");
  CHECK(file.stop_timeout == 3s);
  CHECK(file.services.redis.port == 7000);
  CHECK(file.services.redis.keep_data);
  const ClusterFile::App& app = file.apps.at(0);
  CHECK(app.func == "shop");
  CHECK(app.ports.list == std::vector<std::uint16_t>{7001, 7002});
  CHECK(app.needs == std::vector<Service>{Service::redis, Service::nats});
  CHECK(app.set.at("rpc.token").value.text == "${TOKEN}");
}

TEST_CASE("m3ctl cluster file: all errors are reported at once, with their lines") {
  const std::string all = errors_of(R"([[app]]
instances = 0
ports = [70000]
func = "a.b"
needs = ["reddis"]
)");
  CHECK(contains(all, "town.toml:2: app[0].instances"));
  CHECK(contains(all, "town.toml:3: app[0].ports: expected \"auto\""));
  CHECK(contains(all, "\"a.b\" cannot be part of an id"));
  CHECK(contains(all, "did you mean \"redis\"?"));
  CHECK(contains(all, "app[0].binary"));
}

TEST_CASE("m3ctl cluster file: the apps that are right are there also when others are wrong") {
  const ClusterFolder folder;
  m3::ErrorList errors;
  const ClusterFile file = folder.load(R"(stop_timeout = "1x"
[[app]]
binary = "./a"
instances = 0
[[app]]
binary = "./b"
[[app]]
[[app]]
binary = "./d"
)",
                                       errors);
  CHECK(errors.size() == 3);
  REQUIRE(file.apps.size() == 2);
  CHECK(file.apps[0].binary.text == "./b");
  CHECK(ClusterFile::key(file.apps[0], "") == "app[1]");
  CHECK(ClusterFile::key(file.apps[1], "set") == "app[3].set");
}

TEST_CASE("m3ctl cluster file: ports are one for each instance") {
  CHECK(contains(errors_of("[[app]]\nbinary = \"a\"\ninstances = 3\nports = [1, 2]\n"),
                 "2 ports for 3 instances"));
}

TEST_CASE("m3ctl cluster file: a cluster has an app, and a consul that keeps data has a port") {
  CHECK(contains(errors_of(""), "app"));
  CHECK(contains(errors_of("[[app]]\nbinary = \"a\"\n[services.consul]\nkeep_data = true\n"),
                 "keep_data needs a port"));
}

TEST_CASE("m3ctl cluster file: a missing file and an invalid name are reported") {
  m3::ErrorList errors;
  (void)ClusterFile::load("/no/such/town.toml", errors);
  CHECK(contains(errors.to_string(), "there is no such file"));
  m3::ErrorList long_name;
  (void)ClusterFile::load(std::string(5000, 'a') + ".toml", long_name);
  CHECK(contains(long_name.to_string(), "too long"));
  const ClusterFolder folder;
  m3::ErrorList more;
  (void)ClusterFile::load(folder.write("my town.toml", "[[app]]\nbinary = \"a\"\n"), more);
  CHECK(contains(more.to_string(), "write name = \"…\" in the file"));
}
