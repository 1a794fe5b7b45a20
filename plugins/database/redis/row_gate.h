// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>

#include "m3/async/channel.h"
#include "m3/async/ctx.h"

namespace m3::redis_detail {

/// The order of the steps of each row: one that writes waits for all that came before it, one that
/// reads for those that write. Core-local; outlives its places.
class RowGate {
 public:
  enum class Mode : std::uint8_t { reads, writes };
  class EnterOp;

 private:
  struct Row {
    bool idle() const noexcept { return !writing && reading.empty() && waiting.empty(); }
    bool admits(Mode mode) const noexcept {
      return !writing && (mode == Mode::reads || reading.empty());
    }
    bool writing = false;
    std::deque<std::uint64_t> reading;  // tickets, by age
    async_detail::OpQueue<EnterOp> waiting;
  };
  using Rows = std::unordered_map<std::string, Row>;
  using Entry = Rows::value_type;

 public:
  /// A place at a row. Moves; is given back when it is destroyed.
  class [[nodiscard("keep it: the place is given back with it")]] Hold {
   public:
    Hold() noexcept = default;
    Hold(Hold&& other) noexcept
        : gate_(std::exchange(other.gate_, nullptr)),
          entry_(other.entry_),
          ticket_(other.ticket_) {}
    Hold& operator=(Hold&& other) noexcept {
      std::swap(gate_, other.gate_);
      std::swap(entry_, other.entry_);
      std::swap(ticket_, other.ticket_);
      return *this;
    }
    ~Hold() {
      if (gate_) gate_->leave(*entry_, ticket_);
    }
    /// Whether every step that entered before has left.
    bool is_oldest() const noexcept {
      return ticket_ == 0 || entry_->second.reading.front() == ticket_;
    }

   private:
    friend class RowGate;
    Hold(RowGate& gate, Entry& entry, std::uint64_t ticket) noexcept
        : gate_(&gate), entry_(&entry), ticket_(ticket) {}
    RowGate* gate_ = nullptr;
    Entry* entry_ = nullptr;
    std::uint64_t ticket_ = 0;  // 0: it writes
  };

  RowGate() = default;
  RowGate(const RowGate&) = delete;
  RowGate& operator=(const RowGate&) = delete;

  EnterOp enter(Ctx& ctx, std::string row, Mode mode);
  std::size_t rows() const noexcept { return rows_.size(); }

 private:
  Hold admit(Entry& entry, Mode mode);
  void leave(Entry& entry, std::uint64_t ticket);
  void advance(Entry& entry);

  Rows rows_;
  std::uint64_t last_ticket_ = 0;
};

class [[nodiscard("co_await it: it does nothing before it is awaited")]] RowGate::EnterOp final
    : public async_detail::CtxOp {
 public:
  using value_type = Hold;
  EnterOp(Ctx& ctx, RowGate& gate, std::string row, Mode mode)
      : CtxOp(ctx), gate_(gate), row_(std::move(row)), mode_(mode) {}
  EnterOp(EnterOp&& other) noexcept
      : CtxOp(other.ctx()), gate_(other.gate_), row_(std::move(other.row_)), mode_(other.mode_) {}

  bool start(async_detail::Waiter& waiter) {
    if (refused()) return true;
    entry_ = &*gate_.rows_.try_emplace(std::move(row_)).first;
    Row& row = entry_->second;
    if (row.waiting.empty() && row.admits(mode_)) {
      hold_ = gate_.admit(*entry_, mode_);
      return true;
    }
    row.waiting.push(*this);
    suspend(waiter);
    return false;
  }
  Hold take() noexcept { return std::move(hold_); }

 private:
  friend class RowGate;
  friend class async_detail::OpQueue<EnterOp>;
  void detach() noexcept override {
    entry_->second.waiting.remove(*this);
    gate_.advance(*entry_);
  }

  RowGate& gate_;
  std::string row_;
  const Mode mode_;
  Entry* entry_ = nullptr;
  Hold hold_;
  EnterOp* queue_prev_ = nullptr;
  EnterOp* queue_next_ = nullptr;
};

inline RowGate::EnterOp RowGate::enter(Ctx& ctx, std::string row, Mode mode) {
  return EnterOp(ctx, *this, std::move(row), mode);
}

inline RowGate::Hold RowGate::admit(Entry& entry, Mode mode) {
  Row& row = entry.second;
  if (mode == Mode::writes) {
    row.writing = true;
    return Hold(*this, entry, 0);
  }
  row.reading.push_back(++last_ticket_);
  return Hold(*this, entry, last_ticket_);
}

inline void RowGate::leave(Entry& entry, std::uint64_t ticket) {
  Row& row = entry.second;
  if (ticket == 0)
    row.writing = false;
  else
    std::erase(row.reading, ticket);
  advance(entry);
}

/// Lets in whom the row admits now; they go on from the ready queue.
inline void RowGate::advance(Entry& entry) {
  Row& row = entry.second;
  for (const EnterOp* next; (next = row.waiting.front()) && row.admits(next->mode_);) {
    EnterOp* op = row.waiting.pop();
    op->hold_ = admit(entry, op->mode_);
    op->finish();
  }
  if (row.idle()) rows_.erase(rows_.find(entry.first));
}

}  // namespace m3::redis_detail
