// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "m3/app/app.h"
#include "m3/net/loopback.h"
#include "m3/plugin/shared_parts.h"
#include "m3/rpc/node.h"
#include "m3/testing/sim.h"

namespace m3::testing {

/// Whole apps on virtual time: they run on the cores of a SimRuntime, find each other as apps of
/// one process do, and send their bytes over a simulated network. Nothing sleeps, no port is
/// opened. Outlives the apps; all on the thread of the SimRuntime.
///
///   CO_TEST("shop: greets") {
///     m3::testing::SimNet net(sim);
///     m3::App app("shop");
///     app.serve<Shop>();
///     co_await app.start(ctx, net.embedding("dev.world1.shop.1", "listen = \"shop:1\"\n"));
///     // … call it
///     co_await app.stop(ctx);
///   }
class SimNet {
 public:
  explicit SimNet(SimRuntime& sim, LoopbackNet::Options options = {}) : sim_(sim), wire_(options) {}
  SimNet(const SimNet&) = delete;
  SimNet& operator=(const SimNet&) = delete;

  /// What starts an app here. `id`: empty when the configuration has it. `config`: TOML, as in the
  /// app's file; any address will do for `listen`, and without one nobody can call the app.
  App::Embedding embedding(const std::string& id, std::string config = "") {
    App::Embedding out;
    if (!id.empty()) out.id = *AppId::parse(id);
    out.config = std::move(config);
    out.runtime = &sim_.runtime();
    out.shared = shared_;
    out.transport = [this](Core& core) { return std::make_unique<LoopbackTransport>(core, wire_); };
    out.listen = [this](RpcNode& node, const HostPort& address) -> Status {
      listening_[address.to_string()] = &node;
      wire_.listen(sim_.core(), address,
                   [&node](std::unique_ptr<Stream> stream) { node.accept(std::move(stream)); });
      return ok;
    };
    out.unlisten = [this](RpcNode& node, const HostPort& address) {
      const auto found = listening_.find(address.to_string());
      if (found == listening_.end() || found->second != &node) return;  // another start listens now
      listening_.erase(found);
      wire_.unlisten(address);
    };
    return out;
  }

  /// Its latency, cuts and silence.
  LoopbackNet& wire() noexcept { return wire_; }
  SimRuntime& sim() noexcept { return sim_; }

 private:
  SimRuntime& sim_;
  LoopbackNet wire_;
  std::map<std::string, RpcNode*> listening_;
  std::shared_ptr<SharedParts> shared_ = std::make_shared<SharedParts>();
};

}  // namespace m3::testing
