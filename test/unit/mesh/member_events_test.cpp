// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/member_events.h"

#include <map>
#include <optional>
#include <random>
#include <string>

#include "mesh_fixture.h"

using m3::Ctx;
using m3::Member;
using m3::MemberEvent;
using m3::MemberWatch;
using m3::Task;
using mesh_test::Caller;
using mesh_test::kRole;
using mesh_test::member;
using mesh_test::Server;
using mesh_test::Wires;
using namespace std::chrono_literals;

namespace {

std::string text_of(const MemberEvent& event) {
  std::string out = std::string(m3::member_event_name(event.kind)) + " " +
                    std::string(event.member.id.ins()) + "#" +
                    std::to_string(event.member.generation);
  if (event.before) out += " was #" + std::to_string(event.before->generation);
  return out + "; ";
}

/// What an observer was told.
struct Diary {
  std::string text;
  MemberWatch begin(Caller& caller) {
    return caller.mesh().observe(kRole, [this](const MemberEvent& e) { text += text_of(e); });
  }
  /// Since this was asked last.
  Task<std::string> read(Ctx& ctx, m3::Nanos after = 1ms) {
    co_await m3::sleep(ctx, after);
    co_return std::exchange(text, {});
  }
};

}  // namespace

CO_TEST("member events: an observer gets each present instance, and then its changes") {
  Wires wires;
  Caller caller(sim, wires);
  Diary diary, late;
  const MemberWatch watch = diary.begin(caller);
  CHECK(caller.router.is_watched(kRole));
  caller.router.tell(kRole, {member(2), member(1)});
  CHECK(diary.text.empty());  // never from within
  CHECK(co_await diary.read(ctx) == "up 2#1; up 1#1; ");
  auto heavy = member(1);
  heavy.weight = 7;
  caller.router.tell(kRole, {member(2), heavy});
  CHECK(co_await diary.read(ctx) == "changed 1#1 was #1; ");
  caller.router.tell(kRole, {member(2), heavy});
  CHECK((co_await diary.read(ctx)).empty());

  const MemberWatch second = late.begin(caller);
  caller.router.tell(kRole, {member(2), heavy, member(3)});
  CHECK(co_await diary.read(ctx) == "up 3#1; ");
  CHECK(co_await late.read(ctx) == "up 1#1; up 2#1; up 3#1; ");

  caller.router.tell(kRole, {member(2, 5), heavy, member(3)});
  CHECK(co_await diary.read(ctx) == "superseded 2#5 was #1; ");
  CHECK(co_await late.read(ctx) == "superseded 2#5 was #1; ");
  co_await caller.stop(ctx);
}

CO_TEST(
    "member events: an instance is gone when it does not answer either, and the same start can "
    "return") {
  Wires wires;
  Caller caller(sim, wires);
  Server one(sim, wires, member(1));
  Diary diary;
  const MemberWatch watch = diary.begin(caller);
  caller.router.tell(kRole, {member(1), member(2), member(3), member(4)});
  CHECK(!(co_await diary.read(ctx)).empty());
  caller.router.tell(kRole, {member(2), member(3), member(4)});
  CHECK((co_await diary.read(ctx, 1s)).empty());  // it answers: the registry may have forgotten it
  caller.router.tell(kRole, {member(1), member(3), member(4)});
  CHECK(co_await diary.read(ctx, 3s) == "gone 2#1; ");
  caller.router.tell(kRole, {member(1), member(2), member(3), member(4)});
  CHECK(co_await diary.read(ctx) == "back 2#1; ");
  caller.router.tell(kRole, {member(1), member(3), member(4)});
  CHECK(co_await diary.read(ctx, 3s) == "gone 2#1; ");
  caller.router.tell(kRole, {member(1), member(2, 2), member(3), member(4)});
  CHECK(co_await diary.read(ctx) == "up 2#2; ");
  // The same generation, and another run: another start.
  auto other = member(3);
  other.run = 7;
  caller.router.tell(kRole, {member(1), member(2, 2), other, member(4)});
  CHECK(co_await diary.read(ctx) == "changed 3#1 was #1; ");  // the run was not known
  other.run = 8;
  caller.router.tell(kRole, {member(1), member(2, 2), other, member(4)});
  CHECK(co_await diary.read(ctx) == "superseded 3#1 was #1; ");
  // A restart with a clock that was set back.
  caller.router.tell(kRole, {member(1), member(2, 1), other, member(4)});
  CHECK(co_await diary.read(ctx, 3s) == "superseded 2#1 was #2; ");
  co_await caller.stop(ctx);
  co_await one.die(ctx);
}

CO_TEST(
    "member events: an observer gets nothing after its watch has ended, from inside or outside") {
  Wires wires;
  Caller caller(sim, wires);
  std::optional<MemberWatch> self;
  int heard = 0;
  self = caller.mesh().observe(kRole, [&](const MemberEvent&) {
    ++heard;
    self.reset();
  });
  Diary diary;
  std::optional<MemberWatch> watch = diary.begin(caller);
  caller.router.tell(kRole, {member(1), member(2)});
  co_await m3::sleep(ctx, 1ms);
  CHECK(heard == 1);
  CHECK(co_await diary.read(ctx) == "up 1#1; up 2#1; ");
  caller.router.tell(kRole, {member(1), member(2), member(3)});
  watch.reset();  // what is on its way does not come
  CHECK((co_await diary.read(ctx)).empty());
  CHECK(heard == 1);
  co_await m3::sleep(ctx, 6s);
  CHECK_FALSE(caller.router.is_watched(kRole));
  co_await caller.stop(ctx);
}

CO_TEST("member events: an observer added during another one's callback is called soon") {
  Wires wires;
  Caller caller(sim, wires);
  Diary late;
  MemberWatch second;
  const MemberWatch first = caller.mesh().observe(kRole, [&](const MemberEvent&) {
    if (late.text.empty()) second = late.begin(caller);
  });
  caller.router.tell(kRole, {member(1)});
  CHECK(co_await late.read(ctx) == "up 1#1; ");  // without other news
  co_await caller.stop(ctx);
}

CO_TEST("member events: a service is watched as long as it is observed, even without calls") {
  Wires wires;
  Caller caller(sim, wires);
  Diary diary;
  MemberWatch watch = diary.begin(caller);
  caller.router.tell(kRole, {member(1)});
  co_await m3::sleep(ctx, 1h);
  CHECK(co_await diary.read(ctx) == "up 1#1; ");
  CHECK(caller.router.begun == 1);
  caller.router.tell(kRole, {member(1), member(2)});
  CHECK(co_await diary.read(ctx) == "up 2#1; ");
  co_await caller.stop(ctx);
  watch = MemberWatch();  // after the end, too
}

CO_TEST("member events: an observer may be added before the mesh is started") {
  Wires wires;
  mesh_test::ScriptedRouter router;
  m3::MetricRegistry metrics;
  m3::Mesh mesh(sim.runtime(), router, {}, metrics);
  std::string text;
  const MemberWatch watch =
      mesh.observe(kRole, [&](const MemberEvent& event) { text += text_of(event); });
  co_await m3::sleep(ctx, 1ms);
  CHECK_FALSE(router.is_watched(kRole));
  m3::RpcNode::Options options;
  options.id = *m3::AppId::parse("dev.w.caller.1");
  options.transport = [&](m3::Core& core) { return wires.transport(core); };
  m3::RpcNode node(sim.runtime(), std::move(options), mesh, metrics);
  mesh.start(node);
  router.tell(kRole, {member(1)});
  co_await m3::sleep(ctx, 1ms);
  CHECK(text == "up 1#1; ");
  co_await mesh.stop(ctx);
  co_await node.stop(ctx);
}

CO_TEST("member events: their sum always equals the state of the mesh") {
  std::mt19937_64 random(sim.seed());
  const auto below = [&](std::uint64_t n) { return static_cast<int>(random() % n); };
  Wires wires;
  Caller caller(sim, wires);
  std::map<std::string, Member> known;
  bool wrong = false;
  const MemberWatch watch = caller.mesh().observe(kRole, [&](const MemberEvent& event) {
    const std::string id = event.member.id.to_string();
    const bool fresh = event.kind == MemberEvent::Kind::up || event.kind == MemberEvent::Kind::back;
    wrong |= known.contains(id) == fresh;
    wrong |= event.before && *event.before != known[id];
    if (event.kind == MemberEvent::Kind::gone)
      known.erase(id);
    else
      known[id] = event.member;
  });
  (void)caller.mesh().snapshot(ctx.core(), kRole);
  co_await m3::sleep(ctx, 1ms);
  for (int step = 0; step < 500; ++step) {
    std::vector<Member> list;
    for (int ins = 1; ins <= 6; ++ins) {
      if (below(4) == 0) continue;
      list.push_back(member(ins, 1 + static_cast<std::uint64_t>(below(3))));
      list.back().weight = static_cast<std::uint32_t>(below(3));
      list.back().healthy = below(5) > 0;
    }
    caller.router.tell(kRole, list);
    co_await m3::sleep(ctx, std::chrono::milliseconds(1 + below(3000)));
    std::map<std::string, std::uint64_t> seen, told;
    for (const auto& entry : caller.mesh().snapshot(ctx.core(), kRole)->entries())
      seen[entry.instance->id.to_string()] = entry.instance->generation;
    for (const auto& [id, one] : known) told[id] = one.generation;
    CO_REQUIRE(seen == told);
    CO_REQUIRE(!wrong);
    co_await m3::sleep(ctx, 1ms);
  }
  co_await caller.stop(ctx);
}
