// SPDX-License-Identifier: BSL-1.0
#include "plugins/client/consul/consul_json.h"

#include <nlohmann/json.hpp>

#include "m3/testing/catch.h"
#include "plugins/client/consul/consul_client.h"

using m3::ConsulService;
using m3::Errc;
using m3::parse_consul_health;
using m3::parse_consul_names;
using m3::parse_consul_service;
using namespace std::chrono_literals;
using Health = ConsulService::Health;

namespace {

std::string entry(const std::string& service, const std::string& checks = "[]") {
  return R"({"Node": {"Node": "n1", "Address": "10.0.0.9"}, "Service": {)" + service +
         R"(}, "Checks": )" + checks + "}";
}

ConsulService one(const std::string& text) {
  auto list = parse_consul_health("[" + text + "]");
  REQUIRE(list.is_ok());
  INFO((list->skipped.empty() ? "" : list->skipped[0]));
  REQUIRE(list->services.size() == 1);
  return list->services[0];
}

std::string skipped(const std::string& text) {
  auto list = parse_consul_health("[" + text + "]");
  REQUIRE(list.is_ok());
  REQUIRE(list->services.empty());
  REQUIRE(list->skipped.size() == 1);
  return list->skipped[0];
}

}  // namespace

TEST_CASE("consul json: a service comes with its address, meta and health") {
  const ConsulService service = one(entry(
      R"("ID": "a.b.c.1", "Service": "m3-a-b-c", "Address": "10.0.0.1", "Port": 81, "Meta": {"k": "v"})",
      R"([{"CheckID": "serfHealth", "Status": "passing"}, {"CheckID": "m3:a.b.c.1", "Status": "warning"}])"));
  CHECK(service.id == "a.b.c.1");
  CHECK(service.name == "m3-a-b-c");
  CHECK(service.node == "n1");
  CHECK(service.host == "10.0.0.1");
  CHECK(service.port == 81);
  CHECK(service.meta == std::map<std::string, std::string>{{"k", "v"}});
  CHECK(service.health == Health::warning);
  CHECK_FALSE(service.maintenance);
}

TEST_CASE("consul json: without an address of its own a service is where its machine is") {
  CHECK(one(entry(R"("ID": "x", "Address": "", "Port": 1)")).host == "10.0.0.9");
  CHECK(one(entry(R"("ID": "x", "Meta": null)", "null")).host == "10.0.0.9");
}

TEST_CASE("consul json: the worst check counts, maintenance is separate") {
  const auto health = [](const std::string& checks) { return one(entry(R"("ID": "x")", checks)); };
  CHECK(health("[]").health == Health::passing);
  CHECK(health(R"([{"CheckID": "a", "Status": "critical"}, {"CheckID": "b", "Status": "passing"}])")
            .health == Health::critical);
  CHECK(health(R"([{"CheckID": "a", "Status": "unheard of"}])").health == Health::critical);
  for (const char* id : {"_node_maintenance", "_service_maintenance:x"}) {
    const ConsulService kept =
        health(R"([{"CheckID": ")" + std::string(id) + R"(", "Status": "critical"}])");
    CHECK(kept.health == Health::passing);
    CHECK(kept.maintenance);
  }
}

TEST_CASE("consul json: a bad entry is left out with its reason, the others stay") {
  auto list = parse_consul_health("[1, " + entry(R"("ID": "good")") + ", {}]");
  REQUIRE(list.is_ok());
  REQUIRE(list->services.size() == 1);
  CHECK(list->services[0].id == "good");
  CHECK(list->skipped ==
        std::vector<std::string>{"entry 0: not an object", "entry 2: Service: missing"});
  CHECK(skipped(entry(R"("ID": 7)")) == "entry 0: ID: not a string");
  for (const char* port : {"-1", "65536", "1.5", "\"80\""})
    CHECK(skipped(entry(R"("ID": "x", "Port": )" + std::string(port))) ==
          "\"x\": Port: not a port");
  CHECK(skipped(entry(R"("ID": "x", "Meta": [])")) == "\"x\": Meta: not an object");
  CHECK(skipped(entry(R"("ID": "x", "Meta": {"a": 1})")) ==
        "\"x\": Meta: not all values are strings");
  CHECK(skipped(entry(R"("ID": "x")", "{}")) == "\"x\": Checks: not a list");
  CHECK(skipped(entry(R"("ID": "x")", "[1]")) == "\"x\": Checks: an entry is not an object");
  CHECK(skipped(entry(R"("ID": "x")", R"([{"Status": 1}])")) ==
        "\"x\": Checks: Status: not a string");
  CHECK(skipped(R"({"Service": {"ID": "x"}})") == "entry 0: Node: missing");
}

TEST_CASE("consul json: anything other than a list is an error") {
  CHECK(parse_consul_health("").status() == Errc::data_loss);
  CHECK(parse_consul_health("[").status() == Errc::data_loss);
  CHECK(parse_consul_health("{}").status() == Errc::data_loss);
  CHECK(parse_consul_health("null")->services.empty());
  CHECK(parse_consul_health(std::string(100000, '[')).status() == Errc::data_loss);
}

TEST_CASE("consul json: an agent's service, and the names of the catalog") {
  auto service = parse_consul_service(
      R"({"ID": "x", "Service": "s", "Address": "h", "Port": 1, "Meta": {"a": "b"}})");
  REQUIRE(service.is_ok());
  CHECK(service->id == "x");
  CHECK(service->host == "h");
  CHECK(service->meta.at("a") == "b");
  CHECK(parse_consul_service("[]").status() == Errc::data_loss);
  CHECK(parse_consul_service(R"({"ID": 1})").status() == Errc::data_loss);
  CHECK(parse_consul_service("{").status() == Errc::data_loss);
  auto names = parse_consul_names(R"({"consul": [], "m3-a-b-c": ["t"]})");
  REQUIRE(names.is_ok());
  CHECK(*names == std::vector<std::string>{"consul", "m3-a-b-c"});
  CHECK(parse_consul_names("[]").status() == Errc::data_loss);
  CHECK(parse_consul_names("nonsense").status() == Errc::data_loss);
}

TEST_CASE("consul json: a registration says all that Consul must know") {
  m3::ConsulRegistration from;
  from.id = "a.b.c.1";
  from.name = "m3-a-b-c";
  from.host = "10.0.0.1";
  from.port = 81;
  from.meta = {{"k", "\xff\"v"}};  // no UTF-8
  from.check.id = "m3:a.b.c.1";
  from.check.name = "m3";
  from.check.ttl = 6s;
  from.check.deregister_after = 1min;
  const auto json = nlohmann::json::parse(m3::consul_registration_json(from));
  CHECK(json == nlohmann::json::parse(R"({"ID": "a.b.c.1", "Name": "m3-a-b-c",
      "Address": "10.0.0.1", "Port": 81, "EnableTagOverride": false, "Meta": {"k": "�\"v"},
      "Checks": [{"CheckID": "m3:a.b.c.1", "Name": "m3", "Status": "passing", "TTL": "6000ms",
                  "DeregisterCriticalServiceAfter": "60000ms"}]})"));
  from.check.http = "http://10.0.0.1:82/health/ready";
  from.check.interval = 2s;
  from.check.timeout = 1s;
  from.check.failures_before_critical = 2;
  const auto asked = nlohmann::json::parse(m3::consul_registration_json(from)).at("Checks").at(0);
  CHECK(asked == nlohmann::json::parse(R"({"CheckID": "m3:a.b.c.1", "Name": "m3",
      "Status": "passing", "DeregisterCriticalServiceAfter": "60000ms", "Method": "GET",
      "HTTP": "http://10.0.0.1:82/health/ready", "Interval": "2000ms", "Timeout": "1000ms",
      "FailuresBeforeCritical": 2})"));
}

TEST_CASE("consul json: paths are escaped") {
  CHECK(m3::consul_escape("m3:a-b_c.d~1") == "m3%3Aa-b_c.d~1");
  CHECK(m3::consul_escape("a/b ?&\n\xff") == "a%2Fb%20%3F%26%0A%FF");
}
