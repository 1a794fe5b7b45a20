// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <type_traits>
#include <utility>

#include "m3/async/core.h"
#include "m3/async/countdown.h"
#include "m3/async/ctx.h"
#include "m3/async/serial.h"
#include "m3/async/task.h"

namespace m3 {

/// The turn that one piece of work has of a Serial, if others may have it while the work waits for
/// another app: the handlers of a serial service share their service in this way. The context of
/// the work refers to it (Ctx::Facts::turn). Core-local.
///
/// The turn belongs to the work as a whole. When the work has several branches (when_all) and one
/// of them leaves the turn, the others go on without it: only one branch may use what the turn
/// protects.
class SerialTurn {
 public:
  SerialTurn(Serial& shared, Core& core) noexcept : serial_(shared), core_(core) {}
  SerialTurn(const SerialTurn&) = delete;
  SerialTurn& operator=(const SerialTurn&) = delete;

  Core& core() const noexcept { return core_; }
  /// For who runs the work. After end() the rest does nothing: what has escaped from the work may
  /// still refer to its turn.
  void begin(Serial::Hold hold) noexcept {
    hold_ = std::move(hold);
    over_ = false;
  }
  void end() noexcept {
    over_ = true;
    hold_.release();
  }

  /// The next one has its turn. Branches of the work may be away at the same time.
  void leave() noexcept { hold_.release(); }
  /// Waits until the work has its turn again, behind those who wait already. Not cancelled: what
  /// follows is the work's own code. It ends because the turns of all others do.
  Task<> come_back() {
    Ctx patient(core_);
    while (!hold_ && !over_) {
      if (coming_.count() > 0) {  // another branch of the work waits for it
        co_await coming_.zero(patient);
        continue;
      }
      coming_.add();
      Serial::Hold hold = co_await serial_.enter(patient);
      if (!over_) hold_ = std::move(hold);
      coming_.done();
    }
    co_return ok;
  }

 private:
  Serial& serial_;
  Core& core_;
  Serial::Hold hold_;
  Countdown coming_;
  bool over_ = true;
};

/// The context for a call that does not yield the turn of its handler, and ends with its statement:
/// `const Price price = co_await shop.price(m3::KeepTurn(ctx), req);`
class KeepTurn {
 public:
  explicit KeepTurn(Ctx& ctx) : kept_(ctx, ctx.deadline()) { kept_.set_turn(nullptr); }
  operator Ctx&() && noexcept { return kept_; }  // NOLINT(google-explicit-constructor)

 private:
  Ctx kept_;
};

/// In a handler of a serial service: others have their turn while `body` runs, as they do while the
/// handler waits for another app. `body` is called with a context of its own; elsewhere, and on
/// another core, it is only run.
///   co_await m3::yield_turn(ctx, [](m3::Ctx& free) { return nap(free); });
template <class Body>
auto yield_turn(Ctx& ctx, Body body) -> std::invoke_result_t<Body&, Ctx&> {
  SerialTurn* const turn = ctx.facts().turn;
  const bool yields = turn && &turn->core() == &ctx.core();
  Ctx free(ctx, ctx.deadline());
  free.set_turn(nullptr);
  if (yields) turn->leave();
  auto result = co_await as_result(body(free));
  if (yields) co_await turn->come_back();
  co_return result;
}

}  // namespace m3
