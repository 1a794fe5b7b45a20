// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "m3/base/status.h"
#include "m3/wire/frame.h"

namespace m3 {

/// The order in which queued frames are sent. A cancel is in the class of requests, so it never
/// overtakes the request that it ends.
enum class OutClass : std::uint8_t { control = 0, response = 1, request = 2, notify = 3 };
inline constexpr std::size_t kOutClasses = 4;

constexpr OutClass out_class(FrameKind kind) {
  switch (kind) {
    case FrameKind::response:
      return OutClass::response;
    case FrameKind::request:
    case FrameKind::cancel:
      return OutClass::request;
    case FrameKind::notify:
      return OutClass::notify;
    default:
      return OutClass::control;
  }
}

/// Memory that the out queues of one core share: an idle connection holds none, and the buffer that
/// was hot in the cache for one connection is used for the next. Core-local; outlives its queues.
class OutBufferPool {
 public:
  static constexpr std::size_t kLeast = 4u << 10;
  static constexpr std::size_t kMost = 256u << 10;

  struct Buffer {
    std::unique_ptr<char[]> data;
    std::size_t size = 0;
  };

  /// Keeps at most `keep_bytes` of unused buffers.
  explicit OutBufferPool(std::size_t keep_bytes = 4u << 20) : keep_bytes_(keep_bytes) {}
  OutBufferPool(const OutBufferPool&) = delete;
  OutBufferPool& operator=(const OutBufferPool&) = delete;

  /// At least `bytes`: a power of two from kLeast to kMost, or exactly `bytes` beyond.
  Buffer take(std::size_t bytes);
  void give(Buffer buffer);

  std::size_t kept_bytes() const { return kept_bytes_; }
  /// Bytes that were lent and not returned: the buffers of the core's streams, in and out.
  std::size_t lent_bytes() const { return lent_bytes_; }
  /// Buffers that had to be allocated so far.
  std::uint64_t allocations() const { return allocations_; }

 private:
  static constexpr std::size_t kSizes = 7;  // 4 KiB … 256 KiB
  static std::size_t index_of(std::size_t bytes);

  std::size_t keep_bytes_;
  std::size_t kept_bytes_ = 0;
  std::size_t lent_bytes_ = 0;
  std::uint64_t allocations_ = 0;
  std::array<std::vector<Buffer>, kSizes> free_;
};

struct OutLimits {
  std::size_t buffer = OutBufferPool::kMost;  // bytes in the first-in-first-out buffer
  // Bytes queued behind it. One frame may always be queued, however large.
  std::size_t control = 1u << 20;   // above this, the peer does not read: close
  std::size_t response = 4u << 20;  // above this, reading of requests stops; responses are never
                                    // dropped
  std::size_t request = 4u << 20;   // above this, new requests are shed
  std::size_t notify = 1u << 20;    // requests and notifies above this: new notifies are shed
};

/// Why reserve() returned nullptr.
enum class OutRefusal : std::uint8_t { none, control_backlog, request_backlog, notify_backlog };

/// "request_backlog": the label of the counter.
std::string_view out_refusal_name(OutRefusal refusal);

/// The bytes that a connection has yet to send. No socket: the owner takes pending(), sends some of
/// it, and calls consume(). Core-local.
///
///     char* to = queue.reserve(FrameKind::request, frame_size(0, body));
///     if (to == nullptr) return queue.refusal_status();
///     // … write the whole frame to `to`
///     queue.commit();
///
/// Up to limits.buffer everything lies in one buffer, first in first out, without an allocation.
/// Beyond that, frames are queued by class and sent in the order of OutClass, each class first in
/// first out. Only new requests and notifies are shed, notifies first.
class OutQueue {
 public:
  /// `pool` and `limits` outlive it.
  OutQueue(OutBufferPool& pool, const OutLimits& limits) : pool_(&pool), limits_(limits) {}
  OutQueue(OutBufferPool& pool, const OutLimits&& limits) = delete;
  ~OutQueue();
  OutQueue(const OutQueue&) = delete;
  OutQueue& operator=(const OutQueue&) = delete;

  /// Room for one frame of exactly `size` bytes; nullptr: refused, see refusal(). Nothing is queued
  /// until commit(); a second reserve() forgets the first.
  char* reserve(FrameKind kind, std::size_t size) {
    reserved_ = size;
    if (size <= room_end_ - tail_ && overflow_ == nullptr) [[likely]] {
      to_line_ = true;
      return data_.data.get() + tail_;
    }
    return reserve_slowly(kind, size);
  }
  /// Queues the frame that was written into the last reserve().
  void commit() {
    if (to_line_) [[likely]] {
      tail_ += reserved_;
    } else {
      commit_waiting();
    }
    reserved_ = 0;
  }

  bool empty() const { return size() == 0; }
  /// Bytes not yet consumed.
  std::size_t size() const { return pending_in_line() + waiting(); }

  /// What to send next; empty when there is nothing. Valid until the next call of another member.
  std::string_view pending() {
    if (head_ == tail_ && overflow_ != nullptr) refill();
    return std::string_view(data_.data.get() + head_, tail_ - head_);
  }
  /// The first `count` bytes of pending() are sent.
  void consume(std::size_t count) {
    head_ += count;
    if (head_ == tail_) drained();
  }

  /// Why the last reserve() returned nullptr; none when it did not.
  OutRefusal refusal() const { return refusal_; }
  /// resource_exhausted, not executed, in words.
  Status refusal_status() const;
  /// Frames refused for `reason` so far.
  std::uint64_t refused(OutRefusal reason) const {
    return refused_[static_cast<std::size_t>(reason)];
  }

  /// Bytes of responses that wait behind the line.
  std::size_t waiting_responses() const { return waiting(OutClass::response); }
  /// True from the moment responses (or answers to pings) wait beyond their limit until half of it
  /// is sent: the acceptor does not read meanwhile. A dialer always reads.
  bool response_over_limit() const { return over_limit_; }

  /// Every frame of which not one byte was consumed, in no particular order: when the connection
  /// dies, these calls were never sent.
  void for_each_unsent(const std::function<void(const FrameHeader&)>& visit) const;

 private:
  struct Block {
    OutBufferPool::Buffer buffer;
    std::size_t head = 0;
    std::size_t tail = 0;
  };
  struct Waiting {
    std::deque<Block> blocks;
    std::size_t bytes = 0;
  };
  struct Overflow {
    std::array<Waiting, kOutClasses> classes;
    std::size_t bytes = 0;
    OutClass reserved = OutClass::control;
  };

  std::size_t pending_in_line() const { return tail_ - head_; }
  std::size_t waiting() const { return overflow_ ? overflow_->bytes : 0; }
  std::size_t waiting(OutClass kind) const {
    return overflow_ ? overflow_->classes[static_cast<std::size_t>(kind)].bytes : 0;
  }
  char* reserve_slowly(FrameKind kind, std::size_t size);
  bool may_go_in_line(OutClass kind, std::size_t size) const;
  OutRefusal judge(FrameKind kind, std::size_t size) const;
  char* reserve_in_line(std::size_t size);
  char* reserve_waiting(OutClass kind, std::size_t size);
  void commit_waiting();
  void refill();
  void pull(Waiting& from);
  bool adopt_large(Waiting& from);
  void take_from(Waiting& from, std::size_t bytes);
  void drained();
  void release_line();
  void drop_overflow();
  void set_line(OutBufferPool::Buffer buffer);
  void move_line_to(char* to);
  void update_over_limit();
  std::size_t first_whole_frame() const;

  OutBufferPool* pool_;
  const OutLimits& limits_;
  OutBufferPool::Buffer data_;  // the line
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  std::size_t room_end_ = 0;  // how far the line may be filled
  std::size_t cut_ = 0;       // bytes at the start of data_ that end a frame whose start is gone
  std::size_t reserved_ = 0;
  std::size_t hint_ = 0;  // how large the line was of late
  bool to_line_ = true;
  bool over_limit_ = false;
  OutRefusal refusal_ = OutRefusal::none;
  std::array<std::uint64_t, 4> refused_{};
  std::unique_ptr<Overflow> overflow_;  // exists only while frames wait
};

}  // namespace m3
