// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "m3/async/timer.h"
#include "m3/net/loopback.h"
#include "m3/rpc/node.h"
#include "m3/testing/co_test.h"
#include "rpc_test.m3.h"

namespace rpc_test {

using namespace std::chrono_literals;

/// Answers with its name; waits, fails or grows as the request says.
class EchoHandler final : public EchoService {
 public:
  explicit EchoHandler(std::string name) : name_(std::move(name)) {}

  m3::Task<> echo(m3::Ctx& ctx, const EchoReq& req, EchoRsp& rsp) override {
    ++started;
    if (work) work(ctx);
    if (!refuses.is_ok()) co_return m3::Status(refuses);
    if (req.text() == "throw") throw std::runtime_error("boom");
    if (req.wait_ms()) {
      auto slept = co_await m3::as_result(m3::sleep(ctx, std::chrono::milliseconds(req.wait_ms())));
      if (!slept.is_ok()) {
        last_reason = ctx.reason();
        co_return std::move(slept).status();
      }
    }
    if (req.fail_with())
      co_return m3::Status(m3::errc_from_number(req.fail_with()), "as asked").with_app_code(7);
    rsp.set_text(req.answer_bytes() ? std::string(req.answer_bytes(), 'x') : req.text());
    rsp.set_answered_by(name_);
    rsp.set_caller(std::string(ctx.caller()));
    if (const auto seen = ctx.meta("color"); !seen.empty())
      if (auto set = ctx.set_reply_meta("seen", std::string(seen)); !set.is_ok()) co_return set;
    co_return m3::ok;
  }
  m3::Task<ValueRsp> value(m3::Ctx&, const ValueReq& req) override {
    if (req.text() == "bad") co_return m3::Status(m3::Errc::invalid_argument, "as asked");
    ValueRsp rsp;
    rsp.set_text(req.text());
    co_return rsp;
  }
  m3::Task<HashRsp> by_key(m3::Ctx&, const HashReq&) override {
    HashRsp rsp;
    rsp.set_answered_by(name_);
    co_return rsp;
  }
  m3::Task<ValueRsp> quick(m3::Ctx& ctx, const ValueReq&) override {
    co_await m3::sleep(ctx, 1h);
    co_return ValueRsp();
  }
  m3::Task<Nothing> again(m3::Ctx& ctx, const AgainReq& req) override {
    ++started;
    co_await m3::sleep(ctx, std::chrono::milliseconds(req.wait_ms()));
    co_return Nothing();
  }
  m3::Task<> tell(m3::Ctx& ctx, const Notice& notice) override {
    if (notice.wait_ms()) co_await m3::sleep(ctx, std::chrono::milliseconds(notice.wait_ms()));
    notices.push_back(notice.text());
    co_return m3::ok;
  }

  int started = 0;
  std::function<void(m3::Ctx&)> work;  // what echo() computes before it waits or answers
  m3::Status refuses;                  // every echo
  m3::CancelReason last_reason = m3::CancelReason::none;
  std::vector<std::string> notices;

 private:
  std::string name_;
};

/// Serves only a method that nobody calls.
class OtherHandler final : public OtherService {
 public:
  m3::Task<Nothing> ech(m3::Ctx&, const AbsentReq&) override { co_return Nothing(); }
};

/// Waits under a context of its own.
struct Stuck final : OtherService {
  explicit Stuck(m3::Core& core) : own(core) {}
  m3::Task<Nothing> ech(m3::Ctx& ctx, const AbsentReq&) override {
    (void)co_await m3::as_result(m3::sleep(own, 1h));
    caller = std::string(ctx.caller());
    co_return Nothing();
  }
  m3::Ctx own;
  std::string caller;
};

inline m3::Status refusal(m3::Errc code = m3::Errc::resource_exhausted, bool executed = false) {
  m3::Status out(code, "go away");
  return executed ? std::move(out) : std::move(out).not_executed();
}

inline m3::AppId app_id(const std::string& text) { return *m3::AppId::parse(text); }

/// For resolvers of a test's own.
inline std::shared_ptr<m3::Instance> instance(const char* id, std::uint16_t port,
                                              std::uint32_t slot) {
  auto made = std::make_shared<m3::Instance>();
  made->id = app_id(id);
  made->address.host = "sim";
  made->address.port = port;
  made->slot = slot;
  return made;
}

/// Apps on one simulated core and network: `echo` instances to call and one caller.
struct Net {
  explicit Net(m3::testing::SimRuntime& runtime) : sim(runtime) {}

  struct App {
    App(Net& net, const std::string& text, m3::RpcConfig config)
        : id(app_id(text)),
          handler(text),
          node(net.sim.runtime(), options(net, text, std::move(config)), net.resolver, metrics) {}
    static m3::RpcNode::Options options(Net& net, const std::string& id, m3::RpcConfig config) {
      m3::RpcNode::Options options;
      options.id = app_id(id);
      options.config = std::move(config);
      options.transport = [&net](m3::Core& core) {
        return std::make_unique<m3::LoopbackTransport>(core, net.wire);
      };
      return options;
    }
    const m3::AppId id;
    m3::MetricRegistry metrics;
    EchoHandler handler;
    m3::RpcNode node;
    m3::HostPort address;
  };

  App& add(const std::string& id, bool serves, m3::RpcConfig config = {}) {
    apps.push_back(std::make_unique<App>(*this, id, std::move(config)));
    App& app = *apps.back();
    app.address.host = "sim";
    app.address.port = static_cast<std::uint16_t>(apps.size());
    if (serves) serve(app, app.handler);
    return app;
  }
  App& add(const std::string& id, m3::Service& service, m3::RpcConfig config = {}) {
    App& app = add(id, false, std::move(config));
    serve(app, service);
    return app;
  }
  /// Others find it.
  void serve(App& app, m3::Service& service) {
    CHECK(app.node.serve(service).is_ok());
    CHECK(resolver.add(app.id, app.address).is_ok());
    listen(app);
  }
  void listen(App& app) {
    wire.listen(sim.core(), app.address,
                [&app](std::unique_ptr<m3::Stream> stream) { app.node.accept(std::move(stream)); });
  }
  m3::Task<> stop(m3::Ctx& ctx) {
    for (auto& app : apps) co_await app->node.stop(ctx);
    co_return m3::ok;
  }

  m3::testing::SimRuntime& sim;
  m3::LoopbackNet wire;
  m3::StaticResolver resolver;
  std::vector<std::unique_ptr<App>> apps;
};

inline EchoReq request(const std::string& text) {
  EchoReq req;
  req.set_text(text);
  return req;
}

/// The sum of a counter's series, or of the one that has `label`.
inline double counted(m3::MetricRegistry& metrics, const std::string& name,
                      const std::string& label = "") {
  double sum = 0;
  for (const auto& family : metrics.collect()) {
    if (family.name != name) continue;
    for (const auto& series : family.series)
      for (const auto& [key, value] :
           series.labels.empty() ? m3::MetricLabels{{"", ""}} : series.labels)
        if (label.empty() || value == label) sum += series.value;
  }
  return sum;
}

}  // namespace rpc_test
