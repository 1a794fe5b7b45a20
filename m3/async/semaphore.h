// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <utility>

#include "m3/async/channel.h"

namespace m3 {

/// Limits how many coroutines of one core run a section at a time, in order of arrival.
///   auto place = co_await semaphore.enter(ctx);  // until `place` is destroyed
/// Outlives its places. Belongs to the first core that uses it: on another core enter() fails with
/// failed_precondition, and releasing a place ends the process.
class Semaphore {
 public:
  class EnterOp;

  /// A place. Movable; released when it is destroyed.
  class [[nodiscard("keep it: the place is released when it is destroyed")]] Hold {
   public:
    Hold() noexcept = default;
    Hold(Hold&& other) noexcept : semaphore_(std::exchange(other.semaphore_, nullptr)) {}
    Hold& operator=(Hold&& other) noexcept {
      if (this != &other) {
        release();
        semaphore_ = std::exchange(other.semaphore_, nullptr);
      }
      return *this;
    }
    ~Hold() { release(); }
    void release() noexcept {
      if (Semaphore* semaphore = std::exchange(semaphore_, nullptr)) semaphore->next();
    }
    explicit operator bool() const noexcept { return semaphore_ != nullptr; }

   private:
    friend class Semaphore;
    friend class EnterOp;
    explicit Hold(Semaphore& semaphore) noexcept : semaphore_(&semaphore) {}
    Semaphore* semaphore_ = nullptr;
  };

  /// `places`: how many there are. `limit`: how many may wait; more fail with resource_exhausted.
  explicit Semaphore(std::size_t places, std::size_t limit = SIZE_MAX) noexcept
      : Semaphore(places, limit, "Semaphore") {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore() { async_detail::demand_no_waiters(held_ == 0 && waiting_.empty(), what_); }

  EnterOp enter(Ctx& ctx);
  std::size_t free() const noexcept { return free_; }
  std::size_t waiting() const noexcept { return count_; }

 protected:
  Semaphore(std::size_t places, std::size_t limit, const char* what) noexcept
      : free_(places), limit_(limit), what_(what) {}

 private:
  void next() noexcept;

  async_detail::CoreBound home_;
  std::size_t free_;
  std::size_t held_ = 0;
  std::size_t limit_;
  std::size_t count_ = 0;
  const char* const what_;
  async_detail::OpQueue<EnterOp> waiting_;
};

class [[nodiscard("co_await it: it does nothing before it is awaited")]] Semaphore::EnterOp final
    : public async_detail::CtxOp {
 public:
  using value_type = Hold;
  EnterOp(Ctx& ctx, Semaphore& semaphore) noexcept : CtxOp(ctx), semaphore_(semaphore) {}
  EnterOp(EnterOp&& other) noexcept : CtxOp(other.ctx()), semaphore_(other.semaphore_) {}

  bool start(async_detail::Waiter& waiter) {
    if (refused() || misplaced(semaphore_.home_, semaphore_.what_)) return true;
    if (semaphore_.free_ > 0) {
      --semaphore_.free_;
      ++semaphore_.held_;
      hold_ = Hold(semaphore_);
      return true;
    }
    if (semaphore_.count_ >= semaphore_.limit_) {
      error() = Status(Errc::resource_exhausted, "too many wait for a place");
      return true;
    }
    semaphore_.waiting_.push(*this);
    ++semaphore_.count_;
    suspend(waiter);
    return false;
  }
  Hold take() noexcept { return std::move(hold_); }

 private:
  friend class Semaphore;
  friend class async_detail::OpQueue<EnterOp>;
  void grant() noexcept {
    hold_ = Hold(semaphore_);
    finish();
  }
  void detach() noexcept override {
    semaphore_.waiting_.remove(*this);
    --semaphore_.count_;
  }

  Semaphore& semaphore_;
  Hold hold_;
  EnterOp* queue_prev_ = nullptr;
  EnterOp* queue_next_ = nullptr;
};

inline Semaphore::EnterOp Semaphore::enter(Ctx& ctx) { return EnterOp(ctx, *this); }

inline void Semaphore::next() noexcept {
  home_.demand(what_);
  if (EnterOp* op = waiting_.pop()) {
    --count_;
    op->grant();  // stays taken: it is passed on to the next waiter
  } else {
    --held_;
    ++free_;
  }
}

}  // namespace m3
