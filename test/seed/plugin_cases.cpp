// SPDX-License-Identifier: BSL-1.0
// The row about plugins, with a kind that m3 does not know. test/process/out_of_tree.py builds one
// outside the tree.
#include <array>

#include "m3/app/app.h"
#include "m3/plugin/broker.h"
#include "m3/testing/catch.h"

using m3::Ctx;
using m3::Status;
using m3::Task;

namespace {

using Diary = std::vector<std::string>;

/// What players are told at the door: a contract of the game's own.
class Motd : public m3::Plugin {
 public:
  static constexpr std::string_view kKind = "motd";
  virtual std::string text() const = 0;
};

/// A back end that says the same to all; another reaches for the app's broker.
class FixedMotd final : public Motd {
 public:
  static constexpr std::string_view kName = "fixed";
  static constexpr int kStage = 20;
  struct Config {
    std::string text = "welcome";
    static void describe(m3::Schema<Config>& s) {
      s.add("text", &Config::text).doc("what it says").not_empty().reloadable();
    }
  };
  FixedMotd(m3::Env& env, Config config)
      : diary_(env.shared().get<Diary>()), config_(std::move(config)) {}
  std::string text() const override { return config_.text; }
  Task<> start(Ctx&) override { return note("fixed starts"); }
  Task<> stop(Ctx&) override { return note("fixed stops"); }

 private:
  Task<> note(std::string what) {
    diary_->push_back(std::move(what));
    co_return m3::ok;
  }
  std::shared_ptr<Diary> diary_;
  Config config_;
};

class NewsMotd final : public Motd {
 public:
  static constexpr std::string_view kName = "news";
  static constexpr int kStage = 20;
  static constexpr std::array<std::string_view, 1> kNeeds{"broker"};
  struct Config {
    std::string topic;
    static void describe(m3::Schema<Config>& s) {
      s.add("topic", &Config::topic).doc("where news come from").not_empty();
    }
  };
  NewsMotd(m3::Env& env, Config config)
      : broker_(env.need<m3::Broker>()), topic_(std::move(config.topic)) {}
  std::string text() const override {
    return "news of " + topic_ +
           (broker_.reaches_other_processes() ? " from everywhere" : " from this process");
  }

 private:
  m3::Broker& broker_;
  std::string topic_;
};

struct Door {
  m3::App app{"door"};
  std::shared_ptr<m3::SharedParts> shared = std::make_shared<m3::SharedParts>();

  Status open(const std::string& config) {
    app.plugin<FixedMotd>().plugin<NewsMotd>();
    m3::App::Embedding how;
    how.config = "id = \"example.world1.door.1\"\ncores = 1\n" + config;
    how.shared = shared;
    return app.start(how);
  }
  std::string says() { return app.find<Motd>()->text(); }
};

}  // namespace

TEST_CASE("S21: plugins of several kinds are chosen, configured, started and stopped by section") {
  SECTION("the file chooses among the factories that main lists") {
    Door door;
    REQUIRE(door.open("[motd.fixed]\ntext = \"hello\"\n").is_ok());
    CHECK(door.says() == "hello");
    REQUIRE(door.app.stop().is_ok());
    CHECK(*door.shared->get<Diary>() == Diary{"fixed starts", "fixed stops"});
  }
  SECTION("one plugin gets another by its kind") {
    Door door;
    REQUIRE(door.open("[motd.news]\ntopic = \"town\"\n").is_ok());
    CHECK(door.says() == "news of town from this process");
    REQUIRE(door.app.stop().is_ok());
  }
  SECTION("without a section there is none") {
    Door door;
    REQUIRE(door.open("").is_ok());
    CHECK(door.app.find<Motd>() == nullptr);
    CHECK(door.app.find<m3::Broker>() != nullptr);
    REQUIRE(door.app.stop().is_ok());
  }
  SECTION("what is wrong is told at once, all of it") {
    Door door;
    const Status refused =
        door.open("[motd.fixed]\ntxt = \"hello\"\n[motd.news]\n[router.zookeeper]\n");
    CHECK(refused == m3::Errc::invalid_argument);
    for (const char* part :
         {"motd.fixed.txt: unknown key (did you mean \"text\"?)", "motd.news: a second motd",
          "router.zookeeper: this program has no such plugin"}) {
      INFO(refused.text());
      CHECK(refused.text().find(part) != std::string::npos);
    }
  }
  SECTION("a need that nobody meets ends the start") {
    Door door;
    const Status refused = door.open("[motd.news]\ntopic = \"town\"\n[router.static]\n");
    INFO(refused.text());
    CHECK(refused.text().find("motd.news needs a broker: add a section [broker.NAME]") !=
          std::string::npos);
  }
}
