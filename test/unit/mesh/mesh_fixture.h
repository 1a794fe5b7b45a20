// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "m3/async/scope.h"
#include "m3/async/timer.h"
#include "m3/mesh/detail/snapshot.h"
#include "m3/mesh/mesh.h"
#include "m3/net/loopback.h"
#include "m3/plugin/router.h"
#include "m3/rpc/node.h"
#include "m3/testing/co_test.h"
#include "mesh_test.m3.h"

namespace mesh_test {

using namespace std::chrono_literals;

inline const m3::ServiceId kRole = *m3::ServiceId::parse("dev.w.role");
inline m3::AppId app_id(int ins) { return *m3::AppId::parse("dev.w.role." + std::to_string(ins)); }

/// Each generation of an instance has an address of its own.
inline m3::Member member(int ins, std::uint64_t generation = 1) {
  m3::Member out;
  out.id = app_id(ins);
  out.generation = generation;
  out.address = {"role" + std::to_string(ins) + "-" + std::to_string(generation), 1};
  return out;
}

inline std::string id_of(const m3::Instance* instance) {
  return instance ? instance->id.to_string() : "nobody";
}

/// Says what the test says.
class ScriptedRouter final : public m3::Router {
 public:
  bool reaches_other_processes() const override { return true; }
  m3::Task<> announce(m3::Ctx&, m3::Member) override { co_return m3::ok; }
  m3::Task<> withdraw(m3::Ctx&) override { co_return m3::ok; }
  void watch(const m3::ServiceId& service, Watcher& watcher) override {
    watchers_[service.to_string()] = &watcher;
    ++begun;
  }
  void unwatch(const m3::ServiceId& service) override { watchers_.erase(service.to_string()); }
  m3::Task<std::vector<m3::Member>> members(m3::Ctx&, m3::ServiceId) override {
    co_return std::vector<m3::Member>();
  }

  std::size_t watched() const { return watchers_.size(); }
  bool is_watched(const m3::ServiceId& service) const {
    return watchers_.contains(service.to_string());
  }
  void tell(const m3::ServiceId& service, std::vector<m3::Member> members) {
    if (is_watched(service))
      watchers_[service.to_string()]->on_members(service, std::move(members));
  }
  void lose(const m3::ServiceId& service) {
    if (is_watched(service))
      watchers_[service.to_string()]->on_unreachable(
          service, m3::Status(m3::Errc::unavailable, "the registry is away"));
  }
  /// Of each that is watched, but for `except`: nobody is there.
  void tell_nobody(const m3::ServiceId& except) {
    for (const auto& [service, watcher] : std::map(watchers_))
      if (service != except.to_string()) watcher->on_members(*m3::ServiceId::parse(service), {});
  }

  int begun = 0;  // watches

 private:
  std::map<std::string, Watcher*> watchers_;
};

/// The way to each address, so that one can be cut or frozen alone.
class Wires {
 public:
  explicit Wires(m3::LoopbackNet::Options options = {}) : options_(options) {}
  m3::LoopbackNet& to(const m3::HostPort& address) {
    return nets_.try_emplace(address.host, options_).first->second;
  }
  std::unique_ptr<m3::Transport> transport(m3::Core& core) {
    struct Choosing final : m3::Transport {
      Choosing(m3::Core& from, Wires& all) : core(from), wires(all) {}
      m3::Task<std::unique_ptr<m3::Stream>> connect(m3::Ctx& ctx, m3::HostPort address) override {
        ++wires.dials;
        m3::LoopbackTransport through(core, wires.to(address));
        co_return co_await through.connect(ctx, std::move(address));
      }
      m3::Core& core;
      Wires& wires;
    };
    return std::make_unique<Choosing>(core, *this);
  }

  int dials = 0;

 private:
  const m3::LoopbackNet::Options options_;
  std::map<std::string, m3::LoopbackNet> nets_;
};

/// One instance: answers with who it is.
class Server final : public RoleService {
 public:
  Server(m3::testing::SimRuntime& sim, Wires& wires, const m3::Member& self)
      : self_(self),
        wires_(wires),
        resolver_(),
        node_(sim.runtime(), options(), resolver_, metrics_) {
    CHECK(node_.serve(*this).is_ok());
    wires.to(self.address).listen(sim.core(), self.address, [this](auto stream) {
      node_.accept(std::move(stream));
    });
  }
  m3::Task<WhoRsp> who(m3::Ctx& ctx, const WhoReq&) override {
    ++asked;
    if (refuses_with != m3::Errc::ok) co_return m3::Status(refuses_with, "as told").not_executed();
    if (hangs) co_await m3::sleep(ctx, std::chrono::hours(1));
    if (fails_with != m3::Errc::ok) co_return m3::Status(fails_with, "as told");
    WhoRsp rsp;
    rsp.set_id(self_.id.to_string());
    rsp.set_generation(self_.generation);
    co_return rsp;
  }
  /// As a process that dies: connections are reset, nobody listens.
  m3::Task<> die(m3::Ctx& ctx) {
    m3::LoopbackNet& net = wires_.to(self_.address);
    net.freeze(false);
    net.unlisten(self_.address);
    net.cut_all();
    co_await node_.stop(ctx);
    co_return m3::ok;
  }
  m3::RpcNode& node() { return node_; }
  const m3::Member& self() const { return self_; }

  m3::Errc fails_with = m3::Errc::ok;
  m3::Errc refuses_with = m3::Errc::ok;
  int asked = 0;
  bool hangs = false;

 private:
  m3::RpcNode::Options options() const {
    m3::RpcNode::Options out;
    out.id = self_.id;
    out.generation = self_.generation;
    return out;
  }
  const m3::Member self_;
  Wires& wires_;
  m3::StaticResolver resolver_;
  m3::MetricRegistry metrics_;
  m3::RpcNode node_;
};

/// One caller with a mesh over a scripted router.
class Caller {
 public:
  Caller(m3::testing::SimRuntime& sim, Wires& wires, m3::MeshConfig config = {})
      : mesh_(sim.runtime(), router, config, metrics_),
        node_(sim.runtime(), options(wires), mesh_, metrics_) {
    mesh_.start(node_);
  }
  m3::Task<> stop(m3::Ctx& ctx) {
    co_await mesh_.stop(ctx);
    co_await node_.stop(ctx);
    co_return m3::ok;
  }
  m3::Mesh& mesh() { return mesh_; }
  m3::RpcNode& node() { return node_; }
  m3::MetricRegistry& metrics() { return metrics_; }
  /// Who answers, or why nobody does.
  m3::Task<std::string> ask(m3::Ctx& ctx, m3::Route route, std::string key = "") {
    RoleClient client(node_);
    WhoReq req;
    req.set_key(key);
    auto answer = co_await as_result(client.who(ctx, req, std::move(route)));
    co_return answer.is_ok() ? answer->id() : answer.status().to_string();
  }

  ScriptedRouter router;

 private:
  static m3::RpcNode::Options options(Wires& wires) {
    m3::RpcNode::Options out;
    out.id = *m3::AppId::parse("dev.w.caller.1");
    out.transport = [&wires](m3::Core& core) { return wires.transport(core); };
    return out;
  }
  m3::MetricRegistry metrics_;
  m3::Mesh mesh_;
  m3::RpcNode node_;
};

}  // namespace mesh_test
