// SPDX-License-Identifier: BSL-1.0
// Every way to route, among instances of multi in two worlds. Exits with 0 when everything went as
// described.
//
//   multi-town            all of them in this process: nothing is installed, nothing listens but on
//                         loopback
//   multi-town CONFIG     those of configs/local/town.toml, found by the router of CONFIG
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "client.h"
#include "m3/async/timer.h"
#include "multi_ser.h"

namespace {

using m3::as_result;
using m3::Ctx;
using m3::Task;
using multi::Client;

int wrong = 0;

/// The instances in demo.world1, the lowest first, and a topic that some of them joined.
struct Cast {
  std::vector<std::string> multis;
  std::string topic;
  int joined;
};
const Cast kEmbedded{{"2", "9", "10"}, "news", 2};
const Cast kCluster{{"1", "2", "3"}, "news.2", 1};

std::string multi_id(const std::string& ins) { return "demo.world1.multi." + ins; }

void show(bool good, const std::string& text) {
  std::printf("  %s %s\n", good ? "✓" : "✗", text.c_str());
  if (!good) ++wrong;
}

class Town {
 public:
  Town() : caller_("town") {}
  ~Town() {
    (void)caller_.stop();
    for (auto& [id, app] : houses_) (void)app->stop();
  }

  bool start(const std::string& id, const std::string& more = "") {
    auto app = std::make_unique<m3::App>("multi");
    app->use_section<multi::Settings>().serve<multi::MultiSer>();
    const m3::Status status = app->start(
        with(id, "listen = \"127.0.0.1:0\"\ncores = 1\ndrain_wait = \"200ms\"\n" + more));
    show(status.is_ok(), status.is_ok() ? id + " at " + app->address().to_string()
                                        : id + ": " + status.to_string());
    houses_[id] = std::move(app);
    return status.is_ok();
  }
  void stop(const std::string& id) {
    const m3::Status status = houses_.at(id)->stop();
    houses_.erase(id);
    show(status.is_ok(), id + " has left");
  }
  bool open() { return open(with("demo.world1.town.1", "cores = 1\n")); }
  bool open_by(const std::string& config_file) {
    m3::App::Embedding out;
    out.id = *m3::AppId::parse("demo.world1.town.1");
    out.config_file = config_file;
    return open(std::move(out));
  }
  /// Runs play(Ctx&, App&) on the caller's core.
  template <class Play>
  void run(Play play) {
    auto inside = [&](Ctx&) -> Task<> {
      Ctx own(caller_.runtime().core(0), m3::Deadline::never(), &caller_);
      co_await play(own, caller_);
      co_return m3::ok;
    };
    const auto done = caller_.runtime().block_on(caller_.runtime().core(0), inside);
    if (!done.is_ok()) show(false, done.status().to_string());
  }

 private:
  bool open(m3::App::Embedding embedding) {
    const m3::Status status = caller_.start(std::move(embedding));
    if (!status.is_ok()) show(false, "the caller: " + status.to_string());
    return status.is_ok();
  }
  m3::App::Embedding with(const std::string& id, std::string config) {
    m3::App::Embedding out;
    out.id = *m3::AppId::parse(id);
    out.config = "log_level = \"error\"\n" + std::move(config);
    out.shared = shared_;
    return out;
  }

  std::shared_ptr<m3::SharedParts> shared_ = std::make_shared<m3::SharedParts>();
  std::map<std::string, std::unique_ptr<m3::App>> houses_;
  m3::App caller_;
};

std::string short_name(const std::string& id) { return id.substr(id.find('.') + 1); }

std::string counts(const std::map<std::string, int>& by) {
  std::string out;
  for (const auto& [id, count] : by)
    out += (out.empty() ? "" : ", ") + std::to_string(count) + " by " + short_name(id);
  return out;
}

Task<std::map<std::string, int>> greet(Ctx& ctx, m3::App& app, int times, m3::Route route) {
  Client client(app);
  std::map<std::string, int> by;
  for (int i = 0; i < times; ++i) ++by[(co_await client.hello(ctx, "Ann", route)).by];
  co_return by;
}

Task<> play_single_calls(Ctx& ctx, m3::App& app, const Cast& cast) {
  Client client(app);
  auto random = co_await greet(ctx, app, 60, m3::to::random());
  show(random.size() == 3, "Random: 60 calls, " + counts(random));
  auto ann = co_await greet(ctx, app, 20, m3::to::hash("Ann"));
  show(ann.size() == 1, "Hash by \"Ann\": 20 calls, " + counts(ann));
  std::set<std::string> owners;
  for (int i = 0; i < 50; ++i)
    owners.insert((co_await client.hello(ctx, "x", m3::to::hash(std::to_string(i)))).by);
  show(owners.size() == 3, "Hash by 50 keys: all three instances own some");
  auto single = co_await greet(ctx, app, 20, m3::to::single());
  const auto& [lowest, second, third] = std::tie(cast.multis[0], cast.multis[1], cast.multis[2]);
  show(single.size() == 1 && single.begin()->first == multi_id(lowest),
       "Single: 20 calls, " + counts(single) + ", the lowest of " + lowest + ", " + second +
           " and " + third);
  const auto named = co_await client.hello(ctx, "Ann", m3::to::app(multi_id(second)));
  show(named.by == multi_id(second), "P2P to multi." + second + ": \"" + named.text + "\"");
  Client far(app, m3::world("world2"));
  const auto there = co_await far.hello(ctx, "Ann");
  show(there.by == "demo.world2.multi.1", "Another world: answered by " + short_name(there.by));
  auto nobody = co_await as_result(client.hello(ctx, "Ann", m3::to::app("demo.world1.multi.7")));
  show(!nobody.is_ok(), "P2P to multi.7, which does not run: " + nobody.status().to_string());
  co_return m3::ok;
}

/// How many of the world's instances have received the text; polled until it is `wanted`.
Task<int> heard_by(Ctx& ctx, m3::App& app, const Cast& cast, const char* text, int wanted) {
  Client client(app);
  for (int tries = 0;; ++tries) {
    int count = 0;
    for (const std::string& ins : cast.multis) {
      const auto id = *m3::AppId::parse(multi_id(ins));
      const auto lines = co_await client.heard(ctx, id);
      count += static_cast<int>(std::count_if(lines.begin(), lines.end(), [&](const auto& line) {
        return line.find(text) != std::string::npos;
      }));
    }
    if (count == wanted || tries == 200) co_return count;
    co_await m3::sleep(ctx, std::chrono::milliseconds(10));
  }
}

Task<> play_many(Ctx& ctx, m3::App& app, const Cast& cast) {
  Client client(app);
  co_await client.shout(ctx, "good morning");
  const int all = co_await heard_by(ctx, app, cast, "good morning", 3);
  show(all == 3, "BroadCast: heard by " + std::to_string(all) + " of 3");
  co_await client.tell(ctx, cast.topic, "it rains");
  const int some = co_await heard_by(ctx, app, cast, "it rains", cast.joined);
  show(some == cast.joined,
       "MultiCast to \"" + cast.topic + "\": heard by the " + std::to_string(some) + " who joined");
  co_return m3::ok;
}

Task<> play_after_leaving(Ctx& ctx, m3::App& app) {
  auto random = co_await greet(ctx, app, 40, m3::to::random());
  show(random.size() == 2, "Random: 40 calls, " + counts(random));
  auto single = co_await greet(ctx, app, 10, m3::to::single());
  show(single.begin()->first == "demo.world1.multi.9", "Single: 10 calls, " + counts(single));
  co_return m3::ok;
}

void play(Town& town, const Cast& cast) {
  std::printf("\nOne call, one instance: the route picks it\n");
  town.run([&](Ctx& ctx, m3::App& app) { return play_single_calls(ctx, app, cast); });
  std::printf("\nOne notify, many instances\n");
  town.run([&](Ctx& ctx, m3::App& app) { return play_many(ctx, app, cast); });
}

int with_the_cluster(const std::string& config_file) {
  Town town;
  if (!town.open_by(config_file)) return 1;
  play(town, kCluster);
  return wrong ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) return with_the_cluster(argv[1]);
  Town town;
  std::printf("\nFour instances of apps/multi in this process, in two worlds\n");
  const std::string news = "[app]\ntopics = [\"news\"]\n";
  bool up = town.start("demo.world1.multi.10") && town.start("demo.world1.multi.9", news) &&
            town.start("demo.world1.multi.2", news) && town.start("demo.world2.multi.1");
  if (!up || !town.open()) return 1;
  play(town, kEmbedded);
  std::printf("\nAn instance leaves\n");
  town.stop("demo.world1.multi.2");
  town.run(play_after_leaving);
  std::printf(wrong ? "\n%d lines are not as they should be.\n"
                    : "\nEverything went as it should. docs/reference/routing.md has the rules.\n",
              wrong);
  return wrong ? 1 : 0;
}
