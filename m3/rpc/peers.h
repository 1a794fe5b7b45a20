// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "m3/async/core.h"
#include "m3/base/instance.h"
#include "m3/base/status.h"

namespace m3 {

struct MethodInfo;
struct RpcConfig;

namespace rpc_detail {
class Link;
}

/// The instances as seen by the callers of one core: how busy they are, and whether they are
/// trusted with calls. Core-local; owned by the core's Caller.
///
/// An instance that cannot be reached, or whose connections break, is `out`; one whose answers are
/// errors or refusals is `ejected`. Both get no calls while another instance is left. After a pause
/// (longer each time, until it stays healthy) it is `on_trial`: it gets one call, then two at a
/// time, and so on, until enough of them were answered. An instance that fails meanwhile is left
/// out again.
class Peers {
 public:
  enum class Standing : std::uint8_t { trusted, on_trial, ejected, out };

  /// What the outcome of a call says about the instance it was sent to.
  enum class Answer : std::uint8_t {
    good,       ///< it works, whatever the application's answer
    error,      ///< a fault, whether or not the call ran
    refusal,    ///< the instance did not run the call and will not run the next one either
    complaint,  ///< an application error that is the instance's fault if no other instance returns
                ///< it
    neutral,    ///< such an error of a call whose instance was not chosen by chance
  };
  /// How the instance was chosen: by name (P2P, Actor), by the request's key or the order of ids
  /// (Hash, Single), or by chance (Random).
  enum class By : std::uint8_t { name, key, chance };
  static Answer answer_of(const Status& outcome, By by) noexcept;

  struct State {
    std::uint32_t in_flight = 0;
    Standing standing = Standing::trusted;
    std::uint8_t errors = 0;      // a score: two more for each error, one less for each good answer
    std::uint8_t complaints = 0;  // a score, too
    std::uint8_t falls = 0;       // how often it has lost trust, without a quiet time in between
    std::uint8_t trials = 0;      // calls in flight that decide its trial
    std::uint8_t passed = 0;      // good answers of this trial
    bool here = false;            // the app itself: no connection is needed
    bool wanted = false;          // a pick would have taken it if there were a connection
    TimePoint at{};  // out, ejected: until then; on trial: the last trial call; trusted: since then
    std::shared_ptr<rpc_detail::Link> link;

    bool is_clean() const noexcept {
      return standing == Standing::trusted && errors == 0 && complaints == 0;
    }
  };

  explicit Peers(Core& core) noexcept : core_(core) {}

  Core& core() const noexcept { return core_; }
  /// Calls of this core in flight there.
  std::uint32_t in_flight(const Instance& peer) const noexcept {
    return peer.slot < states_.size() ? states_[peer.slot].in_flight : 0;
  }
  /// Whether it may get one more call. One that is out is dialled again in the background when it
  /// is time.
  bool usable(const Instance& peer) noexcept {
    if (peer.slot >= states_.size()) return true;
    const State& state = states_[peer.slot];
    return state.standing == Standing::trusted || usable_now(peer, state);
  }
  /// Whether a call can be sent there at once.
  bool connected(const Instance& peer) const noexcept;
  /// A random pick chose it, but it has no connection yet: one is made in the background.
  void want(const Instance& peer);
  /// False only when there is a connection to it whose hello does not list the method.
  bool may_serve(const Instance& peer, const MethodInfo& method) const noexcept;
  Standing standing(const Instance& peer) const noexcept {
    return peer.slot < states_.size() ? states_[peer.slot].standing : Standing::trusted;
  }
  bool is_out(const Instance& peer) const noexcept { return standing(peer) == Standing::out; }
  /// Whether at least half of `all` would still be trusted without this one.
  bool half_stay_without(const Instance& one, std::span<const Instance* const> all) const noexcept;
  /// Whether the others of `all` answer without complaints.
  bool only_one_complains(const Instance& one, std::span<const Instance* const> all) const noexcept;

  State& operator[](std::uint32_t slot) {
    if (slot >= states_.size()) states_.resize(slot + 1);
    return states_[slot];
  }
  /// An instance without a connection, or that is out, and that a pick would have preferred.
  const Instance* take_to_dial() noexcept { return std::exchange(to_dial_, nullptr); }
  /// It is no longer listed.
  void not_to_dial(const Instance& gone) noexcept {
    if (to_dial_ == &gone) to_dial_ = nullptr;
  }
  std::vector<State>& states() noexcept { return states_; }

  // ---- what the callers of this core report

  /// True: the call counts as one that decides the trial; end_trial() follows.
  bool begin_trial(State& state) noexcept;
  void end_trial(State& state) noexcept {
    if (state.trials) --state.trials;
  }
  /// A call to it has ended. True: eject it, if the caller finds that it may be.
  bool answered(State& state, Answer answer, bool trial, const RpcConfig& config) noexcept;
  /// The notifies sent to it did no harm: it answered a ping afterwards.
  void lived(State& state) noexcept;
  /// Returns the pause: at least `at_least`, as far as the configuration allows.
  Nanos eject(State& state, Answer why, const RpcConfig& config, Nanos at_least);
  /// A connection to it broke. Returns when it may be dialled again: now, the first time.
  Nanos broke(State& state, const RpcConfig& config);
  /// It reported that it is leaving.
  Nanos drained(State& state, const RpcConfig& config);
  /// It cannot be reached; it is dialled again after `pause`.
  void unreachable(State& state, Nanos pause);
  /// There is a connection to it again.
  void reached(State& state) noexcept;

 private:
  bool usable_now(const Instance& peer, const State& state) noexcept;
  void fall(State& state, const RpcConfig& config);
  void trust(State& state) noexcept;
  Nanos jittered(Nanos ceiling);

  Core& core_;
  std::vector<State> states_;
  const Instance* to_dial_ = nullptr;
};

/// The requirements of one call, for picking an instance.
struct Choice {
  Peers& peers;
  std::uint32_t avoid = kNoSlot;       ///< tried before
  const MethodInfo* method = nullptr;  ///< set: skip instances that are known not to serve it

  bool takes(const Instance& one) const noexcept {
    return one.slot != avoid && peers.usable(one) && (!method || peers.may_serve(one, *method));
  }
  /// If no instance can take the call, the highest grade is the least bad. kTakes: this one can.
  unsigned grade(const Instance& one) const noexcept;
  /// The less busy of two random ones. Null: neither can take the call.
  const Instance* better_of(const Instance& a, const Instance& b) const noexcept;
  static constexpr unsigned kTakes = 4;
  /// The first of the highest grade.
  const Instance* first_of(std::span<const Instance* const> all) const noexcept;
  /// The least busy of the highest grade, starting at position `from` and wrapping around.
  const Instance* calmest_of(std::span<const Instance* const> all, std::size_t from) const noexcept;
};

}  // namespace m3
