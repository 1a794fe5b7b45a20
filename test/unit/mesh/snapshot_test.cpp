// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/snapshot.h"

#include <cstdlib>
#include <map>
#include <string>

#include "mesh_fixture.h"

using m3::MemberState;
using m3::Peers;
using m3::mesh_detail::Membership;
using m3::mesh_detail::Snapshot;
using mesh_test::id_of;
using mesh_test::member;

namespace {

/// A service with these members, as one core sees it.
struct Seen {
  explicit Seen(const std::vector<m3::Member>& members)
      : membership(std::make_shared<m3::mesh_detail::SlotPool>()), peers(sim.core()) {
    (void)membership.on_list(members, m3::TimePoint());
    snapshot.emplace(members.front().id.service_id(), membership.entries());
  }
  const m3::Instance& at(const std::string& id) { return *snapshot->named(id); }
  void put_out(const std::string& id) {
    peers.unreachable(peers[at(id).slot], std::chrono::hours(1));
  }
  std::map<std::string, int> draws(int count) {
    std::map<std::string, int> out;
    for (int i = 0; i < count; ++i) ++out[id_of(snapshot->random({peers}))];
    return out;
  }

  m3::testing::SimRuntime sim;
  Membership membership;
  Peers peers;
  std::optional<Snapshot> snapshot;
};

}  // namespace

TEST_CASE("snapshot: Random picks the less busy of two, by weight, and never an excluded one") {
  auto heavy = member(1), light = member(2), none = member(3), leaving = member(4);
  heavy.weight = 300;
  none.weight = 0;
  leaving.state = MemberState::draining;
  Seen seen({heavy, light, none, leaving});
  auto counts = seen.draws(4000);
  CHECK(counts.size() == 2);
  CHECK(counts["dev.w.role.1"] > 2700);
  CHECK(counts["dev.w.role.2"] > 700);

  // Small weights are shares as well as large ones.
  auto single = member(1), twice = member(2);
  single.weight = 1;
  twice.weight = 2;
  auto shares = Seen({single, twice}).draws(3000);
  CHECK(std::abs(shares["dev.w.role.1"] - 1000) < 150);
  CHECK(std::abs(shares["dev.w.role.2"] - 2000) < 150);

  // However large their total is.
  std::vector<m3::Member> huge;
  for (int i = 1; i <= 5; ++i) {
    huge.push_back(member(i));
    huge.back().weight = i <= 4 ? 4'000'000'000 : 3'999'999'999;
  }
  const auto large = Seen(huge).draws(5000);
  CHECK(large.size() == 5);
  for (const auto& [id, count] : large) CHECK(std::abs(count - 1000) < 150);

  // Two of equal weight: all go to the one that has nothing to do.
  Seen pair({member(1), member(2)});
  pair.peers[pair.at("dev.w.role.1").slot].in_flight = 5;
  auto busy = pair.draws(1000);
  CHECK(busy["dev.w.role.2"] == 1000);
  // Each pair is as likely as any other, so that of four the one that hangs gets nothing.
  Seen four({member(1), member(2), member(3), member(4)});
  four.peers[four.at("dev.w.role.1").slot].in_flight = 5;
  auto others = four.draws(3000);
  CHECK(others.size() == 3);
  for (const auto& [id, count] : others) CHECK(std::abs(count - 1000) < 150);
  pair.put_out("dev.w.role.2");
  CHECK(pair.draws(100)["dev.w.role.1"] == 100);
  // Everybody is out: still somebody, and not the one that failed a moment ago.
  pair.put_out("dev.w.role.1");
  const auto failed = pair.at("dev.w.role.1").slot;
  for (int i = 0; i < 50; ++i)
    REQUIRE(id_of(pair.snapshot->random({pair.peers, failed})) == "dev.w.role.2");
}

TEST_CASE("snapshot: an instance with weight 0 is picked when there is no other") {
  auto one = member(1), two = member(2);
  one.weight = two.weight = 0;
  Seen seen({one, two});
  CHECK(seen.draws(100).size() == 2);
}

TEST_CASE("snapshot: Single is the lowest id that can be reached, numbers compared as numbers") {
  Seen seen({member(10), member(9), member(2)});
  const auto single = [&](std::uint32_t avoid = m3::kNoSlot) {
    return id_of(seen.snapshot->single({seen.peers, avoid}));
  };
  CHECK(single() == "dev.w.role.2");
  CHECK(single(seen.at("dev.w.role.2").slot) == "dev.w.role.9");
  seen.put_out("dev.w.role.2");
  seen.put_out("dev.w.role.9");
  CHECK(single() == "dev.w.role.10");
  seen.put_out("dev.w.role.10");
  CHECK(single() == "dev.w.role.2");
}

TEST_CASE("snapshot: Hash picks the same with and without its table, and then the next in rank") {
  Seen seen({member(1), member(2), member(3), member(4)});
  m3::mesh_detail::HashSlots slots;
  std::vector<m3::mesh_detail::HashSlots::Id> ids;
  for (const m3::Instance* instance : seen.snapshot->eligible())
    ids.push_back(m3::mesh_detail::HashSlots::Id::of(instance->id));
  slots.set(ids);
  auto owners = std::make_shared<m3::mesh_detail::HashOwners>();
  owners->owners = slots.owners();
  for (std::size_t i = 0; i < slots.positions(); ++i)
    owners->by_position.push_back(seen.snapshot->named(
        slots.id_at(static_cast<m3::mesh_detail::HashSlots::Position>(i)).to_string()));
  for (int i = 0; i < 1000; ++i) {
    const std::string key = std::to_string(i);
    seen.snapshot->set_hash(nullptr);
    const std::string slow = id_of(seen.snapshot->hash(key, {seen.peers}));
    seen.snapshot->set_hash(owners);
    REQUIRE(id_of(seen.snapshot->hash(key, {seen.peers})) == slow);
    REQUIRE(id_of(seen.snapshot->owner(key)) == slow);
    const std::string next = id_of(seen.snapshot->hash(key, {seen.peers, seen.at(slow).slot}));
    REQUIRE(next != slow);
  }
  // The owner by membership does not ask who can be reached.
  const std::string owner = id_of(seen.snapshot->owner("a"));
  seen.put_out(owner);
  CHECK(id_of(seen.snapshot->owner("a")) == owner);
  CHECK(id_of(seen.snapshot->hash("a", {seen.peers})) != owner);
}

TEST_CASE("snapshot: sick instances get calls by name only, unless too many are reported sick") {
  std::vector<m3::Member> members;
  for (int i = 1; i <= 4; ++i) members.push_back(member(i));
  members[0].healthy = members[1].healthy = false;
  Seen half(members);
  CHECK(half.snapshot->sick() == 2);
  CHECK_FALSE(half.snapshot->ignores_sick());
  auto counts = half.draws(200);
  CHECK((counts.size() == 2 && counts["dev.w.role.3"] > 0 && counts["dev.w.role.4"] > 0));
  CHECK(id_of(half.snapshot->single({half.peers})) == "dev.w.role.3");
  CHECK(id_of(half.snapshot->named("dev.w.role.1")) == "dev.w.role.1");
  for (int key = 0; key < 50; ++key) {
    const std::string owner = id_of(half.snapshot->owner(std::to_string(key)));
    CHECK((owner == "dev.w.role.3" || owner == "dev.w.role.4"));
  }

  members[2].healthy = false;
  Seen most(members);
  CHECK(most.snapshot->ignores_sick());
  CHECK(most.draws(400).size() == 4);
  CHECK(id_of(most.snapshot->single({most.peers})) == "dev.w.role.1");

  // One alone that is sick is better than nobody.
  m3::Member alone = member(1);
  alone.healthy = false;
  Seen single({alone});
  CHECK(single.draws(10)["dev.w.role.1"] == 10);
}
