// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include "m3/async/core.h"
#include "m3/async/countdown.h"
#include "m3/async/ctx.h"
#include "m3/async/serial.h"
#include "m3/async/task.h"

namespace m3 {

/// The turn that one piece of work has of a Serial, when others may have it while the work waits
/// for another app: the handlers of a serial service share their service in this way. The context
/// of the work refers to it (Ctx::Facts::turn). Core-local; outlives the work.
class SerialTurn {
 public:
  SerialTurn(Serial& serial, Serial::Hold hold, Core& core) noexcept
      : serial_(serial), hold_(std::move(hold)), core_(core) {}
  SerialTurn(const SerialTurn&) = delete;
  SerialTurn& operator=(const SerialTurn&) = delete;

  Core& core() const noexcept { return core_; }
  /// The next one has its turn. Work of several branches may be away several times.
  void leave() noexcept { hold_.release(); }
  /// Waits until the work has its turn again, behind those who wait already. Not cancelled: what
  /// follows is the work's own code. It ends because everybody else's turn does.
  Task<> come_back() {
    Ctx patient(core_);
    while (!hold_) {
      if (coming_.count() > 0) {  // another branch of the work waits for it
        co_await coming_.zero(patient);
        continue;
      }
      coming_.add();
      hold_ = co_await serial_.enter(patient);
      coming_.done();
    }
    co_return ok;
  }

 private:
  Serial& serial_;
  Serial::Hold hold_;
  Core& core_;
  Countdown coming_;
};

/// The context for a call that does not yield the turn of its handler:
///   const Price price = co_await shop.price(m3::KeepTurn(ctx), req);
class KeepTurn {
 public:
  explicit KeepTurn(Ctx& ctx) : kept_(ctx, ctx.deadline()) { kept_.set_turn(nullptr); }
  operator Ctx&() & noexcept { return kept_; }   // NOLINT(google-explicit-constructor)
  operator Ctx&() && noexcept { return kept_; }  // NOLINT(google-explicit-constructor)

 private:
  Ctx kept_;
};

/// In a handler of a serial service: others have their turn while `task` runs, as they do while the
/// handler waits for another app. Elsewhere it only awaits the task.
///   co_await m3::yield_turn(ctx, work(ctx));
template <class T>
Task<T> yield_turn(Ctx& ctx, Task<T> task) {
  SerialTurn* turn = ctx.facts().turn;
  if (!turn || &turn->core() != &ctx.core()) {
    auto result = co_await as_result(std::move(task));
    co_return result;
  }
  turn->leave();
  auto result = co_await as_result(std::move(task));
  co_await turn->come_back();
  co_return result;
}

}  // namespace m3
