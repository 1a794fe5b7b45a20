// SPDX-License-Identifier: BSL-1.0
#include "m3/config/print.h"

#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "m3/config/document.h"
#include "m3/testing/catch.h"
#include "read.h"

using namespace std::chrono_literals;

namespace {

enum class Colour { red, blue };
constexpr std::array<std::pair<std::string_view, Colour>, 2> enum_names(Colour) {
  return {{{"red", Colour::red}, {"blue", Colour::blue}}};
}

struct Login {
  std::string user = "m3";
  std::string password;
  static void describe(m3::Schema<Login>& s) {
    s.add("user", &Login::user).doc("who | as whom");
    s.add("password", &Login::password).secret().reloadable();
  }
};

struct Config {
  std::vector<std::string> addresses;
  int count = 3;
  m3::Duration wait = 2s;
  std::optional<int> port;
  Login login;
  std::vector<Login> others;
  std::map<std::string, Login> named;
  static void describe(m3::Schema<Config>& s) {
    s.add("login", &Config::login);
    s.add("addresses", &Config::addresses).doc("where it is").required().not_empty();
    s.add("count", &Config::count).doc("how many").range(1, 9);
    s.add("wait", &Config::wait).reloadable();
    s.add("port", &Config::port);
    s.add("others", &Config::others).doc("more of them");
    s.add("named", &Config::named);
  }
};

Config filled() {
  Config config;
  config.addresses = {"a:1", "quo\"te\n", "${HOME}"};
  config.wait = 5s;
  config.login.password = "hunter2";
  config.others.emplace_back();
  config.others.back().password = "hunter3";
  config.named["x y"].user = "u";
  return config;
}

}  // namespace

TEST_CASE(
    "config: the configuration in effect is printed as TOML, secrets hidden, defaults marked") {
  CHECK(m3::print_config("router.x", filled()) == R"([router.x]
addresses = ["a:1", "quo\"te\n", "$${HOME}"]
count = 3  # default
wait = "5s"
# port is not set

[router.x.login]
user = "m3"  # default
password = "***"

[[router.x.others]]
user = "m3"  # default
password = "***"

[router.x.named."x y"]
user = "u"
password = ""  # default
)");
}

TEST_CASE("config: the printed configuration parses to the one in effect") {
  Config before = filled();
  std::string text = m3::print_config("", before);
  m3::ErrorList errors;
  auto after = config_test::parse(text, errors).root().decode<Config>(errors);
  INFO(text << errors.to_string());
  REQUIRE(after);
  for (const auto& change : m3::diff_config("", before, *after))
    CHECK(change.before == change.after);  // the secrets
  CHECK(after->addresses == before.addresses);
  CHECK(after->named.at("x y").user == "u");
}

TEST_CASE("config: the reference is made from the declarations") {
  CHECK(m3::config_reference<Config>("router.x", "Finds peers.") == R"(## [router.x]

Finds peers.

| key | type | default | reload | what it is |
|---|---|---|---|---|
| `login.user` | string | `"m3"` | restart | who \| as whom |
| `login.password` | string | `""` | yes |  (secret) |
| `addresses` | list of string | **required** | restart | where it is; allowed: not empty |
| `count` | integer | `3` | restart | how many; allowed: 1 to 9 |
| `wait` | duration | `"2s"` | yes |  |
| `port` | integer, optional | not set | restart |  |
| `others` | list of table | none | restart | more of them |
| `others[].user` | string | `"m3"` | restart | who \| as whom |
| `others[].password` | string | `""` | yes |  (secret) |
| `named` | table of table | none | restart |  |
| `named.<name>.user` | string | `"m3"` | restart | who \| as whom |
| `named.<name>.password` | string | `""` | yes |  (secret) |
)");
}

TEST_CASE("config: the reference names the choices of an enum") {
  struct Choice {
    Colour colour = Colour::red;
    static void describe(m3::Schema<Choice>& s) { s.add("colour", &Choice::colour); }
  };
  CHECK(m3::config_reference<Choice>("", "").find("| `colour` | one of red, blue | `\"red\"` |") !=
        std::string::npos);
}

TEST_CASE("config: a reload of reloadable keys is taken over") {
  Config before = filled();
  Config after = before;
  CHECK(m3::diff_config("app", before, after).empty());
  after.wait = 7s;
  after.login.password = "hunter4";
  auto changes = m3::diff_config("app", before, after);
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].key == "app.login.password");
  CHECK(changes[0].after == "\"***\"");
  CHECK(changes[1].key == "app.wait");
  CHECK(changes[1].before == "\"5s\"");
  CHECK(changes[1].after == "\"7s\"");
  CHECK(m3::check_reload(changes).is_ok());
}

TEST_CASE("config: a reload that needs a restart is refused and names the keys") {
  Config before = filled();
  Config after = before;
  after.wait = 7s;
  after.count = 4;
  after.port = 80;
  auto status = m3::check_reload(m3::diff_config("", before, after));
  CHECK(status == m3::Errc::failed_precondition);
  CHECK(status.text() ==
        "these keys need a restart: count (3 -> 4), port (not set -> 80); nothing was changed");
}

TEST_CASE("config: a changed list does not show the secrets in it") {
  Config before = filled();
  Config after = before;
  after.others.back().user = "other";
  auto changes = m3::diff_config("", before, after);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].before == "[{ user = \"m3\", password = \"***\" }]");
  CHECK(changes[0].after == "[{ user = \"other\", password = \"***\" }]");
}

TEST_CASE("config: a file that is read without an environment prints as it was") {
  const std::string text =
      "list = [1, 2.5, \"x\", { a = true }]\ntoken = \"${TOKEN:-a}\"\nwhen = 2026-01-02\n"
      "\n[router]\n\n[router.static]\npeers = []\n";
  m3::ErrorList errors;
  const m3::Document document = m3::Document::parse(text, "a.toml", errors, nullptr);
  CHECK(errors.empty());
  CHECK(m3::print_file(document.value()) == text);
}
