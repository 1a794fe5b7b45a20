// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/subscribers.h"

#include <functional>
#include <memory>

#include "m3/testing/catch.h"

using m3::Errc;
using m3::Subscribers;
using m3::TimePoint;
using namespace std::chrono_literals;

namespace {

struct Ear final : m3::Broker::Subscriber {
  void on_message(std::string_view, std::string_view) override {
    ++heard;
    if (then) then();
  }
  void on_resubscribed(std::string_view) override {
    ++again;
    if (then) then();
  }
  std::function<void()> then;
  int heard = 0, again = 0;
};

void add(Subscribers& all, const std::string& topic, Ear& ear) {
  const Subscribers::Asking asking(all, topic, ear);
}

}  // namespace

TEST_CASE("subscribers: one that leaves during a callback is not called, and may be destroyed") {
  for (const bool again : {false, true}) {
    Subscribers all;
    Ear first, last;
    auto second = std::make_unique<Ear>();
    Ear added;
    first.then = [&] {
      (void)all.remove("t", *second);
      second.reset();
      (void)all.remove("other", last);
      for (int i = 0; i < 100; ++i) add(all, "t" + std::to_string(i), added);
      add(all, "t", added);
    };
    add(all, "t", first);
    add(all, "t", *second);
    add(all, "t", last);
    add(all, "other", last);
    if (again)
      all.tell_resubscribed("t");
    else
      all.tell("t", "x");
    CHECK(first.heard + first.again == 1);
    CHECK(last.heard + last.again == 1);
    CHECK(added.heard + added.again == 0);
  }
}

TEST_CASE("subscribers: the last one may remove the topic, and telling may nest") {
  Subscribers all;
  Ear one;
  one.then = [&] {
    if (one.heard == 1)
      all.tell("t", "nested");
    else
      CHECK(all.remove("t", one));
  };
  add(all, "t", one);
  all.tell("t", "x");
  CHECK(one.heard == 2);
  all.tell("t", "x");
  CHECK(one.heard == 2);
  CHECK(!all.remove("t", one));
}

TEST_CASE("subscribers: one whose subscribe() is in progress is notified by its outcome") {
  Subscribers all;
  Ear waits, other;
  add(all, "t", other);
  {
    const Subscribers::Asking asking(all, "t", waits);
    all.tell_resubscribed("t");
    CHECK(waits.again == 0);
    CHECK(other.again == 1);
    all.tell("t", "x");
    CHECK(waits.heard == 1);
  }
  all.tell_resubscribed("t");
  CHECK(waits.again == 1);
}

TEST_CASE("subscribers: a refused topic is retried now and then") {
  m3::RefusedTopics refused;
  const TimePoint now{24h};
  CHECK(refused.check("t", now).is_ok());
  CHECK(refused.add("t", now));
  CHECK(refused.check("t", now + 1s) == Errc::permission_denied);
  CHECK(refused.check("u", now + 1s).is_ok());
  CHECK(refused.check("t", now + 6s).is_ok());
  CHECK(refused.check("t", now + 6s).is_ok());
  CHECK_FALSE(refused.add("t", now + 6s));  // as before: no news
  CHECK(refused.check("t", now + 7s) == Errc::permission_denied);
  CHECK(refused.add("t", now + 1h));
  CHECK_FALSE(refused.add("what the server says", now));
}
