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
#include "m3/plugin/router.h"
#include "m3/testing/catch.h"
#include "m3/testing/eventually.h"
#include "m3/testing/plugin_host.h"
#include "m3/testing/require_service.h"
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
using m3::testing::eventually;
using m3::testing::PluginHost;
using m3::testing::RealService;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Lines = std::vector<std::string>;

/// A pass mark in time: three times as long where other work may be in the way.
inline std::chrono::milliseconds mark(std::chrono::milliseconds time) {
  return std::getenv("M3_LONG") ? time : 3 * time;  // NOLINT(concurrency-mt-unsafe)
}

inline std::unique_ptr<RealService> start_consul(RealService::Options options = {}) {
  return m3::testing::require_service(RealService::Kind::consul, std::move(options));
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
  /// Of those that are healthy.
  Lines ids(const std::string& service) const {
    const std::lock_guard lock(mutex_);
    const auto at = last_.find(*ServiceId::parse(service));
    if (at == last_.end()) return {"?"};
    Lines out;
    for (const Member& member : at->second)
      if (member.healthy) out.push_back(member.id.to_string());
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

/// An app's router.
class App : public PluginHost<Router> {
 public:
  /// `lines`: more of [router.consul].
  App(const std::string& id, const Lines& agents, const std::string& lines = "",
      m3::Nanos start_timeout = 20s)
      : PluginHost(section(agents, lines), {id, start_timeout}) {}

  Router& router() { return plugin(); }
  Status announce(Member self, m3::Nanos limit = 20s) {
    return run([&](Ctx& ctx) { return tell(ctx, self, limit); });
  }
  Status withdraw() {
    return run([&](Ctx& ctx) { return router().withdraw(ctx); });
  }
  void watch(const std::string& service, Ear& ear) {
    CHECK(on_core([&] { router().watch(*ServiceId::parse(service), ear); }).is_ok());
  }
  void unwatch(const std::string& service) {
    CHECK(on_core([&] { router().unwatch(*ServiceId::parse(service)); }).is_ok());
  }
  std::vector<Member> members(const std::string& service) {
    const ServiceId of = service.empty() ? ServiceId() : *ServiceId::parse(service);
    auto got = ask([&](Ctx& ctx) { return router().members(ctx, of); });
    INFO(got.status().to_string());
    REQUIRE(got.is_ok());
    return *std::move(got);
  }
  /// Announced with that port.
  Member self(std::uint16_t port) const {
    Member out;
    out.id = id();
    out.generation = static_cast<std::uint64_t>(
        std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
    out.address = {"127.0.0.1", port};
    return out;
  }

 private:
  static std::string section(const Lines& agents, const std::string& lines) {
    std::string list;
    for (const std::string& agent : agents) list += (list.empty() ? "\"" : ", \"") + agent + "\"";
    return "[router.consul]\naddresses = [" + list + "]\n" + lines;
  }
  Task<> tell(Ctx& ctx, Member self, m3::Nanos limit) {
    Ctx soon(ctx, m3::Deadline(ctx.core().now() + limit));
    co_await router().announce(soon, std::move(self));
    co_return m3::ok;
  }
};

inline std::unique_ptr<App> app(const std::string& id, const RealService& consul,
                                const std::string& lines = "") {
  auto made = std::make_unique<App>(id, Lines{consul.address().to_string()}, lines);
  INFO(made->started.to_string());
  REQUIRE(made->started.is_ok());
  return made;
}

}  // namespace consul_test
