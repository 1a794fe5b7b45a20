// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/peers.h"

#include <algorithm>

#include "m3/rpc/detail/client_connection.h"
#include "m3/rpc/rpc_config.h"

namespace m3 {
namespace {

using Standing = Peers::Standing;
using std::chrono::milliseconds;

/// This many good answers end a trial.
constexpr std::uint8_t kTrustAfter = 10;
/// A trial call that takes longer does not keep the next one waiting.
constexpr Nanos kTrialPatience = std::chrono::seconds(2);
constexpr Nanos kFirstEjection = std::chrono::seconds(1);
constexpr Nanos kFirstRedial = milliseconds(200);
/// An instance that is leaving still answers; it is dialled again in case it stays after all.
constexpr Nanos kFirstLookAgain = std::chrono::seconds(1);
constexpr Nanos kLastLookAgain = std::chrono::seconds(2);

/// Complaints: one more for each, four less for each good answer, so that an instance reaches the
/// limit only when more than four of five answers are complaints.
constexpr std::uint8_t kComplaintsToEject = 20;
constexpr std::uint8_t kComplaintsForgiven = 4;
/// The others have fewer, or all of them have the same trouble.
constexpr std::uint8_t kComplaintsOfOthers = 4;

constexpr std::uint8_t kMostFalls = 20;

std::uint8_t less(std::uint8_t score, std::uint8_t by) noexcept {
  return score > by ? static_cast<std::uint8_t>(score - by) : std::uint8_t{0};
}

Nanos doubled(Nanos first, unsigned times, Nanos most) {
  for (; times > 0 && first < most; --times) first *= 2;
  return std::min(first, most);
}

}  // namespace

Peers::Answer Peers::answer_of(const Status& outcome, By by) noexcept {
  switch (outcome.code()) {
    case Errc::unavailable:
      return outcome.maybe_executed() ? Answer::error : Answer::refusal;
    case Errc::moved:
      // A named instance may rightly return such an error for an entity; a chosen one can be
      // replaced.
      if (by == By::name) return Answer::good;
      [[fallthrough]];
    case Errc::resource_exhausted:
    case Errc::unimplemented:
    case Errc::unauthenticated:
      if (!outcome.maybe_executed()) return Answer::refusal;
      return by == By::chance ? Answer::complaint : Answer::neutral;
    case Errc::deadline_exceeded:
    case Errc::internal:
    case Errc::data_loss:
    case Errc::unknown:
      return Answer::error;
    default:
      return Answer::good;
  }
}

bool Peers::may_serve(const Instance& peer, const MethodInfo& method) const noexcept {
  if (peer.slot >= states_.size() || !states_[peer.slot].link) return true;
  auto* connection = states_[peer.slot].link->ready();
  return !connection || connection->serves(method) == rpc_detail::Serves::yes;
}

bool Peers::connected(const Instance& peer) const noexcept {
  if (peer.slot >= states_.size()) return false;
  const State& state = states_[peer.slot];
  return state.here || (state.link && state.link->ready());
}

void Peers::want(const Instance& peer) {
  (*this)[peer.slot].wanted = true;
  to_dial_ = &peer;
}

bool Peers::half_stay_without(const Instance& one,
                              std::span<const Instance* const> all) const noexcept {
  std::size_t missing = 1;
  for (const Instance* other : all)
    if (other != &one && standing(*other) != Standing::trusted) ++missing;
  return missing * 2 <= all.size();
}

bool Peers::only_one_complains(const Instance& one,
                               std::span<const Instance* const> all) const noexcept {
  for (const Instance* other : all)
    if (other != &one && other->slot < states_.size() &&
        states_[other->slot].complaints >= kComplaintsOfOthers)
      return false;
  return true;
}

bool Peers::usable_now(const Instance& peer, const State& state) noexcept {
  switch (state.standing) {
    case Standing::out:
      if (state.at <= core_.now()) to_dial_ = &peer;
      return false;
    case Standing::ejected:
      return state.at <= core_.now();
    case Standing::on_trial:
      return state.trials <= state.passed || state.at + kTrialPatience <= core_.now();
    default:
      return true;
  }
}

bool Peers::begin_trial(State& state) noexcept {
  const TimePoint now = core_.now();
  if (state.standing == Standing::ejected && state.at <= now) {
    state.standing = Standing::on_trial;
    state.errors = state.trials = state.passed = 0;
  }
  if (state.standing != Standing::on_trial || state.trials == UINT8_MAX) return false;
  if (state.trials > state.passed && state.at + kTrialPatience > now) return false;
  ++state.trials;
  state.at = now;
  return true;
}

void Peers::trust(State& state) noexcept {
  state.standing = Standing::trusted;
  state.errors = state.complaints = 0;
  state.at = core_.now();
}

bool Peers::answered(State& state, Answer answer, bool trial, const RpcConfig& config) noexcept {
  // Calls from before the change tell nothing new.
  if (state.standing == Standing::out || state.standing == Standing::ejected) return false;
  const auto limit = static_cast<std::uint8_t>(std::clamp(config.eject_after, 1u, 100u) * 2);
  const bool bad = answer == Answer::error || answer == Answer::refusal;
  if (bad) {
    state.errors = static_cast<std::uint8_t>(std::min(state.errors + 2, int{limit}));
  } else {
    state.errors = less(state.errors, 1);
  }
  if (answer == Answer::complaint)
    state.complaints = std::min<std::uint8_t>(state.complaints + 1, kComplaintsToEject);
  else if (answer == Answer::good)
    state.complaints = less(state.complaints, kComplaintsForgiven);
  if (state.standing == Standing::on_trial) {
    const bool complains = state.complaints >= kComplaintsToEject / 2;
    if (bad || (complains && answer == Answer::complaint)) return trial;
    if (!(complains && answer == Answer::neutral) && ++state.passed >= kTrustAfter) trust(state);
    return false;
  }
  if (state.errors < limit && state.complaints < kComplaintsToEject) return false;
  // If it may not be ejected, it is counted on from here.
  state.errors = 0;
  state.complaints = std::min<std::uint8_t>(state.complaints, kComplaintsToEject / 2);
  return true;
}

void Peers::lived(State& state) noexcept {
  if (state.standing == Standing::on_trial && state.trials == 0 && state.passed == 0) trust(state);
}

void Peers::fall(State& state, const RpcConfig& config) {
  const bool again = state.standing != Standing::trusted ||
                     (state.falls > 0 && core_.now() - state.at < config.eject_for);
  state.falls = again ? std::min<std::uint8_t>(state.falls + 1, kMostFalls) : std::uint8_t{1};
  state.errors = 0;
}

/// Uniform in the upper half, so that pauses grow and callers spread.
Nanos Peers::jittered(Nanos ceiling) {
  const auto half = static_cast<std::uint64_t>(ceiling.count() / 2);
  const std::uint64_t more = half > 0 ? core_.random()() % (half + 1) : 0;
  return Nanos(static_cast<Nanos::rep>(half + more));
}

Nanos Peers::eject(State& state, Answer why, const RpcConfig& config, Nanos at_least) {
  fall(state, config);
  if (why == Answer::complaint) state.complaints = kComplaintsToEject;  // one more fails the trial
  const Nanos grown = jittered(doubled(kFirstEjection, state.falls - 1u, config.eject_for));
  const Nanos pause = std::max(grown, std::min(at_least, config.eject_for));
  state.standing = Standing::ejected;
  state.at = core_.now() + pause;
  return pause;
}

Nanos Peers::broke(State& state, const RpcConfig& config) {
  fall(state, config);
  const Nanos pause = state.falls == 1
                          ? Nanos(0)
                          : jittered(doubled(kFirstRedial, state.falls - 2u, config.eject_for));
  unreachable(state, pause);
  return pause;
}

Nanos Peers::drained(State& state, const RpcConfig& config) {
  fall(state, config);
  const Nanos most = doubled(kFirstLookAgain, state.falls - 1u, kLastLookAgain);
  const Nanos pause = std::max(kFirstLookAgain, jittered(most));
  unreachable(state, pause);
  return pause;
}

void Peers::unreachable(State& state, Nanos pause) {
  state.standing = Standing::out;
  state.wanted = false;
  state.at = core_.now() + pause;
}

void Peers::reached(State& state) noexcept {
  state.wanted = false;
  if (state.standing != Standing::out) return;
  state.standing = Standing::on_trial;
  state.errors = state.trials = state.passed = 0;
  state.at = core_.now();
}

unsigned Choice::grade(const Instance& one) const noexcept {
  if (method && !peers.may_serve(one, *method)) return 0;
  if (one.slot == avoid) return 1;
  if (peers.usable(one)) return kTakes;
  return peers.is_out(one) ? 2 : 3;
}

const Instance* Choice::better_of(const Instance& a, const Instance& b) const noexcept {
  const bool a_good = takes(a);
  const bool b_good = takes(b);
  if (a_good && b_good) return peers.in_flight(b) < peers.in_flight(a) ? &b : &a;
  return a_good ? &a : b_good ? &b : nullptr;
}

const Instance* Choice::first_of(std::span<const Instance* const> all) const noexcept {
  const Instance* best = nullptr;
  unsigned best_grade = 0;
  for (const Instance* one : all) {
    const unsigned now = grade(*one);
    if (now == kTakes) return one;
    if (best && now <= best_grade) continue;
    best = one;
    best_grade = now;
  }
  return best;
}

const Instance* Choice::calmest_of(std::span<const Instance* const> all,
                                   std::size_t from) const noexcept {
  const Instance* best = nullptr;
  unsigned best_grade = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Instance* one = all[(from + i) % all.size()];
    const unsigned now = grade(*one);
    if (now == kTakes) return one;
    if (best && (now < best_grade ||
                 (now == best_grade && peers.in_flight(*one) >= peers.in_flight(*best))))
      continue;
    best = one;
    best_grade = now;
  }
  return best;
}

}  // namespace m3
