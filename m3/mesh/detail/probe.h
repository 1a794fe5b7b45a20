// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/mesh/detail/membership.h"
#include "m3/rpc/self_report.h"

namespace m3 {
class RpcNode;
}

namespace m3::mesh_detail {

/// Probes instances at their addresses. Core 0; owned by Watches.
class Probe {
 public:
  /// `timeout`: of one probe.
  Probe(Nanos timeout, std::shared_ptr<SlotPool> slots)
      : timeout_(timeout), slots_(std::move(slots)) {}

  /// Probes use the node's connections; the node must outlive all probes.
  void start(RpcNode& node) { node_ = &node; }

  /// Silent: there is no answer, or one from another start of the id, or it is leaving.
  Task<Membership::Answer> ask(Ctx& ctx, std::shared_ptr<const Instance> instance);
  /// As Mesh's.
  Task<SelfReport> report_from(Ctx& ctx, Member member);

 private:
  const Nanos timeout_;
  std::shared_ptr<SlotPool> slots_;
  RpcNode* node_ = nullptr;
};

}  // namespace m3::mesh_detail
