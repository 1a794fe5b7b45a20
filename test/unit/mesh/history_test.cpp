// SPDX-License-Identifier: BSL-1.0
// Random histories of a service (start, crash, restart, freeze, lost and partial lists, a registry
// that is away) against a model of what a caller can know. A call must not fail while an instance
// that the caller was told of lives; no pick names an instance whose death the caller saw more than
// a second ago while another one lives.
#include <array>
#include <cstdlib>
#include <optional>
#include <random>
#include <set>

#include "mesh_fixture.h"

using m3::Ctx;
using m3::Member;
using m3::Task;
using mesh_test::Caller;
using mesh_test::kRole;
using mesh_test::Server;
using mesh_test::Wires;
using namespace std::chrono_literals;

namespace {

constexpr int kInstances = 5;
constexpr m3::Nanos kTick = 100ms;
/// A frozen one is found by pings.
constexpr m3::Nanos kFreezeFound = 5s;

/// The truth about one instance, and what the caller can know of it.
struct Truth {
  std::unique_ptr<Server> server;  // null: dead
  std::uint64_t generation = 0;
  bool frozen = false;
  bool told = false;     // the caller was told of this generation, and had no reason to forget it
  bool doubted = false;  // a list without it was not believed
  bool met = false;      // it answered the caller since it started
  std::optional<m3::TimePoint> died;  // while met
};

class History {
 public:
  History(m3::testing::SimRuntime& sim, std::uint64_t seed)
      : sim_(sim), random_(seed), caller_(sim, wires_) {}

  Task<> run(Ctx& ctx) {
    (void)caller_.mesh().snapshot(ctx.core(), kRole);
    co_await m3::sleep(ctx, 1ms);
    deliver();
    const int events = 8 + below(12);
    for (int i = 0; i < events && failure.empty(); ++i) {
      co_await happen(ctx);
      const int ticks = 1 + below(25);
      for (int tick = 0; tick < ticks && failure.empty(); ++tick) {
        co_await check(ctx);
        co_await m3::sleep(ctx, kTick);
        if (away_until_ && ctx.core().now() >= *away_until_) recover();
        if (forget_at_ && ctx.core().now() >= *forget_at_) forget_the_dead();
      }
    }
    co_await caller_.stop(ctx);
    for (Truth& truth : truths_) {
      if (!truth.server) continue;
      co_await truth.server->die(ctx);
    }
    co_return m3::ok;
  }

  std::string failure;
  std::string story;
  int calls = 0;

 private:
  int below(int limit) { return static_cast<int>(random_() % static_cast<std::uint64_t>(limit)); }
  void tell_story(const std::string& what) {
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
        sim_.clock().now().time_since_epoch());
    story += std::to_string(now.count() % 86400000) + " ms: " + what + "\n";
  }
  static int ins_of(const m3::Instance& instance) {
    return std::stoi(std::string(instance.id.ins()));
  }

  Task<> happen(Ctx& ctx) {
    const int ins = 1 + below(kInstances);
    Truth& truth = truths_[static_cast<std::size_t>(ins - 1)];
    switch (below(8)) {
      case 0:
      case 1:
      case 2:
        if (!truth.server) {
          start(ins);
          break;
        }
        [[fallthrough]];
      case 3:
        if (truth.server) {
          co_await crash(ctx, ins);
          if (below(2)) start(ins);
        }
        break;
      case 4:
        if (truth.server) freeze(ctx, truth, !truth.frozen);
        break;
      case 5:
        if (!away_until_) {
          tell_story("the registry answers with an empty list");
          give({});
        }
        break;
      case 6:
        give_some();
        break;
      default:
        tell_story("the registry is away");
        away_until_ = ctx.core().now() + std::chrono::milliseconds(below(8000));
        caller_.router.lose(kRole);
        break;
    }
    co_return m3::ok;
  }

  void start(int ins) {
    Truth& truth = truths_[static_cast<std::size_t>(ins - 1)];
    truth = Truth();
    truth.generation = ++last_generation_;
    truth.server = std::make_unique<Server>(sim_, wires_, mesh_test::member(ins, truth.generation));
    registered_.insert(ins);
    tell_story("start " + std::to_string(ins));
    deliver();
  }

  Task<> crash(Ctx& ctx, int ins) {
    Truth& truth = truths_[static_cast<std::size_t>(ins - 1)];
    tell_story("crash " + std::to_string(ins));
    Task<> died = truth.server->die(ctx);
    co_await std::move(died);
    truth.server.reset();
    truth.frozen = false;
    if (truth.met) truth.died = ctx.core().now();
    if (!forget_at_) forget_at_ = ctx.core().now() + std::chrono::milliseconds(below(10000));
    co_return m3::ok;
  }

  void freeze(Ctx& ctx, Truth& truth, bool frozen) {
    tell_story((frozen ? "freeze " : "thaw ") + truth.server->self().id.to_string());
    truth.frozen = frozen;
    wires_.to(truth.server->self().address).freeze(frozen);
    freeze_changed_ = ctx.core().now();
    if (truth.doubted) truth.told = false;
  }

  // ---- the registry

  void forget_the_dead() {
    forget_at_.reset();
    for (auto at = registered_.begin(); at != registered_.end();)
      at =
          truths_[static_cast<std::size_t>(*at - 1)].server ? std::next(at) : registered_.erase(at);
    tell_story("the registry forgets the dead");
    deliver();
  }
  void recover() {
    away_until_.reset();
    tell_story("the registry is back");
    deliver();
  }
  void deliver() { give(registered_); }
  void give_some() {
    std::set<int> some;
    for (int ins : registered_)
      if (below(3) == 0) some.insert(ins);
    if (!away_until_) {
      tell_story("the registry answers with " + std::to_string(some.size()) + " of " +
                 std::to_string(registered_.size()));
      give(some);
    }
  }
  void give(const std::set<int>& listed) {
    if (away_until_) return;
    std::size_t missing = 0;
    for (int ins : given_)
      if (!listed.contains(ins)) ++missing;
    // At least: the mesh also remembers those that went a moment ago.
    const bool lost_memory =
        missing > 0 && (missing == given_.size() || (missing >= 2 && missing * 2 >= given_.size()));
    const bool believed = !lost_memory;
    std::vector<Member> members;
    for (int ins = 1; ins <= kInstances; ++ins) {
      Truth& truth = truths_[static_cast<std::size_t>(ins - 1)];
      if (listed.contains(ins)) {
        members.push_back(mesh_test::member(ins, truth.generation));
        if (!truth.told || !given_.contains(ins)) {  // new to the caller, or perhaps forgotten
          truth.died.reset();
          if (truth.frozen) freeze_changed_ = sim_.clock().now();
        }
        truth.told = true;
        truth.doubted = false;
      } else if (believed && given_.contains(ins)) {
        truth.told = false;
      } else {
        truth.doubted = true;
        if (truth.frozen) truth.told = false;  // silent when asked
      }
    }
    given_ = listed;
    caller_.router.tell(kRole, std::move(members));
  }

  // ---- what must hold

  bool somebody_is_there() const {
    for (const Truth& truth : truths_)
      if (truth.server && truth.told && !truth.frozen) return true;
    return false;
  }

  Task<> check(Ctx& ctx) {
    const bool settled = !freeze_changed_ || ctx.core().now() - *freeze_changed_ > kFreezeFound;
    const bool there = somebody_is_there();
    const std::string key = std::to_string(below(1000));
    const int mode = below(3);
    m3::Route route = mode == 0   ? m3::to::random()
                      : mode == 1 ? m3::to::hash(key)
                                  : m3::to::single();
    if (there && settled) check_pick(ctx, route, key);
    Ctx soon(ctx, m3::Deadline(ctx.core().now() + 300ms));
    const std::string answer = co_await caller_.ask(soon, std::move(route), key);
    ++calls;
    if (answer.starts_with("dev.w.role.")) {
      truths_[static_cast<std::size_t>(std::stoi(answer.substr(11)) - 1)].met = true;
    } else if (there && settled) {
      tell_story("CALL FAILED (" + std::to_string(mode) + "): " + answer);
      failure = "a call failed although an instance is there";
    }
    co_return m3::ok;
  }

  void check_pick(Ctx& ctx, const m3::Route& route, const std::string& key) {
    m3::Peers& peers = caller_.node().caller().peers();
    const m3::Pick found = caller_.mesh().pick({kRole, route.mode(), key, m3::kNoSlot, peers});
    if (!found.instance) {
      tell_story("NOBODY: " + found.why.to_string());
      failure = "nobody was picked although an instance is there";
      return;
    }
    const Truth& truth = truths_[static_cast<std::size_t>(ins_of(*found.instance) - 1)];
    if (truth.server || !truth.died || ctx.core().now() - *truth.died <= 1s) return;
    tell_story("DEAD ONE: " + found.instance->id.to_string());
    failure = "a dead instance was picked";
  }

  m3::testing::SimRuntime& sim_;
  std::mt19937_64 random_;
  Wires wires_;
  Caller caller_;
  std::array<Truth, kInstances> truths_;
  std::uint64_t last_generation_ = 0;
  std::set<int> registered_;
  std::set<int> given_;
  std::optional<m3::TimePoint> away_until_;
  std::optional<m3::TimePoint> forget_at_;
  std::optional<m3::TimePoint> freeze_changed_;
};

}  // namespace

TEST_CASE("mesh: random histories never lose a service that is up") {
  const char* given = std::getenv("M3_TEST_SEED");
  const std::uint64_t first = given ? std::strtoull(given, nullptr, 10) : 1;
  const std::uint64_t count = given ? 1 : std::getenv("M3_LONG") ? 10000 : 500;
  int calls = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    m3::testing::SimRuntime sim(1, seed);
    History history(sim, seed);
    const auto ended = sim.run([&](Ctx& ctx) { return history.run(ctx); });
    INFO("replay: M3_TEST_SEED=" << seed << " unit-mesh \"mesh: random histories*\"\n"
                                 << history.story);
    REQUIRE(ended.status().to_string() == "ok");
    REQUIRE(history.failure.empty());
    calls += history.calls;
  }
  CHECK(calls > static_cast<int>(count) * 50);
}
