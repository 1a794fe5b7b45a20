// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <utility>

#include "m3/async/channel.h"

namespace m3 {

/// One at a time, in order of arrival: a mutex for coroutines of one core.
///   `auto turn = co_await serial.enter(ctx);`   until `turn` goes
/// Outlives its turns. Belongs to the first core that uses it: on another one enter() fails with
/// failed_precondition, and giving the right back ends the process.
class Serial {
 public:
  class EnterOp;

  /// The right to run. Moves; gives the right back when it goes.
  class [[nodiscard("keep it: the turn ends with it")]] Hold {
   public:
    Hold() noexcept = default;
    Hold(Hold&& other) noexcept : serial_(std::exchange(other.serial_, nullptr)) {}
    Hold& operator=(Hold&& other) noexcept {
      if (this != &other) {
        release();
        serial_ = std::exchange(other.serial_, nullptr);
      }
      return *this;
    }
    ~Hold() { release(); }
    void release() noexcept {
      if (Serial* serial = std::exchange(serial_, nullptr)) serial->next();
    }
    explicit operator bool() const noexcept { return serial_ != nullptr; }

   private:
    friend class Serial;
    friend class EnterOp;
    explicit Hold(Serial& serial) noexcept : serial_(&serial) {}
    Serial* serial_ = nullptr;
  };

  /// `limit`: how many may wait; more fail with resource_exhausted.
  explicit Serial(std::size_t limit = SIZE_MAX) noexcept : limit_(limit) {}
  Serial(const Serial&) = delete;
  Serial& operator=(const Serial&) = delete;
  ~Serial() { async_detail::demand_no_waiters(!busy_ && waiting_.empty(), kWhat); }

  EnterOp enter(Ctx& ctx);
  bool busy() const noexcept { return busy_; }
  std::size_t waiting() const noexcept { return count_; }

 private:
  static constexpr const char* kWhat = "Serial";
  void next() noexcept;

  async_detail::CoreBound home_;
  std::size_t limit_;
  std::size_t count_ = 0;
  bool busy_ = false;
  async_detail::OpQueue<EnterOp> waiting_;
};

class [[nodiscard("co_await it: it does nothing before it is awaited")]] Serial::EnterOp final
    : public async_detail::CtxOp {
 public:
  using value_type = Hold;
  EnterOp(Ctx& ctx, Serial& serial) noexcept : CtxOp(ctx), serial_(serial) {}
  EnterOp(EnterOp&& other) noexcept : CtxOp(other.ctx()), serial_(other.serial_) {}

  bool start(async_detail::Waiter& waiter) {
    if (refused() || misplaced(serial_.home_, kWhat)) return true;
    if (!serial_.busy_) {
      serial_.busy_ = true;
      hold_ = Hold(serial_);
      return true;
    }
    if (serial_.count_ >= serial_.limit_) {
      error() = Status(Errc::resource_exhausted, "too many wait for their turn");
      return true;
    }
    serial_.waiting_.push(*this);
    ++serial_.count_;
    suspend(waiter);
    return false;
  }
  Hold take() noexcept { return std::move(hold_); }

 private:
  friend class Serial;
  friend class async_detail::OpQueue<EnterOp>;
  void grant() noexcept {
    hold_ = Hold(serial_);
    finish();
  }
  void detach() noexcept override {
    serial_.waiting_.remove(*this);
    --serial_.count_;
  }

  Serial& serial_;
  Hold hold_;
  EnterOp* queue_prev_ = nullptr;
  EnterOp* queue_next_ = nullptr;
};

inline Serial::EnterOp Serial::enter(Ctx& ctx) { return EnterOp(ctx, *this); }

inline void Serial::next() noexcept {
  home_.demand(kWhat);
  if (EnterOp* op = waiting_.pop()) {
    --count_;
    op->grant();  // stays busy: the right moves on
  } else {
    busy_ = false;
  }
}

}  // namespace m3
