// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/registry.h"

#include <array>

#include "m3/testing/catch.h"

using m3::Document;
using m3::ErrorList;
using m3::Registry;

namespace {

template <int number, int stage>
struct Part : m3::Plugin {
  static constexpr int kStage = stage;
  struct Config {
    int size = number;
    static void describe(m3::Schema<Config>& s) { s.add("size", &Config::size).range(0, 9); }
  };
  Part(m3::Env&, Config) {}
};

struct Memory : Part<1, 20> {
  static constexpr std::string_view kKind = "database", kName = "memory";
  using Part::Part;
};
struct Sqlite : Part<2, 20> {
  static constexpr std::string_view kKind = "database", kName = "sqlite";
  using Part::Part;
};
struct LocalLease : Part<3, 20> {
  static constexpr std::string_view kKind = "lease", kName = "local";
  static constexpr std::array<std::string_view, 1> kNeeds{"database"};
  using Part::Part;
};
struct Console : Part<4, 10> {
  static constexpr std::string_view kKind = "admin", kName = "console";
  using Part::Part;
};
struct Egg : Part<5, 20> {
  static constexpr std::string_view kKind = "egg", kName = "plain";
  static constexpr std::array<std::string_view, 1> kNeeds{"hen"};
  using Part::Part;
};
struct Hen : Part<6, 20> {
  static constexpr std::string_view kKind = "hen", kName = "plain";
  static constexpr std::array<std::string_view, 1> kNeeds{"egg"};
  using Part::Part;
};
struct Early : Part<7, 10> {
  static constexpr std::string_view kKind = "early", kName = "bird";
  static constexpr std::array<std::string_view, 1> kNeeds{"database"};
  using Part::Part;
};

Registry all() {
  Registry registry;
  registry.add<LocalLease>();
  registry.add<Memory>();
  registry.add<Sqlite>();
  registry.add<Console>();
  registry.add<Egg>();
  registry.add<Hen>();
  registry.add<Early>();
  return registry;
}

/// The plugins in their order, or what is wrong.
std::string choose(const Registry& registry, const std::string& text) {
  ErrorList errors;
  const Document document = Document::parse(text, "a.toml", errors);
  std::string out;
  for (const auto& choice : registry.choose(document, errors)) out += choice.type->title() + " ";
  return errors.empty() ? out : errors.to_string();
}

using m3::testing::contains;

}  // namespace

TEST_CASE("plugin: sections choose; order is by stage, dependencies first") {
  const Registry registry = all();
  CHECK(choose(registry, "").empty());
  CHECK(choose(registry, "[lease.local]\n[admin.console]\n[database.sqlite]\n") ==
        "admin.console database.sqlite lease.local ");
}

TEST_CASE("plugin: the section configures it") {
  const Registry registry = all();
  ErrorList errors;
  const auto choices =
      registry.choose(Document::parse("[database.memory]\nsize = 5\n", "a.toml", errors), errors);
  REQUIRE(choices.size() == 1);
  CHECK(static_cast<const Memory::Config*>(choices[0].config.get())->size == 5);
  CHECK(contains(choose(registry, "[database.memory]\nsize = 10\n"),
                 "a.toml:2: database.memory.size"));
}

TEST_CASE("plugin: impossible choices are reported with their lines") {
  const Registry registry = all();
  CHECK(contains(
      choose(registry, "[database.sqlit]\n"),
      "a.toml:1: database.sqlit: this program has no such plugin; did you mean \"sqlite\""));
  CHECK(contains(choose(registry, "[database.memory]\n[database.sqlite]\n"),
                 "a.toml:2: database.sqlite: a second database"));
  CHECK(contains(
      choose(registry, "[lease.local]\n"),
      "a.toml:1: lease.local: lease.local needs a database: add a section [database.NAME]"));
  CHECK(contains(choose(registry, "[egg.plain]\n[hen.plain]\n"),
                 "a cycle: egg.plain needs hen.plain needs egg.plain"));
  CHECK(contains(choose(registry, "[early.bird]\n[database.memory]\n"),
                 "early.bird starts before database.memory, which it needs"));
}

TEST_CASE("plugin: a plugin that is listed twice is an error") {
  Registry registry = all();
  registry.add<Memory>();
  CHECK(contains(choose(registry, ""), "database.memory: the program lists this plugin twice"));
}

TEST_CASE("plugin: a kind that the file does not name gets its default") {
  Registry registry = all();
  registry.set_default("database", "memory");
  registry.set_default("lease", "local", "database");
  CHECK(choose(registry, "") == "database.memory lease.local ");
  CHECK(choose(registry, "[database.memory]\nsize = 5\n") == "database.memory lease.local ");
  CHECK(choose(registry, "[database.sqlite]\n") == "database.sqlite ");
  CHECK(choose(registry, "[database.sqlite]\n[lease.local]\n") == "database.sqlite lease.local ");
}
