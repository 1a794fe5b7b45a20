// SPDX-License-Identifier: BSL-1.0
#include "m3/async/timer_wheel.h"

#include <algorithm>
#include <bit>

#include "m3/async/core.h"

namespace m3::async_detail {

void TimerNode::cancel() noexcept {
  if (!next_) return;
  prev_->next_ = next_;
  next_->prev_ = prev_;
  prev_ = next_ = nullptr;
}

void TimerNode::link_before(TimerNode& head) noexcept {
  next_ = &head;
  prev_ = head.prev_;
  head.prev_->next_ = this;
  head.prev_ = this;
}

TimerWheel::TimerWheel(TimePoint start) : start_(start) {
  for (TimerNode& head : slots_) head.prev_ = head.next_ = &head;
}

TimerWheel::~TimerWheel() {
  for (TimerNode& head : slots_) {
    while (head.next_ != &head) head.next_->cancel();
    head.prev_ = head.next_ = nullptr;
  }
}

std::uint64_t TimerWheel::tick_of(TimePoint at) const {
  if (at <= start_) return 0;
  const Nanos since = at - start_;
  return static_cast<std::uint64_t>((since - Nanos(1)) / kTick) + 1;
}

void TimerWheel::add(TimerNode& node, TimePoint at) {
  node.cancel();
  node.tick_ = std::max(tick_of(at), now_ + 1);
  soonest_ = std::min(soonest_, node.tick_);
  place(node);
}

void TimerWheel::place(TimerNode& node) {
  // The level is given by the highest bit in which the expiry differs from now: below it, the
  // slot index alone tells the two apart.
  const std::uint64_t differs = node.tick_ ^ now_;
  unsigned level = 0;
  while (level + 1 < kLevels && differs >> (kShift[level] + kBits[level])) ++level;
  std::uint64_t index = (node.tick_ >> kShift[level]) & ((1u << kBits[level]) - 1);
  if (level + 1 == kLevels) {
    // The last level goes round: what lies beyond it waits in the slot reached last, then is placed
    // again.
    const std::uint64_t ahead = (node.tick_ >> kShift[level]) - (now_ >> kShift[level]);
    const std::uint64_t size = std::uint64_t{1} << kBits[level];
    if (ahead >= size) index = ((now_ >> kShift[level]) + size - 1) & (size - 1);
  }
  const unsigned slot = kFirst[level] + static_cast<unsigned>(index);
  node.link_before(slots_[slot]);
  maybe_used_[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void TimerWheel::advance(TimePoint now) {
  if (now < start_) return;
  const auto target = static_cast<std::uint64_t>((now - start_) / kTick);
  while (now_ < target) {
    const std::uint64_t next = std::min(next_tick(), target);
    now_ = next;
    for (unsigned level = kLevels - 1; level > 0; --level)
      if ((now_ & ((std::uint64_t{1} << kShift[level]) - 1)) == 0) cascade(level);
    fire_slot(static_cast<unsigned>(now_ & 255));
  }
  soonest_ = next_tick();
}

void TimerWheel::cascade(unsigned level) {
  const unsigned slot =
      kFirst[level] + static_cast<unsigned>((now_ >> kShift[level]) & ((1u << kBits[level]) - 1));
  TimerNode& head = slots_[slot];
  if (head.next_ == &head) return;
  TimerNode list;
  list.next_ = head.next_;
  list.prev_ = head.prev_;
  list.next_->prev_ = list.prev_->next_ = &list;
  head.prev_ = head.next_ = &head;
  while (list.next_ != &list) {
    TimerNode& node = *list.next_;
    node.cancel();
    place(node);  // a node due exactly now lands in the slot that is fired next
  }
  list.prev_ = list.next_ = nullptr;
}

void TimerWheel::fire_slot(unsigned slot) {
  TimerNode& head = slots_[slot];
  const Walk walk;
  // Every node here is due now: a node added by a callback expires at now_ + 1 or later.
  while (head.next_ != &head) {
    TimerNode& node = *head.next_;
    node.cancel();
    node.on_timer_(node);
  }
}

std::uint64_t TimerWheel::next_tick() {
  std::uint64_t best = UINT64_MAX;
  for (unsigned level = 0; level < kLevels; ++level) {
    const unsigned size = 1u << kBits[level];
    const std::uint64_t base = now_ >> kShift[level];
    const auto at = static_cast<unsigned>(base & (size - 1));
    // Slots ahead of the current one first, then those that come after a turn of the wheel.
    for (unsigned step = 1; step <= size;) {
      const unsigned index = (at + step) & (size - 1);
      const unsigned slot = kFirst[level] + index;
      std::uint64_t& word = maybe_used_[slot / 64];
      const std::uint64_t rest = word >> (slot % 64);
      if (rest == 0) {
        step += std::min(64 - slot % 64, size - index);
        continue;
      }
      const unsigned skip = static_cast<unsigned>(std::countr_zero(rest));
      if (skip) {
        step += std::min(skip, size - index);
        continue;
      }
      if (!occupied(slot)) {
        word &= ~(std::uint64_t{1} << (slot % 64));
        ++step;
        continue;
      }
      best = std::min(best, (base + step) << kShift[level]);
      break;
    }
  }
  return best;
}

}  // namespace m3::async_detail
