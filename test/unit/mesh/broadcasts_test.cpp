// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/broadcasts.h"

#include "broadcast_fixture.h"
#include "m3/async/timer.h"
#include "m3/mesh/topics.h"

using m3::as_result;
using m3::Broadcasts;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::Task;
using mesh_test::Hub;
using mesh_test::Lines;
using mesh_test::Member;
using namespace std::chrono_literals;

CO_TEST("broadcasts: a notify to all reaches every instance, with its sender and metadata") {
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1"), two(sim, &hub, "dev.w.role.2");
  Member other(sim, &hub, "dev.w.other.1");
  for (Member* member : {&one, &two, &other}) co_await member->start(ctx);
  CHECK(co_await one.say(ctx, "hi", m3::to::all()) == "ok");
  CHECK(one.heard == Lines{"dev.w.role.1: hi"});
  CHECK(two.heard == Lines{"dev.w.role.1: hi"});
  CHECK(other.heard.empty());
  CHECK(two.left == 1s);
  CHECK(co_await other.say(ctx, "you", m3::to::all()) == "ok");
  CHECK(two.heard.back() == "dev.w.other.1: you");
  for (Member* member : {&one, &two, &other}) co_await member->stop(ctx);
  CHECK(two.line().wishes() == 0);
}

CO_TEST("broadcasts: a topic reaches the apps that joined, of any func, until they leave") {
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1"), guest(sim, &hub, "dev.w.other.1"),
      far(sim, &hub, "dev.w2.role.1");
  Ctx as_guest(ctx.core(), m3::Deadline::never(), &guest);
  Ctx as_far(ctx.core(), m3::Deadline::never(), &far);
  co_await m3::topics(as_guest).join("news");  // before it is ready
  CHECK(guest.line().wishes() == 0);
  for (Member* member : {&one, &guest, &far}) co_await member->start(ctx);
  co_await m3::topics(as_guest).join("news");
  CHECK(guest.line().wishes() == 2);
  co_await m3::topics(as_far).join("news");
  CHECK(co_await one.say(ctx, "a", m3::to::topic("news")) == "ok");
  CHECK(guest.heard == Lines{"dev.w.role.1: a"});
  CHECK((one.heard.empty() && far.heard.empty()));
  co_await m3::topics(as_far, m3::world("w")).join("news");
  CHECK(co_await one.say(ctx, "b", m3::to::topic("news")) == "ok");
  CHECK(far.heard == Lines{"dev.w.role.1: b"});
  co_await m3::topics(as_guest).leave("news");
  co_await m3::topics(as_guest).leave("news");
  CHECK(co_await one.say(ctx, "c", m3::to::topic("news")) == "ok");
  CHECK(guest.heard.size() == 2);
  CHECK(far.heard.size() == 2);
  for (Member* member : {&one, &guest, &far}) co_await member->stop(ctx);
}

CO_TEST("broadcasts: receivers count lost messages, and ignore repeated ones") {
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1"), two(sim, &hub, "dev.w.role.2");
  for (Member* member : {&one, &two}) co_await member->start(ctx);
  const auto say = [&](const char* text) { return one.say(ctx, text, m3::to::all()); };
  CHECK(co_await say("1") == "ok");
  hub.lose = 3;
  for (const char* text : {"2", "3", "4"}) CHECK(co_await say(text) == "ok");
  CHECK(two.count("m3_broadcasts_missing_total") == 0);
  hub.twice = true;
  CHECK(co_await say("5") == "ok");
  CHECK(two.count("m3_broadcasts_missing_total") == 3);
  CHECK(two.count("m3_broadcasts_repeated_total") == 1);
  CHECK(two.heard == Lines{"dev.w.role.1: 1", "dev.w.role.1: 5"});
  hub.twice = false;
  // What could not be published is no gap.
  hub.down = true;
  CHECK(co_await say("6") == "unavailable: the broker is away");
  hub.down = false;
  CHECK(co_await say("6") == "ok");
  CHECK(two.count("m3_broadcasts_missing_total") == 3);
  for (Member* member : {&one, &two}) co_await member->stop(ctx);
}

CO_TEST("broadcasts: a publisher that was started again is heard from its first message on") {
  Hub hub;
  Member two(sim, &hub, "dev.w.role.2");
  co_await two.start(ctx);
  // 4: its clock was set back before it started. 6: what the start before still had under way.
  for (std::uint64_t run : {5, 6, 4, 6}) {
    Member one(sim, &hub, "dev.w.role.1", run);
    CHECK(co_await one.say(ctx, std::to_string(run), m3::to::all()) == "ok");
    co_await one.stop(ctx);
  }
  CHECK(two.heard == Lines{"dev.w.role.1: 5", "dev.w.role.1: 6", "dev.w.role.1: 4"});
  CHECK(two.count("m3_broadcasts_repeated_total") == 1);
  CHECK(two.count("m3_broadcasts_missing_total") == 0);
  co_await two.stop(ctx);
}

CO_TEST("broadcasts: replayed messages of earlier starts do not affect the publisher") {
  Hub hub;
  Member two(sim, &hub, "dev.w.role.2");
  Lines recorded;
  for (std::uint64_t run : {1, 2, 3, 4, 5}) {  // two has not heard them
    Member old(sim, &hub, "dev.w.role.1", run);
    CHECK(co_await old.say(ctx, "of run " + std::to_string(run), m3::to::all()) == "ok");
    recorded.push_back(hub.last);
    co_await old.stop(ctx);
  }
  co_await two.start(ctx);
  Member one(sim, &hub, "dev.w.role.1", 9);
  Lines of_the_living;
  const auto say = [&](std::string text) -> Task<> {
    of_the_living.push_back("dev.w.role.1: " + text);
    CHECK(co_await one.say(ctx, text, m3::to::all()) == "ok");
    co_return m3::ok;
  };
  co_await say("a");
  for (int round = 0; round < 2; ++round)
    for (const std::string& message : recorded) {
      two.line().hear("m3.all.dev.w.role", message);
      co_await say("b" + std::to_string(round));
    }
  Lines living = two.heard;
  std::erase_if(living,
                [](const std::string& line) { return m3::testing::contains(line, "of run"); });
  CHECK(living == of_the_living);
  CHECK(two.count("m3_broadcasts_missing_total") == 0);
  // Of the three that it heard last it takes no message twice.
  const auto before = two.heard.size();
  two.line().hear("m3.all.dev.w.role", recorded.back());
  two.line().hear("m3.all.dev.w.role", recorded.back());
  CHECK(two.heard.size() == before);
  CHECK(two.count("m3_broadcasts_repeated_total") == 2);
  co_await two.stop(ctx);
}

CO_TEST("broadcasts: messages that cannot be sent are refused with the reason") {
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1");
  co_await one.start(ctx);
  CHECK((co_await one.say(ctx, std::string(5000, 'x'), m3::to::all()))
            .starts_with("invalid_argument: a broadcast of 50"));
  for (const char* wrong : {"", ".a", "a..b", "a b", "a/b"})
    CHECK((co_await one.say(ctx, "x", m3::to::topic(wrong)))
              .starts_with("invalid_argument: the topic \""));
  co_await one.stop(ctx);

  Member alone(sim, nullptr, "dev.w.role.3");
  co_await alone.start(ctx);
  CHECK((co_await alone.say(ctx, "x", m3::to::topic("news"))).find("[broker.redis]") !=
        std::string::npos);
  CHECK((co_await alone.say(ctx, "x", m3::to::all()))
            .starts_with("unavailable: no instance of dev.w.role to broadcast to"));
  Ctx as_alone(ctx.core(), m3::Deadline::never(), &alone);
  auto joined = co_await as_result(m3::topics(as_alone).join("news"));
  CHECK(joined.status() == Errc::failed_precondition);
  auto nowhere = co_await as_result(m3::topics(ctx).join("news"));
  CHECK(nowhere.status() == Errc::failed_precondition);
  co_await alone.stop(ctx);
}

CO_TEST("broadcasts: foreign bytes in a topic are counted and dropped") {
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1");
  co_await one.start(ctx);
  const std::string topic = m3::mesh_detail::broadcast_topic(one.app_id().service_id());
  one.line().hear(topic, "");
  one.line().hear(topic, "hello there, this is nothing of m3's at all");
  std::string message;
  m3::mesh_detail::begin_broadcast(message, "dev.w.role.2", 1, 1, "");
  one.line().hear(topic, message + "not a frame, but long enough to look like one");
  CHECK(one.heard.empty());
  CHECK(one.count("m3_broadcasts_bad_total") == 3);
  co_await one.stop(ctx);
}

CO_TEST("broadcasts: with a token a message counts only with the proof of its publisher") {
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1", 1, "s3cret"), two(sim, &hub, "dev.w.role.2", 1, "s3cret");
  for (Member* member : {&one, &two}) co_await member->start(ctx);
  Ctx as_one(ctx.core(), m3::Deadline::never(), &one);
  co_await m3::topics(as_one).join("news");
  const std::string topic = "m3.all.dev.w.role";
  CHECK(co_await two.say(ctx, "first", m3::to::all()) == "ok");
  const std::string good = hub.last;
  CHECK(one.heard == Lines{"dev.w.role.2: first"});
  REQUIRE(good.starts_with("m3b2"));
  CHECK(good.find("s3cret") == std::string::npos);

  // Whatever is changed, of the run, the number, the publisher, the proof or the notify.
  const std::size_t count = good.size();
  for (std::size_t at = 0; at < count; ++at) {
    std::string forged = good;
    forged[at] ^= 1;
    one.line().hear(topic, forged);
  }
  one.line().hear("m3.topic.dev.w.news", good);  // said to others
  std::string bare;
  m3::mesh_detail::begin_broadcast(bare, "dev.w.role.2", 1, 2, "");
  bare += good.substr(4 + 8 + 8 + 1 + 12 + 1 + 32);
  one.line().hear(topic, bare);
  CHECK(one.heard.size() == 1);
  CHECK(one.count("m3_broadcasts_bad_total") == static_cast<double>(count) + 2);
  one.line().hear(topic, good);  // once is enough
  CHECK(one.heard.size() == 1);
  CHECK(one.count("m3_broadcasts_repeated_total") == 1);

  // None of them has silenced the publisher.
  CHECK(co_await two.say(ctx, "second", m3::to::all()) == "ok");
  CHECK(one.heard.back() == "dev.w.role.2: second");
  CHECK(one.count("m3_broadcasts_missing_total") == 0);
  for (Member* member : {&one, &two}) co_await member->stop(ctx);
}

CO_TEST("broadcasts: while the token is changed both are heard") {
  Hub hub;
  Member before(sim, &hub, "dev.w.role.1", 1, "old", "new");
  Member after(sim, &hub, "dev.w.role.2", 1, "new", "old");
  Member stranger(sim, &hub, "dev.w.role.3", 1, "else");
  Member open(sim, &hub, "dev.w.role.4", 1);
  for (Member* member : {&before, &after, &stranger, &open}) co_await member->start(ctx);
  for (Member* member : {&before, &after, &stranger, &open})
    CHECK(co_await member->say(ctx, "here", m3::to::all()) == "ok");
  const Lines of_ours{"dev.w.role.1: here", "dev.w.role.2: here"};
  CHECK(before.heard == of_ours);
  CHECK(after.heard == of_ours);
  CHECK(stranger.heard == Lines{"dev.w.role.3: here"});
  CHECK(open.heard == Lines{"dev.w.role.4: here"});
  for (Member* member : {&before, &after, &stranger, &open}) co_await member->stop(ctx);
}

CO_TEST("broadcasts: those of one turn leave as one message, each with its number") {
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1"), two(sim, &hub, "dev.w.role.2");
  for (Member* member : {&one, &two}) co_await member->start(ctx);
  Ctx as_two(ctx.core(), m3::Deadline::never(), &two);
  co_await m3::topics(as_two).join("news");
  const auto say = [&](std::string text, m3::NotifyRoute route = m3::to::all()) {
    return one.say_now(ctx, std::move(text), std::move(route));
  };
  for (const char* text : {"1", "2", "3"}) CHECK(co_await say(text) == "ok");
  CHECK(co_await say("news", m3::to::topic("news")) == "ok");
  CHECK(co_await say("4") == "ok");
  CHECK(hub.messages == 0);
  co_await m3::sleep(ctx, 1ms);
  CHECK(hub.messages == 2);
  const std::string from = "dev.w.role.1: ";
  CHECK(one.heard == Lines{from + "1", from + "2", from + "3", from + "4"});
  CHECK(two.heard == Lines{from + "1", from + "2", from + "3", from + "4", from + "news"});
  CHECK(one.count("m3_broadcasts_published_total") == 5);
  CHECK(two.count("m3_broadcasts_received_total") == 5);

  // What is lost and what is repeated counts each of them.
  hub.lose = 1;
  for (const char* text : {"5", "6", "7"}) CHECK(co_await say(text) == "ok");
  co_await m3::sleep(ctx, 1ms);
  hub.twice = true;
  for (const char* text : {"8", "9"}) CHECK(co_await say(text) == "ok");
  co_await m3::sleep(ctx, 1ms);
  CHECK(two.count("m3_broadcasts_missing_total") == 3);
  CHECK(two.count("m3_broadcasts_repeated_total") == 2);
  CHECK(two.heard.back() == from + "9");
  CHECK(two.heard.size() == 7);
  for (Member* member : {&one, &two}) co_await member->stop(ctx);
}

CO_TEST("broadcasts: messages that the broker refuses after accepting them are counted as unsent") {
  Hub hub;
  auto one = std::make_unique<Member>(sim, &hub, "dev.w.role.1");
  co_await one->start(ctx);
  CHECK(co_await one->say(ctx, "heard", m3::to::all()) == "ok");
  hub.refuses = true;
  for (const char* text : {"1", "2", "3"})
    CHECK(co_await one->say_now(ctx, text, m3::to::all()) == "ok");
  co_await m3::sleep(ctx, 1ms);
  CHECK(one->heard.size() == 1);
  CHECK(one->count("m3_broadcasts_published_total") == 4);  // given to the broker
  CHECK(one->count("m3_broadcasts_unsent_total", "refused") == 3);
  CHECK(one->count("m3_broadcasts_unsent_total", "lost") == 0);
  // ... and what had not left when its connection ended.
  hub.refuses = false;
  hub.loses = true;
  for (const char* text : {"4", "5"})
    CHECK(co_await one->say_now(ctx, text, m3::to::all()) == "ok");
  co_await m3::sleep(ctx, 1ms);
  CHECK(one->count("m3_broadcasts_unsent_total", "refused") == 3);
  CHECK(one->count("m3_broadcasts_unsent_total", "lost") == 2);
  co_await one->stop(ctx);
}

TEST_CASE("broadcasts: a core's backlog is bounded, and dropped messages are counted") {
  m3::testing::SimRuntime sim(2);
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1"), two(sim, &hub, "dev.w.role.2");
  const auto ended = sim.run([&](Ctx& ctx) -> Task<> {
    for (Member* member : {&one, &two}) co_await member->start(ctx);
    std::string name, topic;  // of the second core
    for (int i = 0; topic.empty() || std::hash<std::string>()(topic) % 2 == 0; ++i) {
      name = "news" + std::to_string(i);
      topic = *m3::mesh_detail::multicast_topic(two.app_id().world_id(), name);
    }
    Ctx as_two(ctx.core(), m3::Deadline::never(), &two);
    co_await m3::topics(as_two).join(name);
    CHECK(co_await one.say(ctx, std::string(1000, 'x'), m3::to::topic(name)) == "ok");
    CHECK(two.heard.size() == 1);
    const std::string frame(m3::mesh_detail::read_broadcast(hub.last)->frames);
    std::uint64_t sequence = 1;
    const auto hear = [&](int count) {
      std::string message;
      m3::mesh_detail::begin_broadcast(message, "dev.w.role.1", 1, sequence + 1, "");
      for (int i = 0; i < count; ++i) message += frame;
      two.line().hear(topic, message);
      sequence += static_cast<std::uint64_t>(count);
    };

    hub.max_pending = 5000;
    for (int round = 1; round <= 3; ++round) {
      for (int i = 0; i < 4; ++i) hear(2);  // two of them fit
      CHECK(two.heard.size() == 1 + static_cast<std::size_t>(round - 1) * 4);
      co_await m3::sleep(ctx, 1ms);
      CHECK(two.heard.size() == 1 + static_cast<std::size_t>(round) * 4);
      CHECK(two.count("m3_broadcasts_dropped_total", "core_behind") == round * 4);
    }
    hub.max_pending = 100;  // what is larger passes when nothing waits
    hear(1);
    hear(1);
    co_await m3::sleep(ctx, 1ms);
    CHECK(two.heard.size() == 14);
    CHECK(two.count("m3_broadcasts_dropped_total") == 13);
    CHECK(two.count("m3_broadcasts_missing_total") == 0);
    for (Member* member : {&one, &two}) co_await member->stop(ctx);
    co_return m3::ok;
  });
  CHECK(ended.is_ok());
}

CO_TEST("broadcasts: collected messages never exceed the broker's limits") {
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1");
  co_await one.start(ctx);
  // The hub takes 4,096 bytes at once: three of these, and not one of the last.
  const auto say = [&](std::size_t size) {
    return one.say_now(ctx, std::string(size, 'x'), m3::to::all());
  };
  for (int i = 0; i < 10; ++i) CHECK(co_await say(1200) == "ok");
  CHECK(hub.messages == 3);
  CHECK((co_await say(4096)).starts_with("invalid_argument: a broadcast of 4"));
  CHECK(co_await say(4000) == "ok");
  CHECK(hub.messages == 4);
  co_await m3::sleep(ctx, 1ms);
  CHECK(hub.messages == 5);
  CHECK(one.heard.size() == 11);
  CHECK(one.count("m3_broadcasts_missing_total") == 0);

  // What waits counts as the broker's own waiting bytes do.
  hub.room = 2500;
  CHECK(co_await say(1200) == "ok");
  CHECK(co_await say(1200) == "ok");
  CHECK(co_await say(1200) == "resource_exhausted: the broker is full");
  co_await m3::sleep(ctx, 1ms);
  CHECK(co_await say(1200) == "ok");
  co_await m3::sleep(ctx, 1ms);
  CHECK(one.heard.size() == 14);
  co_await one.stop(ctx);
}

CO_TEST("broadcasts: large and small ones of one turn each leave once, in order") {
  Hub hub;
  hub.max_payload = 1u << 20;
  Member one(sim, &hub, "dev.w.role.1");
  co_await one.start(ctx);
  Lines said;
  for (const std::size_t size : {30000, 20000, 5, 6, 30000, 16384 - 200, 100, 100, 100, 7}) {
    const std::string text = std::to_string(said.size()) + std::string(size, 'x');
    CHECK(co_await one.say_now(ctx, text, m3::to::all()) == "ok");
    said.push_back("dev.w.role.1: " + text);
  }
  co_await m3::sleep(ctx, 1ms);
  CHECK((one.heard == said));
  CHECK(one.count("m3_broadcasts_published_total") == 10);
  CHECK(one.count("m3_broadcasts_missing_total") == 0);
  CHECK(one.count("m3_broadcasts_repeated_total") == 0);
  co_await one.stop(ctx);
}

CO_TEST("broadcasts: messages collected when the broker was lost are counted") {
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1");
  co_await one.start(ctx);
  const auto say = [&](std::string text) {
    return one.say_now(ctx, std::move(text), m3::to::all());
  };
  for (const char* text : {"1", "2"}) CHECK(co_await say(text) == "ok");
  hub.down = true;
  CHECK(co_await say("3") == "unavailable: the broker is away");
  co_await m3::sleep(ctx, 1ms);
  CHECK(one.count("m3_broadcasts_unsent_total", "lost") == 2);
  CHECK(one.count("m3_broadcasts_unsent_total", "refused") == 0);
  hub.down = false;
  CHECK(co_await one.say(ctx, "4", m3::to::all()) == "ok");
  CHECK(one.heard == Lines{"dev.w.role.1: 4"});
  // What a turn gathered goes before its publisher stops.
  CHECK(co_await say("5") == "ok");
  const int messages = hub.messages;
  co_await one.stop(ctx);
  CHECK(hub.messages == messages + 1);
  CHECK(co_await say("6") == "ok");
  CHECK(hub.messages == messages + 2);
}

namespace {

/// What a topic carried.
struct Wire final : m3::Broker::Subscriber {
  void on_message(std::string_view, std::string_view payload) override {
    payloads.emplace_back(payload);
  }
  void on_resubscribed(std::string_view) override {}
  std::vector<std::string> payloads;
};

/// The same notify, as another publisher would send it.
std::string forged(const std::string& payload, const std::string& publisher,
                   std::uint64_t sequence) {
  const auto message = m3::mesh_detail::read_broadcast(payload);
  REQUIRE(message.is_ok());
  std::string out;
  m3::mesh_detail::begin_broadcast(out, publisher, 1, sequence, "");
  return out += message->frames;
}

}  // namespace

CO_TEST(
    "broadcasts: a publisher knows so many topics, and one that it forgot is heard all the same") {
  constexpr std::size_t kMost = m3::mesh_detail::Publisher::kMostTopics;
  Hub hub;
  Member two(sim, &hub, "dev.w.role.2");
  co_await two.start(ctx);
  const std::string topic = m3::mesh_detail::broadcast_topic(mesh_test::kRole);
  Hub::Line line(hub);
  Wire wire;
  co_await line.subscribe(ctx, topic, wire);
  Member teller(sim, &hub, "dev.w.role.1");
  CHECK(co_await teller.say(ctx, "x", m3::to::all()) == "ok");
  const std::string frame(m3::mesh_detail::read_broadcast(wire.payloads.at(0))->frames);

  const m3::AppId self = *m3::AppId::parse("dev.w.role.3");
  m3::MetricRegistry metrics;
  m3::mesh_detail::BroadcastProofs none("", "");
  m3::mesh_detail::Publisher publisher(ctx.core(), line, self, 1, none, metrics);
  publisher.start();
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 3; ++i) CHECK(publisher.publish(topic, frame).is_ok());
    co_await m3::sleep(ctx, 1ms);
    for (std::size_t i = 0; i < kMost + 1000; ++i) {
      CHECK(publisher.publish("other." + std::to_string(i), frame).is_ok());
      if (i % 100 == 0) co_await m3::sleep(ctx, 1ms);
    }
    CHECK(publisher.topics() == kMost);
  }
  CHECK(two.heard.size() == 1 + 6);
  CHECK(two.count("m3_broadcasts_missing_total") == 0);
  CHECK(two.count("m3_broadcasts_repeated_total") == 0);
  const auto last = m3::mesh_detail::read_broadcast(wire.payloads.back());
  CHECK(last->sequence > std::uint64_t{1} << 32);
  // Within its row of numbers what is lost is counted again.
  CHECK(publisher.publish(topic, frame).is_ok());
  co_await m3::sleep(ctx, 1ms);
  hub.lose = 1;
  for (int i = 0; i < 2; ++i) {
    CHECK(publisher.publish(topic, frame).is_ok());
    co_await m3::sleep(ctx, 1ms);
  }
  CHECK(two.count("m3_broadcasts_missing_total") == 1);
  co_await publisher.stop(ctx);
  line.unsubscribe(topic, wire);
  co_await teller.stop(ctx);
  co_await two.stop(ctx);
}

CO_TEST("broadcasts: a receiver remembers a limited number of publishers, the latest") {
  Hub hub;
  Member two(sim, &hub, "dev.w.role.2");
  co_await two.start(ctx);
  const std::string topic = m3::mesh_detail::broadcast_topic(mesh_test::kRole);
  Hub::Line line(hub);
  Wire wire;
  co_await line.subscribe(ctx, topic, wire);
  Member teller(sim, &hub, "dev.w.role.1");
  CHECK(co_await teller.say(ctx, "x", m3::to::all()) == "ok");
  line.unsubscribe(topic, wire);
  const auto hear = [&](std::size_t publisher) {
    two.line().hear(topic, forged(wire.payloads.at(0), "dev.w.f." + std::to_string(publisher), 1));
  };
  for (std::size_t i = 0; i <= Broadcasts::kMostPublishers; ++i) hear(i);
  const std::size_t heard = two.heard.size();
  CHECK(heard == Broadcasts::kMostPublishers + 2);
  hear(Broadcasts::kMostPublishers);  // known
  CHECK(two.heard.size() == heard);
  CHECK(two.count("m3_broadcasts_repeated_total") == 1);
  hear(0);  // forgotten: like one that was never heard
  CHECK(two.heard.size() == heard + 1);
  CHECK(two.count("m3_broadcasts_missing_total") == 0);
  // A topic that was left is nobody's concern any more, whatever is still on its way.
  two.line().hear("m3.topic.dev.w.left", wire.payloads.at(0));
  CHECK(two.heard.size() == heard + 1);
  co_await teller.stop(ctx);
  co_await two.stop(ctx);
}
