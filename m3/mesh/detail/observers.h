// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "m3/async/bound.h"
#include "m3/async/core.h"
#include "m3/async/countdown.h"
#include "m3/mesh/member_events.h"

namespace m3::mesh_detail {

struct Observer {
  MemberObserver tell;
  std::uint64_t number = 0;  ///< grows; what the roster is asked for on its behalf carries it
  bool greeted = false;      ///< it was told which instances were there when it was added
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};
using MemberEvents = std::vector<MemberEvent>;

/// Delivers events to observers, in order, from the ready queue of core 0: never inside other work
/// of the mesh. Owned by Watches.
class Observers {
 public:
  explicit Observers(Core& core) : core_(core) {}
  Observers(const Observers&) = delete;
  Observers& operator=(const Observers&) = delete;

  void deliver(std::shared_ptr<Observer> to, std::shared_ptr<const MemberEvents> events);
  /// Returns when nothing is delivered any more.
  Task<> stop(Ctx& ctx);

 private:
  void run();

  Core& core_;
  std::deque<std::pair<std::shared_ptr<Observer>, std::shared_ptr<const MemberEvents>>> waiting_;
  Countdown armed_;  // 1 while the core's queue knows turn_
  async_detail::Bound<async_detail::Runnable, &Observers::run> turn_{*this};
};

}  // namespace m3::mesh_detail
