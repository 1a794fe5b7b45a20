// SPDX-License-Identifier: BSL-1.0
#include "m3/net/out_queue.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <string>
#include <utility>

namespace m3 {
namespace {

constexpr std::size_t kBlock = 64u << 10;  // what a class of waiting frames takes at a time

std::size_t frame_size_at(const char* at) { return frame_size(read_header(at)); }

}  // namespace

// ---- OutBufferPool

std::size_t OutBufferPool::index_of(std::size_t bytes) {
  return static_cast<std::size_t>(std::countr_zero(bytes) - std::countr_zero(kLeast));
}

OutBufferPool::Buffer OutBufferPool::take(std::size_t bytes) {
  Buffer buffer;
  if (bytes > kMost) {
    buffer.size = bytes;
  } else {
    buffer.size = std::bit_ceil(std::max(bytes, kLeast));
    std::vector<Buffer>& free = free_[index_of(buffer.size)];
    if (!free.empty()) {
      buffer = std::move(free.back());
      free.pop_back();
      kept_bytes_ -= buffer.size;
      lent_bytes_ += buffer.size;
      return buffer;
    }
  }
  buffer.data = std::make_unique_for_overwrite<char[]>(buffer.size);
  ++allocations_;
  lent_bytes_ += buffer.size;
  return buffer;
}

void OutBufferPool::give(Buffer buffer) {
  if (buffer.data == nullptr) return;
  lent_bytes_ -= buffer.size;
  if (buffer.size > kMost) return;
  if (kept_bytes_ + buffer.size > keep_bytes_) return;
  kept_bytes_ += buffer.size;
  free_[index_of(buffer.size)].push_back(std::move(buffer));
}

// ---- OutQueue: putting in

std::string_view out_refusal_name(OutRefusal refusal) {
  switch (refusal) {
    case OutRefusal::none:
      return "none";
    case OutRefusal::control_backlog:
      return "control_backlog";
    case OutRefusal::request_backlog:
      return "request_backlog";
    case OutRefusal::notify_backlog:
      return "notify_backlog";
  }
  return "unknown";
}

OutQueue::~OutQueue() {
  drop_overflow();
  pool_->give(std::move(data_));
}

Status OutQueue::refusal_status() const {
  const char* text = "nothing was refused";
  switch (refusal_) {
    case OutRefusal::none:
      return Status(Errc::internal, text);
    case OutRefusal::control_backlog:
      text = "the peer does not read: too many unsent control frames";
      break;
    case OutRefusal::request_backlog:
      text = "the peer does not keep up: too many unsent bytes of requests";
      break;
    case OutRefusal::notify_backlog:
      text = "the peer does not keep up: too many unsent bytes of requests and notifies";
      break;
  }
  return Status(Errc::resource_exhausted, text).not_executed();
}

char* OutQueue::reserve_slowly(FrameKind kind, std::size_t size) {
  if (overflow_ != nullptr && overflow_->bytes == 0) drop_overflow();
  const OutClass rank = out_class(kind);
  refusal_ = OutRefusal::none;
  if (may_go_in_line(rank, size)) return reserve_in_line(size);
  refusal_ = judge(kind, size);
  if (refusal_ != OutRefusal::none) {
    ++refused_[static_cast<std::size_t>(refusal_)];
    reserved_ = 0;
    return nullptr;
  }
  return reserve_waiting(rank, size);
}

/// It may overtake queued frames of a lower class, but none of its own or a higher one.
bool OutQueue::may_go_in_line(OutClass kind, std::size_t size) const {
  if (pending_in_line() + size > limits_.buffer) return false;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(kind); ++i) {
    if (waiting(static_cast<OutClass>(i)) > 0) return false;
  }
  return true;
}

OutRefusal OutQueue::judge(FrameKind kind, std::size_t size) const {
  const auto over = [size](std::size_t waits, std::size_t limit) {
    return waits > 0 && waits + size > limit;
  };
  if (kind == FrameKind::request && over(waiting(OutClass::request), limits_.request)) {
    return OutRefusal::request_backlog;
  }
  if (kind == FrameKind::notify &&
      over(waiting(OutClass::request) + waiting(OutClass::notify), limits_.notify)) {
    return OutRefusal::notify_backlog;
  }
  if (out_class(kind) == OutClass::control && over(waiting(OutClass::control), limits_.control)) {
    return OutRefusal::control_backlog;
  }
  return OutRefusal::none;
}

char* OutQueue::reserve_in_line(std::size_t size) {
  to_line_ = true;
  const std::size_t need = pending_in_line() + size;
  if (need > data_.size) {
    const std::size_t wish = std::max(2 * data_.size, hint_);
    OutBufferPool::Buffer larger = pool_->take(std::max(need, std::min(wish, limits_.buffer)));
    move_line_to(larger.data.get());
    pool_->give(std::move(data_));
    set_line(std::move(larger));
  } else if (size > room_end_ - tail_) {
    move_line_to(data_.data.get());
    room_end_ = std::min(data_.size, limits_.buffer);
  }
  return data_.data.get() + tail_;
}

char* OutQueue::reserve_waiting(OutClass kind, std::size_t size) {
  to_line_ = false;
  if (overflow_ == nullptr) overflow_ = std::make_unique<Overflow>();
  overflow_->reserved = kind;
  std::deque<Block>& blocks = overflow_->classes[static_cast<std::size_t>(kind)].blocks;
  if (blocks.empty() || blocks.back().buffer.size - blocks.back().tail < size) {
    if (!blocks.empty() && blocks.back().tail == 0) {  // a reserve() that was not committed
      pool_->give(std::move(blocks.back().buffer));
      blocks.pop_back();
    }
    blocks.emplace_back().buffer = pool_->take(std::max(size, kBlock));
  }
  Block& block = blocks.back();
  return block.buffer.data.get() + block.tail;
}

void OutQueue::commit_waiting() {
  assert(overflow_ != nullptr && "commit() without reserve()");
  Waiting& into = overflow_->classes[static_cast<std::size_t>(overflow_->reserved)];
  into.blocks.back().tail += reserved_;
  into.bytes += reserved_;
  overflow_->bytes += reserved_;
  to_line_ = true;
  update_over_limit();
}

// ---- OutQueue: taking out

/// The first buffer is empty: queued frames move into it, in the order of their classes.
void OutQueue::refill() {
  if (overflow_->bytes > 0) {
    for (Waiting& from : overflow_->classes) {
      if (from.bytes == 0) continue;
      if (tail_ == 0 && adopt_large(from)) break;
      pull(from);
      if (from.bytes > 0) break;  // the next does not fit, and no lower class may pass it
    }
  }
  if (overflow_->bytes == 0) drop_overflow();
  if (tail_ == 0) release_line();
  update_over_limit();
}

/// A frame that is larger than the whole first buffer replaces it, in its own block if possible.
bool OutQueue::adopt_large(Waiting& from) {
  Block& block = from.blocks.front();
  const std::size_t size = frame_size_at(block.buffer.data.get() + block.head);
  if (size <= limits_.buffer) return false;
  if (block.head == 0 && block.tail == size) {
    pool_->give(std::move(data_));
    set_line(std::move(block.buffer));
  } else {
    pool_->give(std::move(data_));
    set_line(pool_->take(size));
    std::memcpy(data_.data.get(), block.buffer.data.get() + block.head, size);
  }
  tail_ = size;
  room_end_ = size;  // nothing may follow it in here
  take_from(from, size);
  return true;
}

/// As many whole frames as fit.
void OutQueue::pull(Waiting& from) {
  const std::size_t most = std::min(limits_.buffer, tail_ + overflow_->bytes);
  if (data_.size < most) {
    OutBufferPool::Buffer larger = pool_->take(most);
    move_line_to(larger.data.get());
    pool_->give(std::move(data_));
    set_line(std::move(larger));
  }
  while (from.bytes > 0) {
    const Block& block = from.blocks.front();
    const char* begin = block.buffer.data.get() + block.head;
    std::size_t run = 0;
    while (block.head + run < block.tail) {
      const std::size_t size = frame_size_at(begin + run);
      if (tail_ + run + size > room_end_) break;
      run += size;
    }
    if (run == 0) return;
    std::memcpy(data_.data.get() + tail_, begin, run);
    tail_ += run;
    take_from(from, run);
  }
}

void OutQueue::take_from(Waiting& from, std::size_t bytes) {
  Block& block = from.blocks.front();
  block.head += bytes;
  from.bytes -= bytes;
  overflow_->bytes -= bytes;
  if (block.head < block.tail) return;
  pool_->give(std::move(block.buffer));
  from.blocks.pop_front();
}

void OutQueue::drained() {
  hint_ = std::max(std::min(tail_, limits_.buffer), hint_ / 2);
  head_ = tail_ = cut_ = 0;
  room_end_ = std::min(data_.size, limits_.buffer);
  if (overflow_ == nullptr) release_line();
}

void OutQueue::release_line() {
  pool_->give(std::move(data_));
  data_ = {};
  room_end_ = 0;
}

void OutQueue::drop_overflow() {
  if (overflow_ == nullptr) return;
  for (Waiting& waiting : overflow_->classes) {
    for (Block& block : waiting.blocks) pool_->give(std::move(block.buffer));
  }
  overflow_.reset();
}

void OutQueue::set_line(OutBufferPool::Buffer buffer) {
  data_ = std::move(buffer);
  room_end_ = std::min(data_.size, limits_.buffer);
}

/// What is pending moves to the start of `to`, which may be the line itself.
void OutQueue::move_line_to(char* to) {
  const std::size_t pending = pending_in_line();
  cut_ = first_whole_frame() - head_;
  if (pending > 0) std::memmove(to, data_.data.get() + head_, pending);
  head_ = 0;
  tail_ = pending;
}

void OutQueue::update_over_limit() {
  const std::size_t responses = waiting(OutClass::response);
  const std::size_t control = waiting(OutClass::control);
  if (over_limit_) {
    over_limit_ = responses > limits_.response / 2 || control > limits_.control / 4;
  } else {
    over_limit_ = responses > limits_.response || control > limits_.control / 2;
  }
}

// ---- OutQueue: what was never sent

/// The first frame in the first buffer of which nothing is consumed, or tail_.
std::size_t OutQueue::first_whole_frame() const {
  std::size_t at = cut_;
  while (at < head_) at += frame_size_at(data_.data.get() + at);
  return at;
}

void OutQueue::for_each_unsent(const std::function<void(const FrameHeader&)>& visit) const {
  const auto visit_all = [&visit](const char* at, const char* end) {
    while (at < end) {
      const FrameHeader header = read_header(at);
      visit(header);
      at += frame_size(header);
    }
  };
  const char* line = data_.data.get();
  if (head_ < tail_) visit_all(line + first_whole_frame(), line + tail_);
  if (overflow_ == nullptr) return;
  for (const Waiting& waiting : overflow_->classes) {
    for (const Block& block : waiting.blocks) {
      const char* data = block.buffer.data.get();
      visit_all(data + block.head, data + block.tail);
    }
  }
}

}  // namespace m3
