// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "m3/base/app_id.h"
#include "m3/base/byte_size.h"
#include "m3/config/document.h"
#include "m3/testing/catch.h"
#include "read.h"

using namespace std::chrono_literals;
using config_test::errors_of;
using m3::ErrorList;

namespace game {

enum class Format { text, json };
constexpr std::array<std::pair<std::string_view, Format>, 2> enum_names(Format) {
  return {{{"text", Format::text}, {"json", Format::json}}};
}

struct Tls {
  std::string cert;
  std::string key;
  static void describe(m3::Schema<Tls>& s) {
    s.add("cert", &Tls::cert).doc("certificate file");
    s.add("key", &Tls::key).secret();
    s.check([](const Tls& tls) {
      return tls.cert.empty() == tls.key.empty()
                 ? m3::Status()
                 : m3::Status(m3::Errc::invalid_argument, "cert and key go together");
    });
  }
};

struct Rule {
  std::string method;
  double ratio = 0.5;
  static void describe(m3::Schema<Rule>& s) {
    s.add("method", &Rule::method).required();
    s.add("ratio", &Rule::ratio).range(0, 1);
  }
};

struct Config {
  bool enabled = false;
  std::string listen = "127.0.0.1:0";
  int cores = 2;
  std::uint8_t small = 7;
  std::uint64_t big = 0;
  double factor = 1.5;
  m3::Duration timeout = 5s;
  std::chrono::milliseconds tick = 100ms;
  m3::ByteSize limit{65536};
  Format format = Format::text;
  std::string mode = "fast";
  std::string token;
  std::vector<std::string> peers;
  std::vector<int> ports;
  std::vector<bool> flags;
  std::map<std::string, int> weights;
  std::optional<std::string> note;
  std::optional<m3::AppId> owner;
  Tls tls;
  std::vector<Rule> rules;
  std::map<std::string, Rule> named;

  static void describe(m3::Schema<Config>& s) {
    s.add("enabled", &Config::enabled);
    s.add("listen", &Config::listen).not_empty();
    s.add("cores", &Config::cores).doc("how many threads").range(1, 256);
    s.add("small", &Config::small);
    s.add("big", &Config::big).at_most(100);
    s.add("factor", &Config::factor).at_least(0.5);
    s.add("timeout", &Config::timeout).range(1ms, 1h);
    s.add("tick", &Config::tick);
    s.add("limit", &Config::limit).at_most(m3::ByteSize{1 << 20});
    s.add("format", &Config::format);
    s.add("mode", &Config::mode).choices({"fast", "safe"});
    s.add("token", &Config::token).secret().check([](const std::string& token) {
      return token.size() == 3 ? m3::Status(m3::Errc::invalid_argument, token + " is too short")
                               : m3::Status();
    });
    s.add("peers", &Config::peers);
    s.add("ports", &Config::ports);
    s.add("flags", &Config::flags);
    s.add("weights", &Config::weights);
    s.add("note", &Config::note);
    s.add("owner", &Config::owner);
    s.add("tls", &Config::tls);
    s.add("rules", &Config::rules);
    s.add("named", &Config::named);
  }
};

struct Peers {
  std::vector<std::string> peers;
  std::string name;
  static void describe(m3::Schema<Peers>& s) {
    s.add("peers", &Peers::peers).doc("every instance: env.world.func.ins@host:port").not_empty();
    s.add("name", &Peers::name).doc("who it is").required();
  }
};

}  // namespace game

using game::Config;

namespace {

Config read(std::string_view text,
            const std::map<std::string, std::string, std::less<>>& environment = {}) {
  ErrorList errors;
  auto config = config_test::parse(text, errors, environment).root().decode<Config>(errors);
  INFO(errors.to_string());
  REQUIRE(config);
  REQUIRE(errors.empty());
  return *std::move(config);
}

std::string wrong(std::string_view text) { return errors_of<Config>(text); }

}  // namespace

TEST_CASE("config: an empty file gives every key its default") {
  Config config = read("");
  CHECK(config.listen == "127.0.0.1:0");
  CHECK(config.timeout == 5s);
  CHECK_FALSE(config.note);
  CHECK(config.rules.empty());
}

TEST_CASE("config: every kind of field is read") {
  Config config = read(R"(
enabled = true
listen = "0.0.0.0:20051"
cores = 4
small = 255
big = 100
factor = 2
timeout = "1m30s"
tick = "250ms"
limit = "1MiB"
format = "JSON"
mode = "safe"
token = "abcd"
peers = ["a", "b"]
ports = [1, 2, 3]
flags = [true, false]
weights = { x = 1, y = 2 }
note = "n"
owner = "dev.w.f.1"
[tls]
cert = "c"
key = "k"
[[rules]]
method = "m1"
[[rules]]
method = "m2"
ratio = 1
[named.first]
method = "m3"
)");
  CHECK(config.enabled);
  CHECK(config.listen == "0.0.0.0:20051");
  CHECK(config.cores == 4);
  CHECK(config.small == 255);
  CHECK(config.big == 100);
  CHECK(config.factor == 2.0);
  CHECK(config.timeout == 90s);
  CHECK(config.tick == 250ms);
  CHECK(config.limit.bytes == 1 << 20);
  CHECK(config.format == game::Format::json);
  CHECK(config.mode == "safe");
  CHECK(config.peers == std::vector<std::string>{"a", "b"});
  CHECK(config.ports == std::vector<int>{1, 2, 3});
  CHECK(config.flags == std::vector<bool>{true, false});
  CHECK(config.weights == std::map<std::string, int>{{"x", 1}, {"y", 2}});
  CHECK(config.note == "n");
  CHECK(config.owner->func() == "f");
  CHECK(config.tls.key == "k");
  REQUIRE(config.rules.size() == 2);
  CHECK(config.rules[0].ratio == 0.5);
  CHECK(config.rules[1].ratio == 1.0);
  CHECK(config.named.at("first").method == "m3");
}

TEST_CASE("config: everything wrong is reported at once, by line") {
  CHECK(wrong(R"(lisen = "x"
cores = "four"
timeout = 5
[tls]
cert = 1
ky = "k"
[[rules]]
method = "a"
ratio = 2
[[rules]]
ratio = 0.1
)") == "a.toml:1: lisen: unknown key (did you mean \"listen\"?)\n"
       "a.toml:2: cores: expected an integer, found the string \"four\"\n"
       "a.toml:3: timeout: expected a duration, found the integer 5; write its unit, like \"5s\" "
       "or \"5ms\"\n"
       "a.toml:5: tls.cert: expected a string, found the integer 1; write it in quotes\n"
       "a.toml:6: tls.ky: unknown key (did you mean \"key\"?)\n"
       "a.toml:9: rules[0].ratio: 2.0 is out of range; allowed: 0.0 to 1.0\n"
       "a.toml:10: rules[1].method: missing\n");
}

TEST_CASE("config: the error of a wrong value lists the allowed ones") {
  CHECK(wrong("cores = 0") ==
        "a.toml:1: cores: 0 is out of range; allowed: 1 to 256 (how many threads)\n");
  CHECK(wrong("small = 256") == "a.toml:1: small: 256 is out of range; allowed: 0 to 255\n");
  CHECK(wrong("big = -1") == "a.toml:1: big: -1 is out of range; allowed: 0 to 100\n");
  CHECK(wrong("big = 101") == "a.toml:1: big: 101 is out of range; allowed: 0 to 100\n");
  CHECK(wrong("factor = nan") == "a.toml:1: factor: nan is out of range; allowed: at least 0.5\n");
  CHECK(wrong("factor = \"1\"") ==
        "a.toml:1: factor: expected a number, found the string \"1\"; write it without quotes\n");
  CHECK(wrong("enabled = 1") == "a.toml:1: enabled: expected true or false, found the integer 1\n");
  CHECK(wrong("timeout = \"2h\"") == "a.toml:1: timeout: 2h is out of range; allowed: 1ms to 1h\n");
  CHECK(wrong("tick = \"1500us\"") == "a.toml:1: tick: 1ms500us is finer than 1ms\n");
  CHECK(wrong("timeout = \"10\"") ==
        "a.toml:1: timeout: \"10\" is not a duration: the unit is missing; write 10s or 10ms\n");
  CHECK(wrong("timeout = true") ==
        "a.toml:1: timeout: expected a string with a duration like \"10s\", found the boolean "
        "true\n");
  CHECK(wrong("limit = 5") ==
        "a.toml:1: limit: expected a string with a size like \"0B\", found the integer 5\n");
  CHECK(wrong("limit = \"2MiB\"") ==
        "a.toml:1: limit: 2MiB is out of range; allowed: at most 1MiB\n");
  CHECK(wrong("format = \"jason\"") ==
        "a.toml:1: format: \"jason\" is not one of text, json (did you mean \"json\"?)\n");
  CHECK(wrong("format = 1") ==
        "a.toml:1: format: expected one of text, json, found the integer 1\n");
  CHECK(wrong("mode = \"sfe\"") ==
        "a.toml:1: mode: \"sfe\" is not one of fast, safe (did you mean \"safe\"?)\n");
  CHECK(wrong("listen = \"\"") == "a.toml:1: listen: it must not be empty\n");
  CHECK(wrong("owner = \"x\"").find("is not an app id") != std::string::npos);
  CHECK(wrong("listen = 1979-05-27") ==
        "a.toml:1: listen: expected a string, found a date or time; write it in quotes\n");
  CHECK(
      wrong("peers = \"a\"") ==
      "a.toml:1: peers: expected a list, found the string \"a\"; write it in brackets: [\"…\"]\n");
  CHECK(wrong("peers = [\"a\", 1]") ==
        "a.toml:1: peers[1]: expected a string, found the integer 1; write it in quotes\n");
  CHECK(wrong("weights = { \"a b\" = \"x\" }") ==
        "a.toml:1: weights.\"a b\": expected an integer, found the string \"x\"\n");
  CHECK(wrong("tls = 1") == "a.toml:1: tls: expected a table, found the integer 1\n");
  CHECK(wrong("cores = 99999999999999999999").find("a.toml:1: ") == 0);
}

TEST_CASE("config: keys are checked together only when each is good") {
  CHECK(wrong("[tls]\ncert = \"c\"") == "a.toml:1: tls: cert and key go together\n");
  CHECK(wrong("[tls]\ncert = 1") ==
        "a.toml:2: tls.cert: expected a string, found the integer 1; write it in quotes\n");
}

TEST_CASE("config: valid keys are decoded even if others are wrong") {
  ErrorList errors;
  const auto section =
      config_test::parse("peers = [\"a\", 1, \"b\"]\nnam = \"c\"\n", errors).root();
  const auto read = section.decode_the_good<game::Peers>(errors);
  CHECK(read.peers == std::vector<std::string>{"a", "b"});
  CHECK(read.name.empty());
  CHECK(errors.size() == 3);
}

TEST_CASE("config: a missing key that must be there is reported with its doc") {
  CHECK(errors_of<game::Peers>("") ==
        "a.toml: name: missing: who it is\n"
        "a.toml: peers: missing: it must not be empty (every instance: "
        "env.world.func.ins@host:port)\n");
}

TEST_CASE("config: a secret never shows in an error") {
  for (const char* text : {"token = 1234567", "token = [\"1234567\"]", "token = \"${SECRET}\"",
                           "[tls]\nkey = 1234567"}) {
    ErrorList errors;
    auto config =
        config_test::parse(text, errors, {{"SECRET", "567"}}).root().decode<Config>(errors);
    CHECK_FALSE(config);
    CHECK_FALSE(errors.empty());
    INFO(errors.to_string());
    CHECK(errors.to_string().find("567") == std::string::npos);
  }
}

TEST_CASE("config: an unknown key without a near name lists what is known") {
  CHECK(errors_of<game::Tls>("zzzzzz = 1") ==
        "a.toml:1: zzzzzz: unknown key (known here: cert, key)\n");
  CHECK(errors_of<game::Tls>("[zzzzzz]\n") ==
        "a.toml:1: zzzzzz: unknown section (known here: cert, key)\n");
}

TEST_CASE("config: numbers and booleans can come from the environment") {
  Config config = read("cores = \"${CORES}\"\nenabled = \"${ON:-true}\"\nfactor = \"${F:-0.75}\"",
                       {{"CORES", "8"}});
  CHECK(config.cores == 8);
  CHECK(config.enabled);
  CHECK(config.factor == 0.75);
  CHECK(errors_of<Config>("cores = \"${CORES}\"", {{"CORES", "8 "}}) ==
        "a.toml:1: cores: expected an integer, found the string \"8 \" from the environment\n");
  CHECK(errors_of<Config>("cores = \"8\"") ==
        "a.toml:1: cores: expected an integer, found the string \"8\"; write it without quotes\n");
}

namespace game {

/// "auto" or a list of ports.
struct Ports {
  static constexpr std::string_view kTypeName = "\"auto\" or a list";
  std::vector<int> list;
  static m3::Result<Ports> from_value(const m3::ConfigValue& value) {
    Ports out;
    if (value.kind == m3::ConfigValue::Kind::string && value.text == "auto") return out;
    if (value.kind != m3::ConfigValue::Kind::array)
      return m3::Status(m3::Errc::invalid_argument, "expected \"auto\" or a list");
    for (const auto& item : value.items) out.list.push_back(static_cast<int>(item.integer));
    return out;
  }
  m3::ConfigValue to_value() const { return m3::ConfigValue::of(std::string("auto")); }
};

struct Server {
  Ports ports;
  static void describe(m3::Schema<Server>& s) { s.add("ports", &Server::ports); }
};

}  // namespace game

TEST_CASE("config: a type may take several kinds of values") {
  ErrorList errors;
  CHECK(config_test::parse("ports = \"auto\"", errors)
            .root()
            .decode<game::Server>(errors)
            ->ports.list.empty());
  const auto listed =
      config_test::parse("ports = [1, 2]", errors).root().decode<game::Server>(errors);
  CHECK(listed->ports.list == std::vector<int>{1, 2});
  CHECK(errors.empty());
  CHECK(errors_of<game::Server>("\nports = 5") == "a.toml:2: ports: expected \"auto\" or a list\n");
}
