// SPDX-License-Identifier: BSL-1.0
// When a topic is joined.
#include "m3/mesh/topics.h"

#include "broadcast_fixture.h"
#include "m3/async/scope.h"
#include "m3/async/timer.h"

using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::Task;
using mesh_test::Hub;
using mesh_test::Member;
using namespace std::chrono_literals;

CO_TEST("topics: each join of a topic ends as its subscription does") {
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1");
  co_await one.start(ctx);
  Ctx as_one(ctx.core(), m3::Deadline::never(), &one);
  const auto join = [&]() -> Task<> {
    co_await m3::topics(as_one).join("news");
    co_return m3::ok;
  };

  // One that failed is not joined the next time either, until it is.
  for (const Errc why : {Errc::unavailable, Errc::permission_denied}) {
    hub.joins = Status(why, "not now");
    for (int i = 0; i < 2; ++i) CHECK((co_await as_result(join())).status() == why);
  }
  hub.joins = m3::ok;
  CHECK((co_await as_result(join())).status().is_ok());
  CHECK(one.line().wishes() == 2);
  co_await m3::topics(as_one).leave("news");
  CHECK(one.line().wishes() == 1);

  // Two at once.
  hub.asked.add();
  std::vector<Status> ended;
  m3::Scope scope(ctx.core());
  const auto join_beside = [&] {
    scope.spawn("join", [&](Ctx&) -> Task<> {
      ended.push_back((co_await as_result(join())).status());
      co_return m3::ok;
    });
  };
  for (int i = 0; i < 2; ++i) join_beside();
  co_await m3::sleep(ctx, 1ms);
  CHECK(ended.empty());
  hub.asked.done();
  co_await m3::sleep(ctx, 1ms);
  CHECK(ended.size() == 2);
  for (const Status& status : ended) CHECK(status.is_ok());

  // Whoever waits while it is left has not joined.
  hub.asked.add();
  join_beside();
  co_await m3::sleep(ctx, 1ms);
  co_await m3::topics(as_one).leave("news");
  CHECK(one.line().wishes() == 1);
  hub.asked.done();
  co_await m3::sleep(ctx, 1ms);
  REQUIRE(ended.size() == 3);
  CHECK(ended.back() == Errc::cancelled);
  co_await scope.close(ctx);
  co_await one.stop(ctx);
}

CO_TEST("topics: a topic that is left while the app starts is not subscribed") {
  Hub hub;
  Member one(sim, &hub, "dev.w.role.1");
  Ctx as_one(ctx.core(), m3::Deadline::never(), &one);
  co_await m3::topics(as_one).join("news");
  hub.asked.add();
  m3::Scope scope(ctx.core());
  scope.spawn("start", [&](Ctx& own) { return one.start(own); });
  co_await m3::sleep(ctx, 1ms);
  co_await m3::topics(as_one).leave("news");
  hub.asked.done();
  co_await m3::sleep(ctx, 1ms);
  CHECK(one.line().wishes() == 1);
  co_await scope.close(ctx);
  co_await one.stop(ctx);
}
