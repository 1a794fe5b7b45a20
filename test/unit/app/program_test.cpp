// SPDX-License-Identifier: BSL-1.0
// App::run(): signals, and shutdown() beside them.
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <string>
#include <thread>

#include "app_fixture.h"
#include "m3/obs/recording_sink.h"
#include "m3/testing/eventually.h"

using m3::App;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::Task;

namespace {

/// App::run() on a thread of its own, with the signals of this process as they were afterwards.
class Running {
 public:
  explicit Running(App& app) {
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], nullptr, &before_[i]);
    thread_ = std::thread([this, &app] {
      std::string name = "talk", option = "--id", id = "dev.w.talk.1";
      std::array<char*, 3> words{name.data(), option.data(), id.data()};
      exit_code_ = app.run(static_cast<int>(words.size()), words.data());
      over_ = true;
    });
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    thread_.join();
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  }
  bool over() const { return over_; }
  int exit_code() const { return exit_code_; }

 private:
  static constexpr std::array<int, 5> kSignals{SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE};
  std::array<struct sigaction, kSignals.size()> before_{};
  std::atomic<bool> over_{false};
  std::atomic<int> exit_code_{-1};
  std::thread thread_;
};

}  // namespace

TEST_CASE("app: shutdown() may be called from any thread at any time, even while run() ends") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  for (int round = 0; round < 20; ++round) {
    App app("talk");
    Running running(app);
    while (!running.over()) app.shutdown();
    app.shutdown();
    CHECK(running.exit_code() == 0);
  }
}

TEST_CASE("app: what goes wrong in a reload by a signal is logged once") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  App app("talk");
  std::atomic<bool> started = false;
  std::atomic<int> reloads = 0;
  app.on_start([&](Ctx&) -> Task<> {
    started = true;
    co_return m3::ok;
  });
  app.on_reload([&](Ctx&) -> Task<> {
    ++reloads;
    co_return Status(Errc::aborted, "not now");
  });
  {
    Running running(app);
    CHECK(m3::testing::eventually([&] { return started.load(); }));
    ::kill(::getpid(), SIGHUP);
    CHECK(m3::testing::eventually([&] { return reloads > 0; }));
    app.shutdown();
    CHECK(m3::testing::eventually([&] { return running.over(); }));
    CHECK(running.exit_code() == 0);
  }
  CHECK(reloads == 1);
  CHECK(sink->count("not now") == 1);
}

TEST_CASE("app: a first shutdown() after run() does nothing") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  App app("talk");
  app.on_start([](Ctx&) -> Task<> { co_return Status(Errc::internal, "no"); });
  Running running(app);
  CHECK(m3::testing::eventually([&] { return running.over(); }));
  app.shutdown();
  CHECK(running.exit_code() == 1);
}

TEST_CASE("app: a shutdown() before run() is not lost") {
  auto sink = std::make_shared<m3::RecordingSink>();
  m3::ScopedLogSink scoped(sink);
  App app("talk");
  bool started = false;
  app.on_start([&](Ctx&) -> Task<> {
    started = true;
    co_return m3::ok;
  });
  app.shutdown();
  Running running(app);
  CHECK(m3::testing::eventually([&] { return running.over(); }));
  CHECK(running.exit_code() == 0);
  CHECK_FALSE(started);
}
