// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "m3/async/runtime.h"
#include "m3/mesh/detail/snapshot.h"
#include "m3/mesh/mesh.h"
#include "m3/rpc/node.h"
#include "mesh/listed_router.h"
#include "support/clock.h"

namespace bench {

inline m3::Member listed(int number, std::uint16_t port) {
  m3::Member out;
  out.id = *m3::AppId::parse("bench.world1.echo." + std::to_string(number));
  out.generation = 1;
  out.address.host = "127.0.0.1";
  out.address.port = port;
  out.version = "1.20.3";
  return out;
}

/// A caller with a whole Mesh, whose router lists what it is told to.
class MeshNode {
 public:
  explicit MeshNode(unsigned cores)
      : runtime_(config(cores)),
        mesh_(runtime_, router_, {}, metrics_),
        node_(runtime_, options(), mesh_, metrics_) {
    runtime_.start();
    run(0, [this](m3::Ctx&) { mesh_.start(node_); });
  }
  MeshNode(const MeshNode&) = delete;
  MeshNode& operator=(const MeshNode&) = delete;
  ~MeshNode() {
    (void)runtime_.block_on(runtime_.core(0), [this](m3::Ctx& ctx) -> m3::Task<> {
      co_await mesh_.stop(ctx);
      co_await node_.stop(ctx);
      co_return m3::ok;
    });
    runtime_.stop();
  }

  /// Runs what(Ctx&) on a core, and waits.
  template <class What>
  void run(unsigned core, What what) {
    (void)runtime_.block_on(runtime_.core(core), [&](m3::Ctx& ctx) -> m3::Task<> {
      what(ctx);
      co_return m3::ok;
    });
  }
  m3::Runtime& runtime() { return runtime_; }
  m3::Mesh& mesh() { return mesh_; }
  m3::RpcNode& node() { return node_; }
  ListedRouter& router() { return router_; }
  const m3::ServiceId& service() const { return service_; }

 private:
  static m3::RuntimeConfig config(unsigned cores) {
    m3::RuntimeConfig out;
    out.cores = cores;
    return out;
  }
  static m3::RpcNode::Options options() {
    m3::RpcNode::Options out;
    out.id = *m3::AppId::parse("bench.world1.client.1");
    return out;
  }
  const m3::ServiceId service_ = *m3::ServiceId::parse("bench.world1.echo");
  m3::Runtime runtime_;
  ListedRouter router_;
  m3::MetricRegistry metrics_;
  m3::Mesh mesh_;
  m3::RpcNode node_;
};

}  // namespace bench
