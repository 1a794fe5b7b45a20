// SPDX-License-Identifier: BSL-1.0
#include "m3/async/runtime.h"

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <thread>

#include "m3/async/asio.h"
#include "m3/async/once.h"
#include "m3/async/scope.h"
#include "m3/async/timer.h"
#include "m3/async/when.h"
#include "m3/obs/recording_sink.h"
#include "m3/testing/catch.h"
#include "m3/testing/eventually.h"

using namespace std::chrono_literals;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Task;
namespace asio = boost::asio;

namespace {

m3::RuntimeConfig two_cores() {
  m3::RuntimeConfig config;
  config.cores = 2;
  return config;
}

Task<std::uint64_t> bounce(Ctx& ctx, m3::Runtime& runtime, int hops) {
  std::uint64_t sum = 0;
  for (int i = 0; i < hops; ++i)
    sum += co_await m3::run_on(ctx, runtime.core(1), [](Ctx& far) -> Task<std::uint64_t> {
      co_return far.core().index();
    });
  co_return sum;
}

}  // namespace

TEST_CASE("runtime: work crosses cores and returns, thousands of times") {
  m3::Runtime runtime(two_cores());
  runtime.start();
  auto sum =
      runtime.block_on(runtime.core(0), [&](Ctx& ctx) { return bounce(ctx, runtime, 5000); });
  CHECK(*sum == 5000);
}

TEST_CASE("runtime: many chains cross cores at once, both ways") {
  m3::Runtime runtime(two_cores());
  runtime.start();
  std::atomic<int> done{0};
  std::vector<std::thread> outside;
  for (int i = 0; i < 4; ++i)
    outside.emplace_back([&, i] {
      auto result = runtime.block_on(runtime.core(i % 2), [&](Ctx& ctx) -> Task<> {
        for (int n = 0; n < 500; ++n)
          co_await m3::run_on(ctx, runtime.core(n % 2), [](Ctx& far) -> Task<> {
            co_await m3::yield(far);
            co_return m3::ok;
          });
        co_return m3::ok;
      });
      done += result.is_ok();
    });
  for (auto& thread : outside) thread.join();
  CHECK(done == 4);
}

TEST_CASE("runtime: a sleeping core wakes for its timers") {
  m3::Runtime runtime(two_cores());
  runtime.start();
  auto took = runtime.block_on(runtime.core(1), [](Ctx& ctx) -> Task<m3::Nanos> {
    const auto began = ctx.core().now();
    co_await m3::sleep(ctx, 20ms);
    co_return ctx.core().now() - began;
  });
  CHECK(*took >= 20ms);
}

TEST_CASE("runtime: run_blocking returns the value, the error or the exception of its function") {
  m3::Runtime runtime(two_cores());
  runtime.start();
  auto outcome = runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<int> {
    const int value = co_await m3::run_blocking(ctx, runtime, [] { return 42; });
    auto thrown = co_await as_result(
        m3::run_blocking(ctx, runtime, []() -> int { throw std::runtime_error("no disk"); }));
    CHECK(thrown.status().text() == "exception: no disk");
    auto failed = co_await as_result(m3::run_blocking(ctx, runtime, []() -> m3::Result<int> {
      return m3::Status(Errc::not_found, "no such file");
    }));
    CHECK(failed.code() == Errc::not_found);
    co_return value;
  });
  CHECK(*outcome == 42);
}

TEST_CASE("runtime: a cancelled caller leaves a blocking function behind") {
  std::atomic<bool> go{false};  // the helper may outlast the wait: stop() joins it
  m3::Runtime runtime(two_cores());
  runtime.start();
  auto outcome = runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<> {
    co_await m3::within(ctx, 10ms, [&](Ctx& soon) -> Task<> {
      co_await m3::run_blocking(soon, runtime, [&go] { go.wait(false); });
      co_return m3::ok;
    });
    co_return m3::ok;
  });
  CHECK(outcome.code() == Errc::deadline_exceeded);
  go = true;
  go.notify_all();
}

TEST_CASE("runtime: results that arrive while the runtime stops are not leaked") {
  auto owned = std::make_shared<int>(7);
  std::atomic<bool> go{false}, busy{false}, release{false};
  std::thread later;
  {
    m3::Runtime runtime(two_cores());
    runtime.start();
    auto outcome = runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<> {
      m3::Scope scope(ctx.core());
      Ctx work(ctx, m3::Deadline::never());
      scope.spawn("hangs", [&](Ctx&) -> Task<> {
        co_await m3::run_blocking(work, runtime, [&end = go, held = owned] { end.wait(false); });
        co_return m3::ok;
      });
      co_await m3::sleep(ctx, 5ms);  // long enough to begin; if not, there is nothing to lose
      work.cancel(m3::CancelReason::superseded);
      co_await scope.close(ctx);
      co_return m3::ok;
    });
    CHECK(outcome.is_ok());
    // The core is busy when the function's end comes back, and is told to stop meanwhile.
    struct Spin final : m3::async_detail::Runnable {
      Spin(std::atomic<bool>& b, std::atomic<bool>& r)
          : Runnable([](Runnable& self) {
              static_cast<Spin&>(self).busy = true;
              static_cast<Spin&>(self).release.wait(false);
            }),
            busy(b),
            release(r) {}
      std::atomic<bool>& busy;
      std::atomic<bool>& release;
    } spin(busy, release);
    runtime.core(0).post(spin);
    while (!busy) std::this_thread::yield();
    go = true;
    go.notify_all();
    later = std::thread([&release] {
      std::this_thread::sleep_for(50ms);  // stop() is in its wait for the core by then
      release = true;
      release.notify_all();
    });
    runtime.stop();
  }
  later.join();
  CHECK(owned.use_count() == 1);
}

TEST_CASE("runtime: a blocking function is refused while the runtime stops") {
  std::atomic<bool> begun{false}, asking{false}, go{false};
  m3::Status last, asked;
  m3::Runtime runtime(two_cores());
  runtime.start();
  CHECK(runtime.submit_blocking([&] {
    begun = true;
    go.wait(false);
  }));
  CHECK(m3::testing::eventually([&] { return begun.load(); }));
  // stop() waits for the helper above, which ends when the core has seen that no more is taken.
  std::thread asks([&] {
    auto body = [&](Ctx& ctx) -> Task<> {
      asking = true;
      Ctx soon(ctx, m3::Deadline(ctx.core().read_clock() + 5s));
      while (last.is_ok())
        last = (co_await as_result(m3::run_blocking(soon, runtime, [] {}))).status();
      go = true;
      go.notify_all();
      co_return m3::ok;
    };
    asked = runtime.block_on(runtime.core(0), body).status();
  });
  CHECK(m3::testing::eventually([&] { return asking.load(); }));
  runtime.stop();
  asks.join();
  CHECK(asked.is_ok());
  CHECK(last == Errc::cancelled);
  CHECK(last.text().find("stopping") != std::string::npos);
  CHECK(runtime.submit_blocking([] {}) == Errc::cancelled);
}

TEST_CASE("runtime: work posted to a core that has ended still runs, as that core's work") {
  using m3::async_detail::once;
  /// Reports the end of the thread that has one.
  struct Leaves {
    ~Leaves() {
      if (!gone) return;
      *gone = true;
      gone->notify_all();
    }
    std::atomic<bool>* gone = nullptr;
  };
  auto owned = std::make_shared<int>(7);
  std::atomic<bool> gone{false}, busy{false};
  std::vector<unsigned> ran;  // on core...
  {
    m3::Runtime runtime(two_cores());
    runtime.start();
    runtime.core(0).post(once([&] {
      static thread_local Leaves leaves;
      leaves.gone = &gone;
    }));
    runtime.core(1).post(once([&, held = owned] {
      busy = true;
      gone.wait(false);  // stop() is called, and core 0 is no more
      runtime.core(0).post(once([&, held] {
        ran.push_back(m3::Core::current().index());
        runtime.core(1).post(once([&, held] { ran.push_back(m3::Core::current().index()); }));
      }));
    }));
    CHECK(m3::testing::eventually([&] { return busy.load(); }));
    runtime.stop();
    CHECK(ran == std::vector<unsigned>{0, 1});
    CHECK(m3::Core::try_current() == nullptr);
  }
  CHECK(owned.use_count() == 1);
}

TEST_CASE("runtime: blocking functions run side by side, on as many helpers as there may be") {
  // Whether the idle helper has taken the first one when the second comes is a matter of luck.
  for (int round = 0; round < 30; ++round) {
    std::atomic<bool> second{false};
    m3::Runtime runtime(two_cores());
    runtime.start();
    auto one = [&](Ctx& ctx) -> Task<> {
      // The first of the two ends only when the second has begun.
      co_await m3::run_blocking(ctx, runtime, [&second] { second.wait(false); });
      co_return m3::ok;
    };
    auto two = [&](Ctx& ctx) -> Task<> {
      co_await m3::run_blocking(ctx, runtime, [&second] {
        second = true;
        second.notify_all();
      });
      co_return m3::ok;
    };
    auto outcome = runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<> {
      co_await m3::run_blocking(ctx, runtime, [] {});  // now one helper is idle
      co_await m3::sleep(ctx, 5ms);
      auto both = co_await as_result(m3::within(ctx, 20s, [&](Ctx& soon) -> Task<> {
        co_await m3::when_all(soon.core(), one(soon), two(soon));
        co_return m3::ok;
      }));
      co_return std::move(both).status();
    });
    second = true;
    second.notify_all();
    REQUIRE(outcome.is_ok());
  }
}

TEST_CASE("runtime: a blocking function whose caller gave up before it began is not run") {
  std::atomic<bool> go{false};
  std::atomic<int> ran{0};
  m3::RuntimeConfig config = two_cores();
  config.blocking_threads = 1;
  config.blocking_waiting = 3;
  m3::Runtime runtime(config);
  runtime.start();
  auto outcome = runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<> {
    std::atomic<bool> begun{false};
    auto hangs = [&](Ctx& own) -> Task<> {
      co_await m3::run_blocking(own, runtime, [&] {
        begun = true;
        go.wait(false);
      });
      co_return m3::ok;
    };
    auto brief = [&]() {
      return m3::within(ctx, 1ms, [&](Ctx& soon) -> Task<> {
        co_await m3::run_blocking(soon, runtime, [&ran] { ++ran; });
        co_return m3::ok;
      });
    };
    m3::Scope scope(ctx.core());
    scope.spawn("hangs", hangs);
    while (!begun) co_await m3::sleep(ctx, 1ms);
    for (int i = 0; i < 3; ++i) {
      auto waits = co_await as_result(brief());
      CHECK(waits.code() == Errc::deadline_exceeded);
    }
    // The helper hangs and three wait: no more is taken.
    auto refused = co_await as_result(brief());
    CHECK(refused.code() == Errc::resource_exhausted);
    go = true;
    go.notify_all();
    co_await scope.drain(ctx);
    for (bool done = false; !done;) {  // the last in the queue: the three are past
      auto last = co_await as_result(m3::run_blocking(ctx, runtime, [] { return 5; }));
      done = last.is_ok();
      if (!done) co_await m3::sleep(ctx, 1ms);
    }
    co_return m3::ok;
  });
  CHECK(outcome.is_ok());
  CHECK(ran == 0);
}

TEST_CASE("runtime: a body that throws on another core fails the call, not the process") {
  m3::Runtime runtime(two_cores());
  runtime.start();
  auto outcome = runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<int> {
    auto there = [](Ctx&) -> Task<int> { throw std::runtime_error("not here"); };
    co_return co_await m3::run_on(ctx, runtime.core(1), there);
  });
  CHECK(outcome.status().text() == "exception: not here");
  auto direct = runtime.block_on(runtime.core(1),
                                 [](Ctx&) -> Task<int> { throw std::runtime_error("nor there"); });
  CHECK(direct.status().text() == "exception: nor there");
}

TEST_CASE("runtime: block_on fails where it would wait for ever") {
  m3::Runtime runtime(two_cores());
  const auto nothing = [](Ctx&) -> Task<> { co_return m3::ok; };
  const auto early = runtime.block_on(runtime.core(0), nothing).status();
  CHECK(early == Errc::failed_precondition);
  CHECK(early.text().find("call start()") != std::string::npos);
  runtime.start();
  const auto on_a_core = runtime.block_on(runtime.core(0), [&](Ctx&) -> Task<> {
    co_return runtime.block_on(runtime.core(0), nothing).status();
  });
  CHECK(on_a_core.code() == Errc::failed_precondition);
  CHECK(on_a_core.status().text().find("m3::run_on") != std::string::npos);
}

TEST_CASE("runtime: a block_on whose work is still suspended at the end fails") {
  std::atomic<bool> begun{false};
  m3::Status hangs;
  std::thread waits;
  {
    m3::Runtime runtime(two_cores());
    runtime.start();
    waits = std::thread([&] {
      auto body = [&begun](Ctx& ctx) -> Task<> {
        begun = true;
        co_await m3::sleep(ctx, 24h);
        co_return m3::ok;
      };
      hangs = runtime.block_on(runtime.core(1), body).status();
    });
    CHECK(m3::testing::eventually([&] { return begun.load(); }));
    runtime.stop();
  }
  waits.join();
  CHECK(hangs == Errc::cancelled);
  CHECK(hangs.text().find("stopped before") != std::string::npos);
}

TEST_CASE("runtime: block_on either runs or fails while the runtime stops") {
  // Which of the two comes first is a matter of luck.
  for (int round = 0; round < 50; ++round) {
    m3::Runtime runtime(two_cores());
    runtime.start();
    std::atomic<int> asked{0}, ran{0};
    int good = 0;
    m3::Status last;
    std::thread asks([&] {
      auto body = [&ran](Ctx&) -> Task<> {
        ++ran;
        co_return m3::ok;
      };
      for (; last.is_ok(); good += last.is_ok(), ++asked)
        last = runtime.block_on(runtime.core(1), body).status();
    });
    CHECK(m3::testing::eventually([&] { return asked > 3; }));
    runtime.stop();
    asks.join();
    CHECK(last == Errc::failed_precondition);
    CHECK(good == ran);
  }
}

TEST_CASE("runtime: the watchdog names the task that stalls a core, once") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  m3::RuntimeConfig config = two_cores();
  config.stall_warning = 20ms;
  m3::Runtime runtime(config);
  runtime.start();
  auto outcome = runtime.block_on(runtime.core(1), [&](Ctx& ctx) -> Task<> {
    ctx.set_name("crunch numbers");
    co_await m3::yield(ctx);
    const auto began = std::chrono::steady_clock::now();
    while (sink->count("crunch numbers") == 0 && std::chrono::steady_clock::now() - began < 20s) {
    }
    co_return m3::ok;
  });
  CHECK(outcome.is_ok());
  CHECK(sink->count("core 1") == 1);
  CHECK(sink->count("crunch numbers") == 1);
}

TEST_CASE("asio: operations are awaited in a Task, and a deadline cancels them") {
  m3::Runtime runtime(two_cores());
  runtime.start();
  auto outcome = runtime.block_on(runtime.core(0), [](Ctx& ctx) -> Task<std::size_t> {
    asio::ip::tcp::acceptor acceptor(m3::io_context(ctx.core()),
                                     {asio::ip::address_v4::loopback(), 0});
    asio::ip::tcp::socket client(m3::io_context(ctx.core()));
    co_await client.async_connect(acceptor.local_endpoint(), m3::use_task(ctx));
    auto server = co_await acceptor.async_accept(m3::use_task(ctx));
    char bytes[8] = {};
    auto nothing = co_await as_result(m3::within(ctx, 20ms, [&](Ctx& soon) -> Task<std::size_t> {
      co_return co_await server.async_read_some(asio::buffer(bytes), m3::use_task(soon));
    }));
    CHECK(nothing.code() == Errc::deadline_exceeded);
    co_await asio::async_write(client, asio::buffer("hello", 5), m3::use_task(ctx));
    const std::size_t got = co_await server.async_read_some(asio::buffer(bytes), m3::use_task(ctx));
    client.close();
    auto end = co_await as_result(server.async_read_some(asio::buffer(bytes), m3::use_task(ctx)));
    CHECK(end.code() == Errc::unavailable);
    co_return got;
  });
  CHECK(outcome.is_ok());
  CHECK(*outcome == 5);
}

TEST_CASE("asio: an asio coroutine awaits a Task and gets its Result") {
  m3::Runtime runtime(two_cores());
  runtime.start();
  std::atomic<int> code{-1};
  std::atomic<int> value{0};
  auto outcome = runtime.block_on(runtime.core(0), [&](Ctx& ctx) -> Task<> {
    asio::co_spawn(
        m3::io_context(ctx.core()),
        [&]() -> asio::awaitable<void> {
          auto good = co_await m3::async_run(
              ctx.core(),
              [](Ctx& c) -> Task<int> {
                co_await m3::sleep(c, 1ms);
                co_return 5;
              }(ctx),
              asio::use_awaitable);
          value = *good;
          auto bad = co_await m3::async_run(
              ctx.core(), []() -> Task<int> { co_return m3::Status(Errc::aborted, "no"); }(),
              asio::use_awaitable);
          code = static_cast<int>(bad.code());
        },
        asio::detached);
    while (code == -1) co_await m3::sleep(ctx, 1ms);
    co_return m3::ok;
  });
  CHECK(outcome.is_ok());
  CHECK(value == 5);
  CHECK(code == static_cast<int>(Errc::aborted));
}

TEST_CASE("runtime: events that wait together are few turns") {
  constexpr int kEvents = 200;
  /// Counts the ends of turns in which an event asked for one.
  struct Flush final : m3::async_detail::Runnable {
    Flush()
        : Runnable([](Runnable& r) {
            ++static_cast<Flush&>(r).count, static_cast<Flush&>(r).due = false;
          }) {}
    int count = 0;
    bool due = false;
  };
  Flush flush;
  std::atomic<int> handled{0};
  m3::RuntimeConfig config;
  config.cores = 1;
  m3::Runtime runtime(config);
  m3::Core& core = runtime.core(0);
  for (int i = 0; i < kEvents; ++i)
    asio::post(m3::io_context(core), [&] {
      m3::Turn turn(core);
      if (!std::exchange(flush.due, true)) core.at_turn_end(flush);
      ++handled;
    });
  runtime.start();
  CHECK(m3::testing::eventually([&] { return handled == kEvents; }));
  runtime.stop();
  CHECK(flush.count < kEvents / 4);
}
