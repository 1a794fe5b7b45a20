// SPDX-License-Identifier: BSL-1.0
// How fast processes find each other, and leave each other alone.
#include <csignal>

#include "../../seed/process.h"
#include "apps/multi/client.h"
#include "consul_fixture.h"
#include "m3/app/app.h"
#include "m3/app/app_config.h"
#include "m3/async/timer.h"

using namespace consul_test;
using multi::Client;

namespace {

std::string config_of(const RealService& consul, const std::string& more) {
  return "cores = 1\n" + more + "[router.consul]\naddresses = [\"" + consul.address().to_string() +
         "\"]\n";
}

/// Calls multi all the time, and remembers who answered when, and what failed.
class Caller {
 public:
  explicit Caller(const RealService& consul) : app_("caller") {
    m3::App::Embedding embedding;
    embedding.config = config_of(consul, "id = \"dev.w.caller.1\"\n");
    const Status started = app_.start(embedding);
    INFO(started.to_string());
    REQUIRE(started.is_ok());
    calling_ = std::thread([this] {
      outcome_ = app_.runtime().block_on(app_.runtime().core(0), [this](Ctx&) { return call(); });
    });
  }
  ~Caller() {
    end_ = true;
    calling_.join();
    CHECK(outcome_.is_ok());
    CHECK(app_.stop().is_ok());
  }
  Clock::time_point last(const std::string& id) const {
    const std::lock_guard lock(mutex_);
    const auto at = last_.find(id);
    return at == last_.end() ? Clock::time_point() : at->second;
  }
  bool answered(const std::string& id) const { return last(id) != Clock::time_point(); }
  int failed() const { return failed_; }
  void forget_failures() { failed_ = 0; }

 private:
  Task<> call() {
    Ctx ctx(app_.runtime().core(0), m3::Deadline::never(), &app_);
    Client client(app_);
    while (!end_) {
      auto answer = co_await as_result(client.hello(ctx, "Ann"));
      if (answer.is_ok()) {
        const std::lock_guard lock(mutex_);
        last_[answer->by] = Clock::now();
      } else {
        ++failed_;
      }
      co_await m3::sleep(ctx, 1ms);
    }
    co_return m3::ok;
  }

  m3::App app_;
  std::atomic<bool> end_{false};
  std::atomic<int> failed_{0};
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Clock::time_point> last_;
  m3::Result<void> outcome_;
  std::thread calling_;
};

long long ms(Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

}  // namespace

TEST_CASE(
    "consul: a started process is called within 1.5 s, one that is told to leave no more after 1 "
    "s") {
  const auto consul = start_consul();
  Caller caller(*consul);
  const seed::TempFile config(config_of(*consul, "listen = \"127.0.0.1:0\"\n"));
  const auto start = [&](const char* id) {
    return std::make_unique<seed::Process>(
        Lines{seed::multi_program(), "-idstr", id, "-conf", config.path()});
  };
  auto begun = Clock::now();
  const auto one = start("dev.w.multi.1");
  REQUIRE(eventually([&] { return caller.answered("dev.w.multi.1"); }));
  const auto first_call = Clock::now() - begun;
  const auto two = start("dev.w.multi.2");
  REQUIRE(eventually([&] { return caller.answered("dev.w.multi.2"); }));
  caller.forget_failures();

  const auto told = Clock::now();
  two->signal(SIGTERM);
  CHECK(two->wait() == 0);
  const auto last_call = std::max(caller.last("dev.w.multi.2") - told, Clock::duration(0));
  CHECK(caller.failed() == 0);  // nobody noticed

  WARN("start to first call: " << ms(first_call) << " ms; TERM to last call: " << ms(last_call)
                               << " ms");
  CHECK(first_call < mark(1500ms));
  CHECK(last_call < mark(1s));
}

TEST_CASE("consul: calls continue while Consul is away, and when it returns without data") {
  const auto consul = start_consul();
  Caller caller(*consul);
  const seed::TempFile config(config_of(*consul, "listen = \"127.0.0.1:0\"\n"));
  const Lines ids{"dev.w.multi.1", "dev.w.multi.2"};
  std::vector<std::unique_ptr<seed::Process>> apps;
  for (const std::string& id : ids)
    apps.push_back(std::make_unique<seed::Process>(
        Lines{seed::multi_program(), "-idstr", id, "-conf", config.path()}));
  const auto both_after = [&](Clock::time_point when) {
    return eventually([&] { return caller.last(ids[0]) > when && caller.last(ids[1]) > when; },
                      std::chrono::milliseconds(2min));
  };
  REQUIRE(both_after(Clock::time_point()));
  caller.forget_failures();
  consul->kill9();
  const auto away = std::getenv("M3_LONG") ? 60s : 4s;  // NOLINT(concurrency-mt-unsafe)
  CHECK(both_after(Clock::now() + away));
  REQUIRE(consul->start_again().is_ok());
  const auto back = Clock::now();
  Api api(consul->address());
  const auto listed = [&] {
    const std::string list = api.get("/v1/health/service/m3-dev-w-multi?passing=1");
    return list.find(ids[0]) != std::string::npos && list.find(ids[1]) != std::string::npos;
  };
  CHECK(eventually(listed));
  const auto took = Clock::now() - back;
  CHECK(both_after(Clock::now() + 1s));  // the callers have heard of the new lists
  CHECK(caller.failed() == 0);
  WARN("all instances back after " << ms(took) << " ms");
  CHECK(took < mark(10s));
}
