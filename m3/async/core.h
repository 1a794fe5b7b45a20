// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "m3/async/clock.h"
#include "m3/async/ctx.h"
#include "m3/async/leaf.h"
#include "m3/async/timer_wheel.h"

namespace m3 {

/// One thread's world: an event loop, a ready queue, a timing wheel, an inbox from other threads,
/// a clock and a random generator. Owned by a Runtime (or a test's SimRuntime). Everything but
/// post(), wake-ups and the atomics for the watchdog belongs to the core's own thread.
///
/// Work happens in turns: the loop (a socket, a timer, the inbox) enters m3 through a Turn; when
/// the outermost Turn ends, the ready queue runs, then the turn-end queue (connections send their
/// collected frames), then messages to other cores leave in one batch per core.
///
/// A turn has a budget: after about kSlice of work in its events, and again in its ready queue, it
/// ends, the collected data is sent, and the rest waits until the other sockets and the timers have
/// had their turn. Code that does many pieces of work in a loop calls spent() after each of them.
///
/// Coroutines that waited are resumed from the ready queue and from nowhere else, so that user code
/// never runs inside a walk over one of m3's own lists.
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
  /// Read when a turn begins and while it works: at most about kSlice old, unless one piece of work
  /// alone took longer.
  TimePoint now() const noexcept { return now_; }
  /// Reads the clock (29 ns): for times that start at this very moment.
  TimePoint read_clock() const { return clock_.now(); }

  /// How long the events of a turn, and then its ready queue, may work before others get in.
  static constexpr Nanos kSlice = std::chrono::microseconds(500);
  /// One piece of work is done. True: the slice is over, stop and let others in.
  bool spent() noexcept { return --until_look_ == 0 && look(); }
  /// Whether the slice was over when the clock was last read.
  bool slice_over() const noexcept { return now_ >= slice_end_; }
  /// True: the core has hardly slept over many turns, so new work waits longer and longer behind
  /// other work. Known with a delay of a tenth of a second.
  bool saturated() const noexcept { return load_.saturated; }
  /// The time by which data that a socket shows for the first time in this turn had arrived. On a
  /// saturated core that is when all sockets were last polled; on any other core the data has just
  /// arrived.
  TimePoint came_by() const noexcept { return load_.saturated ? round_began_ : now_; }
  /// Seeded by the Runtime: the same seed gives the same run under a SimClock.
  std::mt19937_64& random() noexcept { return random_; }
  async_detail::TimerWheel& timers() noexcept { return timers_; }

  /// Runs later in this turn, in order.
  void ready(Runnable& work) noexcept { ready_.push(work); }
  /// Runs when the turn has nothing else to do, or its time is over.
  void at_turn_end(Runnable& work) noexcept { turn_end_.push(work); }
  /// From any thread; in order per sender. From another core: sent when its turn ends. Work that
  /// cores and helpers post before they end is always run, even if this core's thread ended before
  /// them: then on the thread of Runtime::stop(), with this core as current(). Other threads must
  /// not post while the runtime stops, nor later: the work might never run, and the objects it owns
  /// would leak.
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
  /// When step() will have something to do next; TimePoint::max() if it depends on others.
  TimePoint next_event() const { return timers_.next_event(); }

  /// For the Runtime, when no core runs any more: one turn for what was posted since. False: there
  /// was nothing. Timers and sockets are not included.
  bool last_turn();
  /// Turns that are run after stop() was requested, for messages sent before it; work that needs
  /// more never ends.
  static constexpr int kMostLastTurns = 1000;

  /// For the Runtime: the cores that post() batches for.
  void set_siblings(std::vector<Core*> siblings);

  /// For the watchdog: when the running turn began (0 = asleep), and what it runs.
  std::int64_t turn_started_ns() const noexcept {
    return turn_started_.load(std::memory_order_relaxed);
  }
  const char* task_name() const noexcept { return task_name_.load(std::memory_order_relaxed); }

  /// Inside a Walk: user code must not start here.
  bool walking() const noexcept { return walks_ > 0; }

  struct Io;  // the Asio side: m3/async/asio.h
  Io& io() noexcept { return *io_; }

 private:
  friend class Turn;

  struct Queue {
    Runnable* head = nullptr;
    Runnable* last = nullptr;
    bool empty() const noexcept { return head == nullptr; }
    void push(Runnable& work) noexcept { append(work, work); }
    /// A chain that is linked already.
    void append(Runnable& from, Runnable& to) noexcept {
      to.next = nullptr;
      (head ? last->next : head) = &from;
      last = &to;
    }
    /// The first one; the queue is not empty.
    Runnable& pop() noexcept {
      Runnable& work = *head;
      head = work.next;
      return work;
    }
  };
  /// Messages for one other core, newest first, until the turn ends.
  struct Outbox {
    Runnable* newest = nullptr;
    Runnable* oldest = nullptr;
  };

  /// Whether the core has time to spare: what it slept, window by window.
  struct Load {
    static constexpr Nanos kWindow = std::chrono::milliseconds(100);
    static constexpr unsigned kLeastTurns = 16;  // one long piece of work is not a queue
    static constexpr int kBusyPercent = 5;       // sleeps less: it is saturated
    static constexpr int kIdlePercent = 25;      // sleeps more: it no longer is
    TimePoint begin{};
    TimePoint asleep{};  // since; not set: awake
    Nanos slept{0};
    unsigned turns = 0;
    bool saturated = false;
  };
  void wake_up(TimePoint now) noexcept;
  void end_window() noexcept;

  void begin_turn();
  void begin_slice() noexcept;
  bool look() noexcept;
  void end_turn();
  void run_ready();
  bool run_pass();
  void run_turn_end();
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
  Load load_;
  TimePoint round_began_{};  // while saturated
  TimePoint slice_end_{};
  unsigned until_look_ = 1;  // pieces of work before the clock is read again
  unsigned between_looks_ = 1;
  unsigned wary_ = 0;  // looks that are still to come after each single piece
  friend class Walk;
  friend bool async_detail::may_resume() noexcept;
  unsigned walks_ = 0;
  bool resuming_ = false;
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

/// Marks a walk over one of m3's own lists. A debug build ends when a coroutine is resumed, or a
/// handler started, inside one.
class Walk {
 public:
  Walk() noexcept : core_(Core::try_current()) {
    if (core_) ++core_->walks_;
  }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;
  ~Walk() {
    if (core_) --core_->walks_;
  }

 private:
  Core* const core_;
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
