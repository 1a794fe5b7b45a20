// SPDX-License-Identifier: BSL-1.0
// Services so large that helper threads judge their lists.
#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "m3/mesh/mesh.h"
#include "m3/testing/eventually.h"
#include "mesh_fixture.h"

using m3::Ctx;
using m3::Task;
using mesh_test::kRole;
using mesh_test::member;
using namespace std::chrono_literals;

namespace {

/// A mesh on real cores, whose helper threads do what grows with the number of instances.
class RealMesh {
 public:
  explicit RealMesh(m3::RuntimeConfig config = two_cores()) : runtime(config) {
    runtime.start();
    on(0, [&](Ctx&) { mesh.start(node); });
  }
  ~RealMesh() {
    (void)runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<> {
      co_await mesh.stop(ctx);
      co_await node.stop(ctx);
      co_return m3::ok;
    });
    runtime.stop();
  }
  template <class What>
  void on(unsigned core, What what) {
    (void)runtime.block_on(runtime.core(core), [&](Ctx& ctx) -> Task<> {
      what(ctx);
      co_return m3::ok;
    });
  }
  void tell(std::vector<m3::Member> list) {
    on(0, [&](Ctx&) { router.tell(kRole, std::move(list)); });
  }
  /// Both cores come to see it within half a minute.
  template <class Good>
  bool both_see(Good good) {
    return m3::testing::eventually([&] {
      int seen = 0;
      for (unsigned i = 0; i < 2; ++i)
        on(i, [&](Ctx& ctx) {
          const auto now = mesh.snapshot(ctx.core(), kRole);
          seen += now && good(*now);
        });
      return seen == 2;
    });
  }
  static m3::RuntimeConfig two_cores() {
    m3::RuntimeConfig config;
    config.cores = 2;
    return config;
  }
  static m3::RpcNode::Options options() {
    m3::RpcNode::Options out;
    out.id = *m3::AppId::parse("dev.w.caller.1");
    return out;
  }
  m3::Runtime runtime;
  mesh_test::ScriptedRouter router;
  m3::MetricRegistry metrics;
  m3::Mesh mesh{runtime, router, {}, metrics};
  m3::RpcNode node{runtime, options(), mesh, metrics};
};

}  // namespace

TEST_CASE("mesh: lists go on when the helper threads had too much to do") {
  constexpr int kMany = 600;
  m3::RuntimeConfig config = RealMesh::two_cores();
  config.blocking_threads = 1;
  config.blocking_waiting = 1;
  RealMesh real(config);
  for (unsigned i = 0; i < 2; ++i)
    real.on(i, [&](Ctx& ctx) { (void)real.mesh.snapshot(ctx.core(), kRole); });
  for (bool watched = false; !watched;)
    real.on(0, [&](Ctx&) { watched = real.router.is_watched(kRole); });
  std::vector<m3::Member> list;
  for (int i = 1; i <= kMany; ++i) {
    list.push_back(member(i));
    list.back().address = {"127.0.0.1", 1};
  }
  real.tell(list);
  REQUIRE(real.both_see(
      [](const m3::mesh_detail::Snapshot& s) { return s.entries().size() == kMany; }));

  // The one helper is held, and the one place to wait is taken.
  std::mutex held;
  std::unique_lock hold(held);
  std::atomic<int> ended{0};
  const auto wait = [&] {
    const std::lock_guard lock(held);
    ++ended;
  };
  int taken = 0;
  while (real.runtime.submit_blocking(wait)) ++taken;
  CHECK(taken >= 1);
  list.push_back(member(kMany + 1));
  list.back().address = {"127.0.0.1", 1};
  real.tell(list);
  list.push_back(member(kMany + 2));
  list.back().address = {"127.0.0.1", 1};
  real.tell(list);  // while the first waits
  hold.unlock();
  CHECK(real.both_see(
      [](const m3::mesh_detail::Snapshot& s) { return s.entries().size() == kMany + 2; }));
  while (ended < taken) std::this_thread::yield();
}

TEST_CASE(
    "mesh: thousands of instances are judged beside the cores, and every core sees the same") {
  constexpr std::size_t kMany = 2000;
  RealMesh real;
  for (unsigned i = 0; i < 2; ++i)
    real.on(i, [&](Ctx& ctx) { (void)real.mesh.snapshot(ctx.core(), kRole); });
  for (bool watched = false; !watched;)
    real.on(0, [&](Ctx&) { watched = real.router.is_watched(kRole); });
  std::vector<m3::Member> list;
  for (std::size_t i = 1; i <= kMany; ++i) {
    list.push_back(member(static_cast<int>(i)));
    list.back().address = {"127.0.0.1", 1};  // where nobody listens
  }
  real.tell(list);
  REQUIRE(real.both_see(
      [](const m3::mesh_detail::Snapshot& s) { return s.entries().size() == kMany; }));
  real.on(1, [&](Ctx&) {
    (void)real.mesh.pick(
        {kRole, m3::RouteMode::hash, "Ann", m3::kNoSlot, real.node.caller().peers()});
  });
  REQUIRE(real.both_see([](const m3::mesh_detail::Snapshot& s) { return s.has_hash(); }));

  // News that come while others are being worked on: the last list counts.
  m3::Member replaced = member(7, 2);
  replaced.address = {"127.0.0.1", 2};
  list[6] = replaced;
  for (std::size_t size : {kMany - 1, kMany - 2, kMany - 3}) {
    list.resize(size);
    real.tell(list);
  }
  REQUIRE(real.both_see(
      [](const m3::mesh_detail::Snapshot& s) { return s.entries().size() == kMany - 3; }));
  m3::mesh_detail::HashSlots slots;
  std::vector<m3::mesh_detail::HashSlots::Id> ids;
  for (const m3::Member& one : list) ids.push_back(m3::mesh_detail::HashSlots::Id::of(one.id));
  slots.set(ids);
  CHECK(real.both_see([&](const m3::mesh_detail::Snapshot& s) {
    int wrong = s.named("dev.w.role.2000") || !s.named("dev.w.role.1997") ||
                s.named("dev.w.role.7")->address != replaced.address;
    for (int key = 0; key < 300; ++key) {
      const std::string text = std::to_string(key);
      wrong += s.owner(text)->id != slots.id_at(slots.owners()[m3::hash_slot(text)]);
    }
    return wrong == 0;
  }));

  // Dropped altogether: not believed, and nobody answers when they are asked.
  real.tell({});
  CHECK(real.both_see([](const m3::mesh_detail::Snapshot& s) { return s.empty(); }));
}
