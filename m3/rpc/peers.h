// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "m3/async/core.h"
#include "m3/base/app_id.h"
#include "m3/base/host_port.h"

namespace m3 {

namespace rpc_detail {
class Link;
}

inline constexpr std::uint32_t kNoSlot = ~std::uint32_t{0};

/// One app that may be called. Shared by every core; never changes.
struct Instance : std::enable_shared_from_this<Instance> {
  AppId id;  ///< empty: whoever answers at the address (tools)
  HostPort address;
  std::uint64_t generation = 0;  ///< 0 = not known
  std::uint32_t weight = 100;
  /// Small, and another instance's only after this one is gone: an index for callers.
  std::uint32_t slot = 0;
};

/// The instances as the callers of one core know them: how busy, and whether they can be reached.
/// Core-local; owned by the core's Caller.
class Peers {
 public:
  explicit Peers(Core& core) noexcept : core_(core) {}

  Core& core() const noexcept { return core_; }
  /// Calls of this core under way there.
  std::uint32_t in_flight(const Instance& peer) const noexcept {
    return peer.slot < states_.size() ? states_[peer.slot].in_flight : 0;
  }
  /// False: it refused, broke off, fell silent or is leaving (out), or its answers were errors
  /// (ejected). One that is out is dialled again in the background when it is time.
  bool usable(const Instance& peer) noexcept {
    if (peer.slot >= states_.size()) return true;
    const State& state = states_[peer.slot];
    if (!state.out) return state.ejected_until <= core_.now();
    if (state.dial_again <= core_.now()) to_dial_ = &peer;
    return false;
  }
  bool is_out(const Instance& peer) const noexcept {
    return peer.slot < states_.size() && states_[peer.slot].out;
  }
  bool is_ejected(const Instance& peer) const noexcept {
    return peer.slot < states_.size() && states_[peer.slot].ejected_until > core_.now();
  }

  struct State {
    std::uint32_t in_flight = 0;
    std::uint8_t failures = 0;  // in a row
    bool out = false;
    TimePoint dial_again{};
    TimePoint ejected_until{};
    std::shared_ptr<rpc_detail::Link> link;
  };
  State& operator[](std::uint32_t slot) {
    if (slot >= states_.size()) states_.resize(slot + 1);
    return states_[slot];
  }
  /// One that is out and that a pick would have liked.
  const Instance* take_to_dial() noexcept { return std::exchange(to_dial_, nullptr); }
  std::vector<State>& states() noexcept { return states_; }

 private:
  Core& core_;
  std::vector<State> states_;
  const Instance* to_dial_ = nullptr;
};

}  // namespace m3
