// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/membership.h"

#include "mesh_fixture.h"

using m3::Member;
using m3::mesh_detail::Membership;
using mesh_test::member;
using namespace std::chrono_literals;

namespace {

struct Judge {
  Membership membership{std::make_shared<m3::mesh_detail::SlotPool>()};
  std::string now() const {
    std::string out;
    for (const auto& [id, entry] : membership.entries())
      out += std::string(id.ins()) + (entry.listed ? "" : "?") + " ";
    return out;
  }
  bool list(std::vector<Member> members) { return membership.on_list(std::move(members), clock); }
  bool list(std::initializer_list<int> ins) {
    std::vector<Member> members;
    members.reserve(ins.size());
    for (int i : ins) members.push_back(member(i));
    return membership.on_list(std::move(members), clock);
  }
  bool probe(const m3::Instance& instance, bool answered) {
    return probe(instance, answered ? Membership::Answer::well : Membership::Answer::silent);
  }
  bool probe(const m3::Instance& instance, Membership::Answer answer) {
    return membership.on_probe(instance, answer, clock);
  }
  m3::TimePoint clock;
  const m3::Instance& at(int ins) const {
    return *membership.entries().at(member(ins).id).instance;
  }
};

}  // namespace

TEST_CASE("membership: lists are believed, the first empty one too") {
  Judge judge;
  CHECK_FALSE(judge.membership.heard());
  CHECK(judge.list({}));
  CHECK(judge.membership.heard());
  CHECK_FALSE(judge.list({}));
  CHECK(judge.list({10, 9, 2}));
  CHECK(judge.now() == "2 9 10 ");
  CHECK_FALSE(judge.list({2, 9, 10}));
}

TEST_CASE("membership: the registry's word is taken after a moment, and at once for the silent") {
  Judge judge;
  judge.list({1, 2, 3});
  CHECK_FALSE(judge.list({1, 2}));
  CHECK(judge.now() == "1 2 3? ");
  CHECK_FALSE(judge.probe(judge.at(3), true));
  judge.clock += Membership::kGrace - 1ms;
  CHECK_FALSE(judge.probe(judge.at(3), true));
  CHECK_FALSE(judge.list({1, 2}));  // said again: the time runs on
  judge.clock += 1ms;
  CHECK(judge.probe(judge.at(3), true));
  CHECK(judge.now() == "1 2 ");
  // One of two, too: an instance that is not well is not kept for being there.
  CHECK_FALSE(judge.list({1}));
  judge.clock += Membership::kGrace;
  CHECK(judge.probe(judge.at(2), true));
  // It does not answer, or is leaving.
  judge.list({1, 2, 3});
  CHECK_FALSE(judge.list({1, 2}));
  CHECK(judge.probe(judge.at(3), false));
  // It is listed again within its time.
  CHECK_FALSE(judge.list({1}));
  CHECK_FALSE(judge.list({1, 2}));
  judge.clock += 1h;
  CHECK_FALSE(judge.probe(judge.at(2), true));
  CHECK(judge.now() == "1 2 ");
}

TEST_CASE("membership: an empty list, or one that lacks half or more, is doubted") {
  Judge judge;
  judge.list({1, 2, 3, 4});
  judge.list({});
  CHECK(judge.now() == "1? 2? 3? 4? ");
  CHECK(judge.membership.doubtful().size() == 4);
  judge.list({1, 2, 3, 4});
  CHECK(judge.now() == "1 2 3 4 ");
  CHECK(judge.membership.doubtful().empty());
  judge.list({1});
  CHECK(judge.now() == "1 2? 3? 4? ");
  // Each is asked, and only those that are silent go.
  CHECK_FALSE(judge.probe(judge.at(2), true));
  CHECK(judge.probe(judge.at(3), false));
  CHECK(judge.now() == "1 2? 4? ");
  judge.clock += 1h;
  CHECK_FALSE(judge.probe(judge.at(2), true));
  CHECK(judge.now() == "1 2? 4? ");
}

TEST_CASE("membership: a registry that drops one after the other is doubted as well") {
  Judge judge;
  judge.list({1, 2, 3, 4});
  for (int left = 3; left >= 0; --left) {
    std::vector<Member> members;
    for (int i = 1; i <= left; ++i) members.push_back(member(i));
    CHECK_FALSE(judge.list(members));
    judge.clock += 100ms;
  }
  judge.clock += 1h;
  for (int i = 1; i <= 4; ++i) CHECK_FALSE(judge.probe(judge.at(i), true));
  CHECK(judge.now() == "1? 2? 3? 4? ");
  // Slowly, each by itself, they are taken out.
  Judge slow;
  slow.list({1, 2, 3, 4});
  slow.list({1, 2, 3});
  slow.clock += Membership::kGrace;
  CHECK(slow.probe(slow.at(4), true));
  slow.list({1, 2});
  slow.clock += Membership::kGrace;
  CHECK(slow.probe(slow.at(3), true));
  CHECK(slow.now() == "1 2 ");
}

TEST_CASE(
    "membership: a list without any instance of the previous list is doubted, whichever others it "
    "names") {
  Judge judge;
  judge.list({2, 4});
  CHECK_FALSE(judge.list({4}));
  judge.clock += 1600ms;
  CHECK_FALSE(judge.list({2}));
  judge.clock += Membership::kGrace;
  CHECK_FALSE(judge.probe(judge.at(4), true));
  CHECK(judge.now() == "2 4? ");
  // Two of four, whom a list named beside one that went a moment ago.
  Judge five;
  five.list({1, 2, 3, 4, 5});
  CHECK_FALSE(five.list({1, 2, 3, 4}));
  CHECK_FALSE(five.list({1, 2, 5}));
  five.clock += Membership::kGrace;
  CHECK_FALSE(five.probe(five.at(3), true));
  CHECK_FALSE(five.probe(five.at(4), true));
  CHECK(five.now() == "1 2 3? 4? 5 ");
}

TEST_CASE("membership: a list that is somebody's word is believed whatever it lacks") {
  Judge judge{Membership(std::make_shared<m3::mesh_detail::SlotPool>(), false), {}};
  judge.list({1, 2, 3});
  CHECK(judge.list({1}));
  CHECK(judge.now() == "1 ");
  CHECK(judge.list({}));
  CHECK(judge.now().empty());
}

TEST_CASE("membership: a single one that leaves is asked too") {
  Judge judge;
  judge.list({1});
  judge.list({});
  CHECK(judge.now() == "1? ");
  CHECK(judge.probe(judge.at(1), false));
  CHECK(judge.now().empty());
}

TEST_CASE(
    "membership: the newest generation of an id counts, but not a probe of the previous one") {
  Judge judge;
  judge.list({member(1, 5)});
  const auto old = judge.membership.entries().at(member(1).id).instance;
  CHECK(judge.list({member(1, 5), member(1, 7), member(1, 6)}));
  CHECK(judge.at(1).generation == 7);
  CHECK_FALSE(judge.list({member(1, 6)}));  // an answer from before
  CHECK(judge.at(1).generation == 7);
  CHECK(old->slot != judge.at(1).slot);
  judge.list({});
  CHECK_FALSE(judge.probe(*old, false));
  CHECK(judge.now() == "1? ");
}

TEST_CASE("membership: only another address or another start makes another instance") {
  Judge judge;
  judge.list({1, 2});
  const m3::Instance* before = &judge.at(1);
  Member cordoned = member(1);
  cordoned.state = m3::MemberState::cordoned;
  CHECK(judge.list({cordoned, member(2)}));
  CHECK(&judge.at(1) == before);
  cordoned.weight = 50;
  cordoned.version = "2";
  cordoned.healthy = false;
  CHECK(judge.list({cordoned, member(2)}));
  CHECK(&judge.at(1) == before);
  CHECK(judge.membership.entries().at(cordoned.id).member == cordoned);
  cordoned.run = 7;  // it had not said it before
  CHECK(judge.list({cordoned, member(2)}));
  CHECK(&judge.at(1) == before);
  cordoned.run = 8;
  CHECK(judge.list({cordoned, member(2)}));
  CHECK(&judge.at(1) != before);
  before = &judge.at(1);
  cordoned.address.port = 4712;
  CHECK(judge.list({cordoned, member(2)}));
  CHECK(&judge.at(1) != before);
}

TEST_CASE(
    "membership: a restart with a clock that went back is believed once the previous start is "
    "silent") {
  Judge judge;
  judge.list({member(1, 7), member(2, 7)});
  const auto before = judge.membership.entries().at(member(1).id).instance;
  CHECK_FALSE(judge.list({member(1, 4), member(2, 7)}));
  REQUIRE(judge.membership.doubtful().size() == 1);
  CHECK(judge.membership.doubtful()[0].instance == before);
  CHECK(judge.probe(*before, false));
  CHECK(judge.at(1).generation == 4);
  CHECK(judge.membership.doubtful().empty());
  REQUIRE(judge.membership.take_gone().size() == 1);
  CHECK_FALSE(judge.list({member(1, 4), member(2, 7)}));
  CHECK(judge.at(1).generation == 4);
}

TEST_CASE("membership: an old answer changes nothing while the listed instance answers") {
  Judge judge;
  judge.list({member(1, 7)});
  const auto before = judge.membership.entries().at(member(1).id).instance;
  judge.list({member(1, 4)});
  CHECK_FALSE(judge.probe(*before, true));
  CHECK(judge.at(1).generation == 7);
  CHECK(judge.membership.doubtful().empty());
  judge.list({member(1, 4)});  // said again: it is asked again, a little later
  REQUIRE(judge.membership.doubtful().size() == 1);
  CHECK(judge.membership.doubtful()[0].ask_at > judge.clock);
  judge.list({member(1, 4), member(1, 7)});  // both: there is no doubt
  CHECK(judge.membership.doubtful().empty());
  judge.list({member(1, 4)});
  judge.list({member(1, 9)});
  CHECK(judge.membership.doubtful().empty());
  CHECK(judge.at(1).generation == 9);
}

TEST_CASE("membership: the sick stay and are asked, so that the dead among them are known") {
  Judge judge;
  Member sick = member(1);
  sick.healthy = false;
  judge.list({1, 2, 3});
  const m3::Instance* before = &judge.at(1);
  CHECK(judge.list({sick, member(2), member(3)}));
  CHECK(&judge.at(1) == before);
  REQUIRE(judge.membership.doubtful().size() == 1);
  CHECK_FALSE(judge.probe(judge.at(1), true));  // as it was
  CHECK(judge.probe(judge.at(1), false));
  CHECK_FALSE(judge.probe(judge.at(1), false));
  const auto& entry = judge.membership.entries().at(sick.id);
  CHECK(entry.silent);
  CHECK(entry.listed);
  CHECK(judge.membership.doubtful()[0].ask_at == judge.clock + Membership::kAskAgain);
  CHECK(judge.probe(judge.at(1), true));
  CHECK(judge.probe(judge.at(1), false));
  CHECK(judge.list({1, 2, 3}));  // well again
  CHECK_FALSE(entry.silent);
  CHECK(judge.membership.doubtful().empty());
  judge.list({sick, member(2), member(3)});
  judge.list({2, 3});
  CHECK(judge.probe(judge.at(1), false));
  CHECK(judge.now() == "2 3 ");
  CHECK(judge.membership.doubtful().empty());
}

TEST_CASE("membership: one that says it is sick is, until it says otherwise or is silent") {
  Judge judge;
  judge.list({1, 2, 3});
  const auto& entry = judge.membership.entries().at(member(1).id);
  CHECK(judge.membership.on_sick(judge.at(1)));
  CHECK_FALSE(judge.membership.on_sick(judge.at(1)));  // no news
  CHECK_FALSE(entry.member.healthy);
  CHECK(judge.membership.doubtful().size() == 1);  // it is asked again and again
  CHECK_FALSE(judge.probe(judge.at(1), Membership::Answer::sick));
  CHECK_FALSE(judge.list({1, 2, 3}));  // the list knows nothing of it
  CHECK_FALSE(entry.member.healthy);
  CHECK(judge.probe(judge.at(1), Membership::Answer::well));
  CHECK(entry.member.healthy);
  CHECK(judge.membership.doubtful().empty());
  CHECK(judge.membership.on_sick(judge.at(1)));
  CHECK(judge.probe(judge.at(1), Membership::Answer::silent));
  CHECK(entry.member.healthy);  // its word has ended with it
  CHECK_FALSE(entry.silent);
  // A registry's check of it stands beside its own word.
  Member sick = member(1);
  sick.healthy = false;
  CHECK(judge.list({sick, member(2), member(3)}));
  CHECK_FALSE(judge.membership.on_sick(judge.at(1)));
  CHECK_FALSE(judge.list({1, 2, 3}));
  CHECK_FALSE(entry.member.healthy);
  CHECK(judge.probe(judge.at(1), Membership::Answer::well));
  CHECK(entry.member.healthy);
  // Another start has said nothing yet.
  CHECK(judge.membership.on_sick(judge.at(1)));
  const m3::Instance before = judge.at(1);
  CHECK(judge.list({member(1, 2), member(2), member(3)}));
  CHECK(entry.member.healthy);
  CHECK_FALSE(judge.membership.on_sick(before));
}

TEST_CASE("membership: a rival that is no longer named is forgotten") {
  Judge judge;
  judge.list({member(1, 10), member(2)});
  judge.list({member(1, 5), member(2)});
  judge.list({2});
  CHECK(judge.probe(judge.at(1), false));
  CHECK(judge.now() == "2 ");
}

TEST_CASE("membership: a restart is trusted, although the previous start was silent") {
  Judge judge;
  Member sick = member(1, 1);
  sick.healthy = false;
  judge.list({sick, member(2)});
  judge.probe(judge.at(1), false);
  sick = member(1, 2);
  sick.healthy = false;
  CHECK(judge.list({sick, member(2)}));
  CHECK_FALSE(judge.membership.entries().at(sick.id).silent);
  CHECK(judge.membership.doubtful()[0].ask_at <= judge.clock);
}
