// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/plugin_set.h"

#include <optional>

#include "m3/testing/catch.h"
#include "m3/testing/sim.h"

using m3::Env;
using m3::Plugin;
using m3::Registry;
using m3::Status;

namespace {

using Names = std::vector<std::string>;
Names diary;

struct Base : Plugin {
  static constexpr int kStage = 20;
  struct Config {
    int unused = 0;
    static void describe(m3::Schema<Config>& s) { s.add("unused", &Config::unused); }
  };
  explicit Base(std::string name) : name_(std::move(name)) { diary.push_back("+" + name_); }
  ~Base() override { diary.push_back("-" + name_); }

 private:
  std::string name_;
};

struct Tree : Base {
  static constexpr std::string_view kKind = "tree", kName = "oak";
  Tree(Env&, Config) : Base("tree") {}
};
/// Listed before the tree, and in its stage.
struct Nest : Base {
  static constexpr std::string_view kKind = "nest", kName = "twigs";
  Nest(Env& env, Config) : Base((env.need<Tree>(), "nest")) {}
};
struct Bird : Base {
  static constexpr std::string_view kKind = "bird", kName = "finch";
  Bird(Env& env, Config) : Base(env.find<Nest>() ? "bird in a nest" : "bird on the ground") {}
};
struct Egg;
struct Hen : Base {
  static constexpr std::string_view kKind = "hen", kName = "plain";
  Hen(Env& env, Config);
};
struct Egg : Base {
  static constexpr std::string_view kKind = "egg", kName = "plain";
  Egg(Env& env, Config) : Base((env.need<Hen>(), "egg")) {}
};
Hen::Hen(Env& env, Config) : Base((env.need<Egg>(), "hen")) {}
struct Roof : Base {
  static constexpr std::string_view kKind = "roof", kName = "late";
  static constexpr int kStage = 70;
  Roof(Env&, Config) : Base("roof") {}
};
struct Wall : Base {
  static constexpr std::string_view kKind = "wall", kName = "early";
  Wall(Env& env, Config) : Base((env.need<Roof>(), "wall")) {}
};
/// An app may have several.
struct Fence : Base {
  static constexpr std::string_view kKind = "fence";
  static constexpr bool kMany = true;
  using Base::Base;
};
struct Hedge : Fence {
  static constexpr std::string_view kName = "hedge";
  Hedge(Env&, Config) : Fence("hedge") {}
};
struct Wire : Fence {
  static constexpr std::string_view kName = "wire";
  Wire(Env&, Config) : Fence("wire") {}
};
struct Dog : Base {
  static constexpr std::string_view kKind = "dog", kName = "old";
  Dog(Env& env, Config)
      : Base("dog behind " + std::to_string(env.all<Fence>().size()) +
             (env.find<Fence>("wire") ? ", one of wire" : "")) {}
};
struct Rotten : Base {
  static constexpr std::string_view kKind = "rotten", kName = "apple";
  Rotten(Env&, Config) : Base("rotten") { throw std::runtime_error("a worm"); }
};

/// Can do without what it asks for.
struct Worm : Base {
  static constexpr std::string_view kKind = "worm", kName = "small";
  Worm(Env& env, Config) : Base(at_home(env)) { env.need<Tree>(); }
  static std::string at_home(Env& env) {
    try {
      (void)env.find<Rotten>();
    } catch (const std::exception&) {
      return "worm without apple";
    }
    return "worm";
  }
};

/// An app's plugins, made of sections.
struct Garden {
  Registry registry;
  m3::testing::SimRuntime sim{1};
  m3::MetricRegistry metrics;
  const m3::AppId id = *m3::AppId::parse("dev.w.garden.1");
  m3::PluginSet set;
  std::optional<Env> env;

  Garden() {
    diary.clear();
    registry.add<Bird>();
    registry.add<Nest>();
    registry.add<Tree>();
    registry.add<Egg>();
    registry.add<Hen>();
    registry.add<Wall>();
    registry.add<Roof>();
    registry.add<Worm>();  // before the apple
    registry.add<Rotten>();
    registry.add<Dog>();
    registry.add<Hedge>();
    registry.add<Wire>();
  }
  Status make(const std::string& config) {
    m3::ErrorList errors;
    auto choices = registry.choose(m3::Document::parse(config, "test.toml", errors), errors);
    REQUIRE(errors.empty());
    env.emplace(Env::App{id, sim.runtime(), metrics, std::make_shared<m3::SharedParts>()});
    return set.make(*env, std::move(choices));
  }
};

}  // namespace

TEST_CASE("plugins: a plugin that a constructor asks for is created first, and outlives it") {
  Garden garden;
  REQUIRE(garden.make("[bird.finch]\n[nest.twigs]\n[tree.oak]\n").is_ok());
  Names order;
  for (auto& slot : garden.set.slots()) order.push_back(slot.choice.type->title());
  CHECK(order == Names{"tree.oak", "nest.twigs", "bird.finch"});
  CHECK(garden.set.find("nest") == garden.set.slots()[1].plugin.get());
  CHECK(garden.set.find("egg") == nullptr);
  garden.set.clear();
  CHECK(diary == Names{"+tree", "+nest", "+bird in a nest", "-bird in a nest", "-nest", "-tree"});
}

TEST_CASE("plugins: a plugin that is not chosen is null, or an error if it is needed") {
  Garden garden;
  REQUIRE(garden.make("[bird.finch]\n").is_ok());
  CHECK(diary == Names{"+bird on the ground"});
  garden.set.clear();
  CHECK(garden.make("[nest.twigs]\n").to_string() ==
        "failed_precondition: nest.twigs needs a tree: add a section [tree.NAME]");
  CHECK(garden.set.slots().empty());
}

TEST_CASE("plugins: cycles, wrong stages and throwing constructors are reported") {
  Garden garden;
  CHECK(garden.make("[hen.plain]\n[egg.plain]\n").to_string() ==
        "failed_precondition: hen.plain is part of a cycle: egg.plain needs hen.plain needs "
        "egg.plain");
  CHECK(garden.make("[wall.early]\n[roof.late]\n").to_string() ==
        "failed_precondition: wall.early starts before roof.late, which it needs: their stages "
        "are wrong");
  CHECK(garden.make("[rotten.apple]\n").to_string() ==
        "internal: the constructor of the plugin rotten.apple threw: a worm");
}

TEST_CASE("plugins: of a kind that says kMany an app has several, found by name") {
  Garden garden;
  REQUIRE(garden.make("[dog.old]\n[fence.hedge]\n[fence.wire]\n").is_ok());
  CHECK(diary == Names{"+hedge", "+wire", "+dog behind 2, one of wire"});
  CHECK(garden.set.all("fence").size() == 2);
  CHECK(garden.set.find("fence", "hedge") == garden.set.slots()[0].plugin.get());
  CHECK(garden.set.find("fence", "stone") == nullptr);
  garden.set.clear();
  diary.clear();
  REQUIRE(garden.make("[dog.old]\n[fence.hedge]\n").is_ok());
  CHECK(diary == Names{"+hedge", "+dog behind 1"});
}

TEST_CASE("plugins: a plugin that catches another's error is named itself when it fails later") {
  Garden garden;
  CHECK(garden.make("[worm.small]\n[rotten.apple]\n").to_string() ==
        "failed_precondition: worm.small needs a tree: add a section [tree.NAME]");
}
