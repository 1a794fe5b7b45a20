// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "m3/async/clock.h"
#include "m3/async/ctx.h"
#include "m3/async/timer_wheel.h"

namespace m3 {

/// One thread's world: an event loop, a ready queue, a timing wheel, an inbox from other threads,
/// a clock and a random generator. Owned by a Runtime (or a test's SimRuntime). Everything but
/// post(), wake-ups and the atomics for the watchdog belongs to the core's own thread.
///
/// Work happens in turns: the loop (a socket, a timer, the inbox) enters m3 through a Turn; when
/// the outermost Turn ends, the ready queue runs, then the turn-end queue (connections send what
/// they gathered), then messages to other cores leave in one batch per core.
class Core {
 public:
  using Runnable = async_detail::Runnable;
  struct Options {
    unsigned index = 0;
    std::uint64_t seed = 0;
    Nanos spin{0};  ///< poll this long before sleeping; 0 = never
  };

  Core(Options options, const Clock& clock);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  ~Core();

  /// The core whose turn this thread is in. A bug to call outside of one.
  static Core& current() noexcept { return *current_; }
  static Core* try_current() noexcept { return current_; }

  unsigned index() const noexcept { return options_.index; }
  /// Read once per turn.
  TimePoint now() const noexcept { return now_; }
  /// Looks at the clock, to measure what happens within a turn.
  TimePoint read_clock() const { return clock_.now(); }
  /// Seeded by the Runtime: the same seed gives the same run under a SimClock.
  std::mt19937_64& random() noexcept { return random_; }
  async_detail::TimerWheel& timers() noexcept { return timers_; }

  /// Runs later in this turn, in order.
  void ready(Runnable& work) noexcept { ready_.push(work); }
  /// Runs when the turn has nothing else to do.
  void at_turn_end(Runnable& work) noexcept { turn_end_.push(work); }
  /// From any thread; in order per sender. From another core: leaves when its turn ends.
  void post(Runnable& work);

  /// Static text naming what runs now, for the watchdog.
  void set_task_name(const char* name) noexcept {
    task_name_.store(name, std::memory_order_relaxed);
  }

  /// Runs the loop until stop(). The calling thread becomes the core's.
  void run();
  /// From any thread.
  void stop();
  /// One pass without sleeping or sockets, for virtual time: inbox, due timers, ready queue.
  /// True when there was anything to do.
  bool step();
  /// When step() will have something to do next; TimePoint::max() if only others can tell.
  TimePoint next_event() const { return timers_.next_event(); }

  /// For the Runtime: the cores that post() batches for.
  void set_siblings(std::vector<Core*> siblings);

  /// For the watchdog: when the running turn began (0 = asleep), and what it runs.
  std::int64_t turn_started_ns() const noexcept {
    return turn_started_.load(std::memory_order_relaxed);
  }
  const char* task_name() const noexcept { return task_name_.load(std::memory_order_relaxed); }

  struct Io;  // the Asio side: m3/async/asio.h
  Io& io() noexcept { return *io_; }

 private:
  friend class Turn;

  struct Queue {
    Runnable* head = nullptr;
    Runnable** tail = &head;
    bool empty() const noexcept { return head == nullptr; }
    void push(Runnable& work) noexcept {
      work.next = nullptr;
      *tail = &work;
      tail = &work.next;
    }
    Runnable* take() noexcept {
      Runnable* list = head;
      head = nullptr;
      tail = &head;
      return list;
    }
  };
  /// Messages for one other core, newest first, until the turn ends.
  struct Outbox {
    Runnable* newest = nullptr;
    Runnable* oldest = nullptr;
  };

  void begin_turn();
  void end_turn();
  void run_list(Runnable* list);
  bool drain_inbox();
  void deliver(Runnable* newest, Runnable* oldest);
  void flush_outboxes();
  void arm_timer();
  void sleep();

  const Options options_;
  const Clock& clock_;
  TimePoint now_;
  std::mt19937_64 random_;
  async_detail::TimerWheel timers_;
  Queue ready_;
  Queue turn_end_;
  unsigned depth_ = 0;
  bool outgoing_ = false;
  std::vector<Core*> siblings_;
  std::vector<Outbox> outboxes_;
  std::unique_ptr<Io> io_;
  TimePoint timer_armed_ = TimePoint::max();

  alignas(64) std::atomic<Runnable*> inbox_{nullptr};
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> stopping_{false};
  alignas(64) std::atomic<std::int64_t> turn_started_{0};
  std::atomic<const char*> task_name_{""};

  static inline constinit thread_local Core* current_ = nullptr;
};

/// Every entry from outside (a socket event, a timer, a test) into a core's work is one Turn.
/// Nested Turns on the same core are free.
class Turn {
 public:
  explicit Turn(Core& core) : core_(core), previous_(Core::current_) {
    Core::current_ = &core;
    if (core_.depth_++ == 0) core_.begin_turn();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (core_.depth_ == 1) core_.end_turn();
    --core_.depth_;
    Core::current_ = previous_;
  }

 private:
  Core& core_;
  Core* previous_;
};

}  // namespace m3
