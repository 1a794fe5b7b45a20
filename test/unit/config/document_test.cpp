// SPDX-License-Identifier: BSL-1.0
#include "m3/config/document.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "m3/testing/catch.h"
#include "read.h"

using config_test::parse;
using m3::Document;
using m3::ErrorList;

namespace {

struct One {
  std::string a;
  std::string b;
  static void describe(m3::Schema<One>& s) {
    s.add("a", &One::a);
    s.add("b", &One::b);
  }
};

struct Needy {
  std::string must;
  static void describe(m3::Schema<Needy>& s) { s.add("must", &Needy::must).required(); }
};

std::string a_of(std::string_view text,
                 const std::map<std::string, std::string, std::less<>>& environment) {
  ErrorList errors;
  auto one = parse(text, errors, environment).root().decode<One>(errors);
  if (!errors.empty()) return errors.to_string();
  REQUIRE(one);
  return one->a;
}

std::string syntax_errors(std::string_view text) {
  ErrorList errors;
  parse(text, errors);
  return errors.to_string();
}

}  // namespace

TEST_CASE("config: strings take values from the environment") {
  CHECK(a_of("a = \"${X}\"", {{"X", "1"}}) == "1");
  CHECK(a_of("a = \"redis://${HOST}:${PORT:-6379}/0\"", {{"HOST", "h"}}) == "redis://h:6379/0");
  CHECK(a_of("a = \"${X:-default}\"", {{"X", ""}}) == "default");
  CHECK(a_of("a = \"${X}\"", {{"X", ""}}).empty());
  CHECK(a_of("a = \"${X:-}\"", {}).empty());
  CHECK(a_of("a = \"$${X} costs $5\"", {}) == "${X} costs $5");
  CHECK(a_of("a = \"${X}\"", {{"X", "${Y}"}, {"Y", "no"}}) == "${Y}");  // not expanded twice
}

TEST_CASE("config: a missing variable is an error that names the fix") {
  CHECK(a_of("\na = \"${REDIS_URL}\"", {}) ==
        "a.toml:2: a: the environment has no REDIS_URL; set it, or write ${REDIS_URL:-default}\n");
  CHECK(a_of("a = \"${X\"", {}) == "a.toml:1: a: \"${\" without \"}\"; write $${ for a plain ${\n");
  CHECK(a_of("a = \"${1X}\"", {}).find("names no variable") != std::string::npos);
}

TEST_CASE("config: a default has no variable and no brace in it") {
  const std::string nested = a_of("\na = \"${T:-${U}}\"", {{"U", "secret"}});
  CHECK(nested.find("a.toml:2: a: the default of ${T} has a brace in it") == 0);
  // Also when the default is not needed, and where it would end too early.
  CHECK(a_of("a = \"${T:-${U}}\"", {{"T", "t"}}).find("has a brace") != std::string::npos);
  CHECK(a_of("a = \"${T:-$${U}}\"", {{"T", "t"}}).find("has a brace") != std::string::npos);
  CHECK(a_of("a = \"${T:-{x}}\"", {}).find("has a brace") != std::string::npos);
  CHECK(a_of("a = \"${T-X:-secret}\"", {}).find("secret") == std::string::npos);
}

TEST_CASE("config: a syntax error has its line") {
  CHECK(syntax_errors("a = 1\nb = \n").find("a.toml:2: ") == 0);
  CHECK(syntax_errors("a = 1\na = 2\n").find("a.toml:2: ") == 0);
  CHECK(syntax_errors("a = \"\xff\"").find("a.toml:1: ") == 0);
  CHECK(syntax_errors("a = 1\n[ \nb = 1\n") == "a.toml:2: this is not TOML\n");
  CHECK(syntax_errors("[ ").find("a.toml:1: ") == 0);
  CHECK(syntax_errors("a\xd1\x9b = 1").find("a.toml:1: ") == 0);
  CHECK(syntax_errors("a = \"\"\"x \\\n \xd1\x9b\"\"\"").empty());
  CHECK(syntax_errors("").empty());
}

TEST_CASE("config: each line that is not TOML is reported with what to write") {
  CHECK(syntax_errors("a = 10.0.0.1:80\nb = 'x\"\n[s]\npassword = hidden words\nc = no\n") ==
        "a.toml:1: a: the value is not in quotes: write a = \"10.0.0.1:80\"\n"
        "a.toml:2: b: the string begins with ' and ends with \": write b = \"x\"\n"
        "a.toml:4: s.password: the value is not in quotes: write password = \"…\"\n"
        "a.toml:5: s.c: a boolean is true or false: write c = false\n");
  CHECK(syntax_errors("[[app]]\nx = 1\n[[app]]\nx = 1\nx = 2\n") ==
        "a.toml:5: app[1].x: the key is defined twice, first in line 4: remove one\n");
  CHECK(syntax_errors("x = 1\n[x]\n") ==
        "a.toml:2: x: it was defined as something else before: remove one of the two\n");
  CHECK(syntax_errors("l = [\n  \"a\"\n  \"b\"\n]\n") ==
        "a.toml:3: two items of the list have no comma between them, or the list has no closing "
        "]\n");
  for (const char* open : {"l = [1, 2\nx = 1\n", "l = [\n  1,\n"})
    CHECK(syntax_errors(open) == "a.toml:2: the list that begins above has no closing ]\n");
  CHECK(syntax_errors("a == 5\nb = 08\nt = \"\"\"x\n") ==
        "a.toml:1: a: there is one = too many: write a = 5\n"
        "a.toml:2: b: a number does not begin with 0: write b = 8\n"
        "a.toml:3: t: the string that begins with \"\"\" does not end with \"\"\"\n");
  CHECK(syntax_errors("a = \"x\" b\n") ==
        "a.toml:1: a: something follows the value: each key has a line of its own, and a comment "
        "begins with #\n");
  // Lines behind a header that could not be read would be blamed for nothing.
  CHECK(syntax_errors("[s\na = b\n") ==
        "a.toml:1: the section's header is not closed: write [s]\n");
  std::string many;
  for (int i = 0; i < 100; ++i) many += "k" + std::to_string(i) + " = x\n";
  ErrorList errors;
  parse(many, errors);
  CHECK(errors.size() == 20);
}

TEST_CASE("config: a value whose variable is wrong is not judged as well") {
  CHECK(config_test::errors_of<One>("a = \"${X}\"", {}) ==
        "a.toml:1: a: the environment has no X; set it, or write ${X:-default}\n");
}

TEST_CASE("config: a file that cannot be parsed is not also reported for missing keys") {
  ErrorList errors;
  auto document = parse("[app\n", errors);
  CHECK(errors.size() == 1);
  CHECK(document.root().decode<Needy>(errors).status().text() == "a.toml could not be parsed");
  CHECK_FALSE(document.section("app", errors).decode<Needy>(errors));
  CHECK(document.sections("router", errors).empty());
  CHECK(errors.size() == 1);
}

TEST_CASE("config: comments of another language are named, and the rest is still judged") {
  CHECK(syntax_errors("a = 1 // one\nb = \"http://x\" # see http://y\nc = 3 // three\n") ==
        "a.toml:1: a comment begins with #, not with //\n"
        "a.toml:3: a comment begins with #, not with //\n");
  CHECK(syntax_errors("a = '''\n// text\n''' \nb = \"\"\"\n\\\" // \"\"\"\nc = 'it // is'\n")
            .empty());
}

TEST_CASE("config: nesting without end is refused before anything recurses") {
  std::string keys = "a";
  for (int i = 0; i < 200000; ++i) keys += ".a";
  CHECK(syntax_errors("x = 1\n" + keys + " = 1") == "a.toml:2: nested more than 32 deep\n");
  CHECK(syntax_errors("[" + keys + "]") == "a.toml:1: nested more than 32 deep\n");
  CHECK(syntax_errors("a = " + std::string(200000, '[')) == "a.toml:1: nested more than 32 deep\n");
  std::string quoted = "\"a\"";
  for (int i = 0; i < 1000; ++i) quoted += ".\"a\"";
  CHECK(syntax_errors("x = { " + quoted + " = 1 }") == "a.toml:1: nested more than 32 deep\n");
  std::string numbers = "a = [1.5";
  for (int i = 0; i < 1000; ++i) numbers += ", 1.5";
  CHECK(syntax_errors(numbers + "]").empty());
  CHECK(syntax_errors("a = \"" + std::string(1000, '.') + "\"").empty());
  CHECK(syntax_errors(std::string(5 << 20, '#')) == "a.toml: the file is larger than 4 MiB\n");
}

TEST_CASE("config: a file is read, and one that cannot be says so") {
  ErrorList errors;
  std::string path = "/tmp/m3-unit-config-" + std::to_string(::getpid()) + ".toml";
  std::FILE* file = std::fopen(path.c_str(), "w");
  std::fputs("a = \"x\"\n", file);
  std::fclose(file);
  Document document = Document::load(path, errors);
  std::remove(path.c_str());
  CHECK(errors.empty());
  CHECK(document.file() == path);
  CHECK(document.root().decode<One>(errors)->a == "x");
  Document::load("/no/such/file.toml", errors);
  CHECK(errors.to_string() ==
        "/no/such/file.toml: cannot be read: No such file or directory; name the file with "
        "--config FILE\n");
  ErrorList folder;
  Document::load("/", folder);
  CHECK(folder.to_string().find("/: cannot be read: ") == 0);
}

TEST_CASE("config: plugin sections are handed out by kind, in the file's order") {
  ErrorList errors;
  auto document =
      parse("[log.spdlog]\na = \"1\"\n[router.zeta]\n[router.consul]\na = \"2\"\nx = 1\n", errors);
  auto routers = document.sections("router", errors);
  REQUIRE(routers.size() == 2);
  CHECK(routers[0].name() == "zeta");
  CHECK(routers[1].path() == "router.consul");
  CHECK(routers[1].line() == 4);
  CHECK(document.sections("broker", errors).empty());
  CHECK(errors.empty());
  auto config = routers[1].decode<One>(errors);
  CHECK_FALSE(config);
  CHECK(config.status().text() == "1 error in [router.consul]");
  routers[0].report(errors, "no such router");
  routers[1].report(errors, "empty", "a");
  CHECK(errors.to_string() ==
        "a.toml:3: router.zeta: no such router\n"
        "a.toml:5: router.consul.a: empty\n"
        "a.toml:6: router.consul.x: unknown key (known here: a, b)\n");
}

TEST_CASE("config: a key under a kind but outside any plugin's section is an error") {
  ErrorList errors;
  auto document = parse("broker = 1\n[router]\nx = 1\n[[lease.redis]]\n", errors);
  CHECK(document.sections("router", errors).empty());
  document.sections("broker", errors);
  document.sections("lease", errors);
  CHECK(errors.to_string() ==
        "a.toml:1: broker: expected a section [broker.name], found the integer 1\n"
        "a.toml:3: router.x: not a key of any plugin; put it below [router.name], where name says "
        "which router\n"
        "a.toml:4: lease.redis: expected one section, found a list; write [lease.redis] instead of "
        "[[lease.redis]]\n");
}

TEST_CASE("config: the top of the file leaves only the plugins' sections to others") {
  ErrorList errors;
  auto document = parse("a = \"1\"\n[router.consul]\n[app]\nb = \"2\"\n[ap]\n", errors);
  const std::vector<std::string_view> others{"router", "app"};
  CHECK_FALSE(document.root().decode<One>(errors, others));
  CHECK(errors.to_string() == "a.toml:5: ap: unknown section (did you mean \"app\"?)\n");
  CHECK(document.section("app", errors).decode<One>(errors)->b == "2");
  CHECK(document.has("app"));
  CHECK_FALSE(document.has("admin"));
  CHECK(document.section("admin", errors).decode<One>(errors)->b.empty());
}

TEST_CASE("config: a section outlives its document") {
  ErrorList errors;
  auto section = parse("[app]\na = \"x\"\n", errors).section("app", errors);
  CHECK(section.decode<One>(errors)->a == "x");
}

TEST_CASE("config: a list of errors becomes a status") {
  ErrorList errors;
  CHECK(errors.to_status().is_ok());
  errors.add({"f", 2, "k", "late"});
  errors.add({"f", 1, "", "early"});
  CHECK(errors.to_status() == m3::Errc::invalid_argument);
  CHECK(errors.to_status().text() == "f:1: early\nf:2: k: late");
}
