// SPDX-License-Identifier: BSL-1.0
#include "plugins/router/consul/consul_list.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "m3/testing/catch.h"

using m3::ConsulList;
using m3::Errc;

namespace {

const m3::ServiceId kService = *m3::ServiceId::parse("dev.w.hello");
using Texts = std::vector<std::string>;

std::string entry(const std::string& id, int weight = 100, const std::string& status = "passing") {
  return R"({"Node": {"Node": "n1 \"a\\", "Address": "10.0.0.9"}, "Service": {"ID": ")" + id +
         R"(", "Service": "m3-dev-w-hello", "Address": "10.0.0.1", "Port": 1, "Meta": {"generation": "7", "state": "serving", "weight": ")" +
         std::to_string(weight) + R"("}}, "Checks": [{"CheckID": "x", "Status": ")" + status +
         R"("}]})";
}
std::string hello(int ins, int weight = 100) {
  return entry("dev.w.hello." + std::to_string(ins), weight);
}

std::string body(const Texts& entries, const std::string& between = ",") {
  std::string out = "[";
  for (const std::string& one : entries) (out += out.size() > 1 ? between : "") += one;
  return out + "]";
}

std::string seen(const ConsulList::Read& read) {
  std::string out;
  for (const m3::Member& member : read.members)
    out += std::string(member.id.ins()) + ":" + std::to_string(member.weight) +
           (member.healthy ? " " : "! ");
  for (const std::string& why : read.skipped) out += "(" + why + ") ";
  return out;
}

}  // namespace

TEST_CASE("consul list: instances are in Consul's order, and changes are detected") {
  ConsulList list(kService);
  auto read = list.read(body({hello(2), hello(1)}));
  REQUIRE(read.is_ok());
  CHECK(seen(*read) == "2:100 1:100 ");
  CHECK(read->changed);
  read = list.read(body({hello(2), hello(1)}, " ,\n "));
  CHECK(seen(*read) == "2:100 1:100 ");
  CHECK_FALSE(read->changed);
  read = list.read(body({hello(2), hello(1, 7)}));
  CHECK(seen(*read) == "2:100 1:7 ");
  CHECK(read->changed);
  CHECK(seen(*list.read("[]")).empty());
  CHECK(seen(*list.read(" null ")).empty());
  CHECK_FALSE(list.read("[]")->changed);
}

TEST_CASE("consul list: entries that are not instances of the service are left out, each time") {
  ConsulList list(kService);
  const Texts some{R"({"Service": {"ID": "x\"y"}})", "17", entry("dev-w.hello.x.1"), hello(1),
                   entry("nobody")};
  const std::string said = seen(*list.read(body(some)));
  CHECK(said.starts_with("1:100 (an entry without an id: Node: missing) "));
  CHECK(std::count(said.begin(), said.end(), '(') == 3);  // another service is not worth a word
  CHECK(seen(*list.read(body(some))) == said);
}

TEST_CASE("consul list: one that two agents have is one, and well when one of them says so") {
  ConsulList list(kService);
  const std::string sick = entry("dev.w.hello.1", 100, "critical");
  CHECK(seen(*list.read(body({sick, sick}))) == "1:100! ");
  CHECK(seen(*list.read(body({sick, hello(1)}))) == "1:100 ");
  CHECK(seen(*list.read(body({hello(1), sick}))) == "1:100 ");
  CHECK(seen(*list.read(body({hello(1), hello(1, 7)}))) == "1:100 1:7 ");
}

TEST_CASE(
    "consul list: anything other than a list is refused, and the next answer is read from "
    "scratch") {
  for (const std::string& wrong :
       {std::string(), std::string("{}"), std::string("[1,]"), "[" + hello(1), "[" + hello(1) + ",",
        "[" + hello(1) + " " + hello(2) + "]", "[" + hello(1) + "]]", std::string("[{]}"),
        std::string("[\"")}) {
    INFO(wrong);
    ConsulList list(kService);
    REQUIRE(list.read(body({hello(1)})).is_ok());
    CHECK(list.read(wrong).status() == Errc::data_loss);
    CHECK(seen(*list.read(body({hello(1), hello(2)}))) == "1:100 2:100 ");
  }
}

TEST_CASE("consul list: after any history of answers it returns the same as a first reading") {
  std::mt19937_64 random(20261130);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  for (int history = 0; history < 200; ++history) {
    ConsulList list(kService);
    Texts entries;
    std::string last = "nothing";
    for (int step = 0; step < 20; ++step) {
      for (std::size_t changes = below(4); changes > 0; --changes) {
        const std::size_t at = below(entries.size() + 1);
        const std::string text =
            below(8) == 0 ? "{}" : hello(static_cast<int>(below(30)), static_cast<int>(below(3)));
        switch (below(4)) {
          case 0:
            entries.insert(entries.begin() + static_cast<std::ptrdiff_t>(at), text);
            break;
          case 1:
            if (at < entries.size()) entries[at] = text;
            break;
          case 2:
            if (at < entries.size())
              entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(at));
            break;
          default:
            if (at < entries.size()) std::swap(entries[at], entries.back());
        }
      }
      const std::string answer = body(entries);
      const auto read = list.read(answer);
      const auto anew = ConsulList(kService).read(answer);
      REQUIRE(read.is_ok());
      REQUIRE(seen(*read) == seen(*anew));
      std::string members;
      for (const m3::Member& member : read->members)
        members += member.id.to_string() + std::to_string(member.weight) + " ";
      REQUIRE(read->changed == (members != last));
      last = members;
    }
  }
}
