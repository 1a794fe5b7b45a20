// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "m3/async/runtime.h"
#include "m3/config/document.h"
#include "m3/plugin/builtin.h"
#include "m3/plugin/registry.h"
#include "m3/plugin/router.h"
#include "m3/testing/catch.h"
#include "m3/testing/real_service.h"
#include "plugins/client/consul/consul_client.h"

namespace consul_test {

using m3::Ctx;
using m3::Errc;
using m3::Member;
using m3::MemberState;
using m3::Router;
using m3::ServiceId;
using m3::Status;
using m3::Task;
using m3::testing::RealService;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Lines = std::vector<std::string>;

inline bool soon(const std::function<bool()>& done, std::chrono::milliseconds limit = 40s) {
  const auto until = Clock::now() + limit;
  while (Clock::now() < until) {
    if (done()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return done();
}

/// A pass mark in time: three times as long where other work may be in the way.
inline std::chrono::milliseconds mark(std::chrono::milliseconds time) {
  return std::getenv("M3_LONG") ? time : 3 * time;  // NOLINT(concurrency-mt-unsafe)
}

inline std::unique_ptr<RealService> start_consul(RealService::Options options = {}) {
  INFO(RealService::how_to_install(RealService::Kind::consul));
  REQUIRE(RealService::installed(RealService::Kind::consul));
  auto started = RealService::start(RealService::Kind::consul, std::move(options));
  INFO(started.status().to_string());
  REQUIRE(started.is_ok());
  return *std::move(started);
}

inline m3::RuntimeConfig one_core() {
  m3::RuntimeConfig config;
  config.cores = 1;
  config.blocking_threads = 1;
  return config;
}

/// Consul's API for the test's own questions.
class Api {
 public:
  explicit Api(m3::HostPort agent, std::string token = "", m3::ConsulOptions options = {})
      : runtime_(one_core()),
        client_(runtime_.core(0), "test",
                with(std::move(options), std::move(agent), std::move(token))) {
    runtime_.start();
  }
  ~Api() { runtime_.stop(); }

  m3::Result<m3::ConsulResponse> send(m3::ConsulRequest request) {
    return runtime_.block_on(runtime_.core(0),
                             [&](Ctx& ctx) { return client_.send(ctx, std::move(request)); });
  }
  std::string get(const std::string& path) {
    auto answer = send({"GET", path});
    INFO(answer.status().to_string());
    REQUIRE(answer.is_ok());
    return answer->body;
  }
  void put(const std::string& path, const std::string& body = "") {
    auto answer = send({"PUT", path, body});
    INFO(answer.status().to_string());
    REQUIRE(answer.is_ok());
  }
  std::size_t connections() { return client_.connections(); }

 private:
  static m3::ConsulOptions with(m3::ConsulOptions options, m3::HostPort agent, std::string token) {
    options.agents.insert(options.agents.begin(), std::move(agent));
    options.token = std::move(token);
    return options;
  }
  m3::Runtime runtime_;
  m3::ConsulClient client_;
};

/// Told on a core, read by the test. Several services may share one.
class Ear final : public Router::Watcher {
 public:
  void on_members(const ServiceId& service, std::vector<Member> members) override {
    const std::lock_guard lock(mutex_);
    last_[service] = std::move(members);
    ++lists_;
  }
  void on_unreachable(const ServiceId&, const Status& why) override {
    const std::lock_guard lock(mutex_);
    why_ = why;
    ++unreachable_;
  }
  /// The ids of the last list; {"?"} before the first.
  Lines ids(const std::string& service) const {
    const std::lock_guard lock(mutex_);
    const auto at = last_.find(*ServiceId::parse(service));
    if (at == last_.end()) return {"?"};
    Lines out;
    for (const Member& member : at->second) out.push_back(member.id.to_string());
    std::sort(out.begin(), out.end());
    return out;
  }
  std::vector<Member> members(const std::string& service) const {
    const std::lock_guard lock(mutex_);
    const auto at = last_.find(*ServiceId::parse(service));
    return at == last_.end() ? std::vector<Member>() : at->second;
  }
  std::size_t services() const {
    const std::lock_guard lock(mutex_);
    return last_.size();
  }
  int lists() const {
    const std::lock_guard lock(mutex_);
    return lists_;
  }
  int unreachable() const {
    const std::lock_guard lock(mutex_);
    return unreachable_;
  }
  Status why() const {
    const std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<ServiceId, std::vector<Member>> last_;
  int lists_ = 0;
  int unreachable_ = 0;
  Status why_;
};

/// One app's router, on a core of its own.
class App {
 public:
  /// `lines`: more of [router.consul].
  App(const std::string& id, const Lines& agents, const std::string& lines = "",
      std::chrono::milliseconds start_timeout = 20s)
      : id_(*m3::AppId::parse(id)),
        runtime_(one_core()),
        env_(id_, runtime_, metrics_, std::make_shared<m3::SharedParts>(),
             [](std::string_view) -> m3::Plugin* { return nullptr; }) {
    std::string list;
    for (const std::string& agent : agents) list += (list.empty() ? "\"" : ", \"") + agent + "\"";
    m3::Registry registry;
    m3::add_builtin(registry);
    m3::ErrorList errors;
    auto choices =
        registry.choose(m3::Document::parse("[router.consul]\naddresses = [" + list + "]\n" + lines,
                                            "test.toml", errors),
                        errors);
    INFO(errors.to_string());
    REQUIRE(errors.empty());
    for (auto& choice : choices)
      if (choice.type->kind == Router::kKind) plugin_ = choice.type->make(env_, choice.config);
    REQUIRE(plugin_);
    runtime_.start();
    started = run([&](Ctx& ctx) { return begin(ctx, start_timeout); });
  }
  ~App() {
    if (started) (void)run([&](Ctx& ctx) { return plugin_->stop(ctx); });
    runtime_.stop();
  }

  Router& router() { return static_cast<Router&>(*plugin_); }
  template <class Body>
  Status run(Body body) {
    return runtime_.block_on(runtime_.core(0), body).status();
  }
  Status announce(Member self, std::chrono::milliseconds limit = 20s) {
    return run([&](Ctx& ctx) { return tell(ctx, self, limit); });
  }
  Status withdraw() {
    return run([&](Ctx& ctx) { return router().withdraw(ctx); });
  }
  void watch(const std::string& service, Ear& ear) {
    (void)run([&](Ctx&) { return begin_watch(*ServiceId::parse(service), ear); });
  }
  void unwatch(const std::string& service) {
    (void)run([&](Ctx&) { return end_watch(*ServiceId::parse(service)); });
  }
  std::vector<Member> members(const std::string& service) {
    const ServiceId id = service.empty() ? ServiceId() : *ServiceId::parse(service);
    auto got =
        runtime_.block_on(runtime_.core(0), [&](Ctx& ctx) { return router().members(ctx, id); });
    INFO(got.status().to_string());
    REQUIRE(got.is_ok());
    return *std::move(got);
  }
  /// Announced with that port.
  Member self(std::uint16_t port) const {
    Member out;
    out.id = id_;
    out.generation = static_cast<std::uint64_t>(
        std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
    out.address = {"127.0.0.1", port};
    return out;
  }

  Status started;

 private:
  Task<> begin(Ctx& ctx, m3::Nanos limit) {
    Ctx soon(ctx, m3::Deadline(ctx.core().now() + limit));
    Task<> starting = plugin_->start(soon);
    co_await std::move(starting);
    co_return m3::ok;
  }
  Task<> tell(Ctx& ctx, Member self, m3::Nanos limit) {
    Ctx soon(ctx, m3::Deadline(ctx.core().now() + limit));
    Task<> telling = router().announce(soon, std::move(self));
    co_await std::move(telling);
    co_return m3::ok;
  }
  Task<> begin_watch(ServiceId service, Ear& ear) {
    router().watch(service, ear);
    co_return m3::ok;
  }
  Task<> end_watch(ServiceId service) {
    router().unwatch(service);
    co_return m3::ok;
  }

  const m3::AppId id_;
  m3::MetricRegistry metrics_;
  m3::Runtime runtime_;
  m3::Env env_;
  std::unique_ptr<m3::Plugin> plugin_;
};

inline std::unique_ptr<App> app(const std::string& id, const RealService& consul,
                                const std::string& lines = "") {
  auto made = std::make_unique<App>(id, Lines{consul.address().to_string()}, lines);
  INFO(made->started.to_string());
  REQUIRE(made->started.is_ok());
  return made;
}

}  // namespace consul_test
