// SPDX-License-Identifier: BSL-1.0
#pragma once

// Apps with a broker, what they hear, and the servers that carry it.
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "m3/plugin/broker.h"
#include "m3/testing/catch.h"
#include "m3/testing/chaos_proxy.h"
#include "m3/testing/eventually.h"
#include "m3/testing/plugin_host.h"
#include "m3/testing/real_service.h"

namespace broker_test {

using m3::Broker;
using m3::Ctx;
using m3::Errc;
using m3::Status;
using m3::testing::ChaosProxy;
using m3::testing::eventually;
using m3::testing::PluginHost;
using m3::testing::RealService;
using namespace std::chrono_literals;

using Lines = std::vector<std::string>;

/// An app's broker.
class App : public PluginHost<Broker> {
 public:
  App(const std::string& config, std::shared_ptr<m3::SharedParts> shared,
      m3::Nanos start_timeout = 10s)
      : PluginHost(config, {"dev.w.test.1", start_timeout, std::move(shared)}) {}
  Broker& broker() { return plugin(); }
  Status publish(const std::string& topic, const std::string& payload) {
    return on_core([&] { return broker().publish(topic, payload, 1); });
  }
  Status subscribe(const std::string& topic, Broker::Subscriber& subscriber) {
    return run([&](Ctx& ctx) { return broker().subscribe(ctx, topic, subscriber); });
  }
  void unsubscribe(const std::string& topic, Broker::Subscriber& subscriber) {
    CHECK(on_core([&] { broker().unsubscribe(topic, subscriber); }).is_ok());
  }
};

/// Told on a core, read by the test.
class Ear final : public Broker::Subscriber {
 public:
  void on_message(std::string_view topic, std::string_view payload) override {
    const std::lock_guard lock(mutex_);
    heard_.push_back(std::string(topic) + ": " + std::string(payload));
  }
  void on_resubscribed(std::string_view) override {
    const std::lock_guard lock(mutex_);
    ++again_;
  }
  Lines heard() const {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  int again() const {
    const std::lock_guard lock(mutex_);
    return again_;
  }

 private:
  mutable std::mutex mutex_;
  Lines heard_;
  int again_ = 0;
};

/// One kind of broker, with its server.
struct Kind {
  std::string name;
  std::unique_ptr<RealService> server;  // null: none is needed
  std::shared_ptr<m3::SharedParts> shared = std::make_shared<m3::SharedParts>();
  std::string config(const std::string& more = "", const m3::HostPort& through = {}) const {
    if (!server) return "[broker.local]\n" + more;
    const m3::HostPort& at = through.port ? through : server->address();
    const std::string address = "\"" + at.to_string() + "\"\n";
    return name == "redis" ? "[broker.redis]\naddress = " + address + more
                           : "[broker.nats]\nservers = [" + address + "]\n" + more;
  }
  std::unique_ptr<App> app(const std::string& more = "") const {
    auto made = std::make_unique<App>(config(more), shared);
    INFO(made->started.to_string());
    REQUIRE(made->started.is_ok());
    return made;
  }
};

inline Kind make(const std::string& name, RealService::Options options = {}, bool started = true) {
  Kind out;
  out.name = name;
  if (name == "local") return out;
  const auto kind = name == "redis" ? RealService::Kind::redis : RealService::Kind::nats;
  auto made = started ? RealService::start(kind, std::move(options))
                      : RealService::prepare(kind, std::move(options));
  INFO(made.status().to_string());
  REQUIRE(made.is_ok());
  out.server = *std::move(made);
  return out;
}

/// Those that can run here.
inline Lines kinds(bool with_local) {
  Lines out;
  if (with_local) out.emplace_back("local");
  for (const auto& [name, kind] :
       {std::pair{"redis", RealService::Kind::redis}, std::pair{"nats", RealService::Kind::nats}}) {
    if (RealService::installed(kind))
      out.emplace_back(name);
    else
      WARN("skipped for " << name << ": " << RealService::how_to_install(kind));
  }
  return out;
}

}  // namespace broker_test
