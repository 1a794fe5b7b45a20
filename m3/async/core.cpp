// SPDX-License-Identifier: BSL-1.0
#include "m3/async/core.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cassert>
#include <cerrno>
#include <system_error>
#include <utility>

#include "m3/async/asio.h"
#include "m3/async/edge_op.h"

namespace m3 {

namespace asio = boost::asio;
using async_detail::EdgeWatch;

namespace {
/// A turn returns control to the sockets after this many passes over the ready queue, even while a
/// virtual clock stands still.
constexpr int kMaxPasses = 64;
/// Most pieces of work between two clock reads: the cost of a read is spread over them.
constexpr unsigned kMostBetweenLooks = 4;
/// A piece of work that takes longer on average is expensive: the clock is read after each...
constexpr Nanos kExpensive = Core::kSlice / kMostBetweenLooks;
/// ...and after each of this many more, since expensive ones rarely come alone.
constexpr unsigned kWary = 64;
/// Events in one turn, so that the first of them does not wait long for its answer to be sent.
constexpr int kMostEvents = 64;
/// Bytes read in one turn, likewise: with large frames a second read costs more than a send saves.
constexpr std::size_t kMostBytes = 64u << 10;
/// Passes of the loop with one event each before it polls for a second.
constexpr unsigned kLookAfter = 16;
}  // namespace

/// The sockets' side. An eventfd wakes a sleeping core; it is edge-triggered and never read.
struct Core::Io {
  Io() : wake_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (wake_fd < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    watch = std::make_unique<EdgeWatch>(context, wake_fd, &Io::woken, this);
    watch->wait();
  }
  Io(const Io&) = delete;
  Io& operator=(const Io&) = delete;
  ~Io() {
    watch->close();
    ::close(wake_fd);
  }
  static void woken(void* self) {
#if !M3_EDGE_OP
    eventfd_t count = 0;
    eventfd_read(static_cast<Io*>(self)->wake_fd, &count);
#endif
    static_cast<Io*>(self)->watch->wait();
  }
  void wake() const { eventfd_write(wake_fd, 1); }

  /// A mark that runs after the events known now, and right before those that the next poll of all
  /// sockets finds. Set in turns only, so that a core without work can sleep.
  void mark_round(Core& core) {
    if (std::exchange(marked, true)) return;
    asio::post(context, asio::bind_allocator(async_detail::PoolAllocator<void>(), [this, &core] {
                 marked = false;
                 core.round_began_ = core.clock_.now();
               }));
  }

  /// Events that arrived at the same time are handled in one turn, so that their data for one peer
  /// is sent in one piece. Polling for more costs a system call: it is done if the last poll found
  /// some, and now and then.
  void gather(Core& core, bool surely) {
    if (!surely && !crowded && ++calm_passes % kLookAfter != 0) return;
    Turn turn(core);
    int events = 0;
    read_bytes = 0;
    while (events < kMostEvents && read_bytes < kMostBytes && !core.slice_over() &&
           context.poll_one()) {
      ++events;
      core.spent();
    }
    crowded = events > 0;
  }

  asio::io_context context{1};
  asio::steady_timer timer{context};
  int wake_fd;
  std::unique_ptr<EdgeWatch> watch;
  bool crowded = false;
  bool marked = false;         // the mark of a round is queued
  std::size_t read_bytes = 0;  // in gather()
  unsigned calm_passes = 0;
};

asio::io_context& io_context(Core& core) { return core.io().context; }

void async_detail::count_read(Core& core, std::size_t bytes) noexcept {
  core.io().read_bytes += bytes;
}

Core::Core(Options options, const Clock& clock)
    : options_(options),
      clock_(clock),
      now_(clock.now()),
      random_(options.seed),
      timers_(now_),
      io_(std::make_unique<Io>()) {}

Core::~Core() {
  // Work that was posted after the last turn never runs; it belongs to its senders.
  assert(depth_ == 0);
}

void Core::set_siblings(std::vector<Core*> siblings) {
  outboxes_.resize(siblings.size());
  siblings_ = std::move(siblings);
}

void Core::post(Runnable& work) {
  Core* from = current_;
  if (from == this) return ready(work);
  if (from && index() < from->outboxes_.size() && from->siblings_[index()] == this) {
    Outbox& box = from->outboxes_[index()];
    work.next = box.newest;
    box.newest = &work;
    if (!box.oldest) box.oldest = &work;
    from->outgoing_ = true;
    return;
  }
  deliver(&work, &work);
}

void Core::deliver(Runnable* newest, Runnable* oldest) {
  Runnable* head = inbox_.load(std::memory_order_relaxed);
  do {
    oldest->next = head;
  } while (!inbox_.compare_exchange_weak(head, newest, std::memory_order_seq_cst,
                                         std::memory_order_relaxed));
  if (sleeping_.load(std::memory_order_seq_cst) && sleeping_.exchange(false)) io_->wake();
}

void Core::flush_outboxes() {
  outgoing_ = false;
  for (std::size_t i = 0; i < outboxes_.size(); ++i) {
    Outbox& box = outboxes_[i];
    if (!box.newest) continue;
    siblings_[i]->deliver(std::exchange(box.newest, nullptr), std::exchange(box.oldest, nullptr));
  }
}

/// Work posted by other threads is queued after the ready work, in the order of each sender.
bool Core::drain_inbox() {
  Runnable* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
  if (!newest) return false;
  Runnable* oldest_first = nullptr;
  for (Runnable* list = newest; list;) {
    Runnable* next = list->next;
    list->next = oldest_first;
    oldest_first = list;
    list = next;
  }
  ready_.append(*oldest_first, *newest);
  return true;
}

void Core::begin_turn() {
  sleeping_.store(false, std::memory_order_relaxed);
  now_ = clock_.now();
  ++load_.turns;
  wake_up(now_);
  if (now_ - load_.begin >= Load::kWindow) end_window();
  if (load_.saturated) io_->mark_round(*this);
  begin_slice();
  turn_started_.store(now_.time_since_epoch().count(), std::memory_order_relaxed);
}

void Core::wake_up(TimePoint now) noexcept {
  if (load_.asleep == TimePoint()) return;
  load_.slept += now - std::exchange(load_.asleep, TimePoint());
}

/// Two limits, so that a moment without work does not hide an overload.
void Core::end_window() noexcept {
  const Nanos passed = now_ - load_.begin;
  const int most = load_.saturated ? Load::kIdlePercent : Load::kBusyPercent;
  if (!load_.saturated) round_began_ = now_;
  load_.saturated = load_.slept * 100 < passed * most && load_.turns >= Load::kLeastTurns;
  load_.begin = now_;
  load_.slept = Nanos(0);
  load_.turns = 0;
}

void Core::begin_slice() noexcept {
  slice_end_ = now_ + kSlice;
  until_look_ = between_looks_;
}

/// Reads the clock, and decides by the cost of the last pieces of work when to read it again.
bool Core::look() noexcept {
  const TimePoint now = clock_.now();
  const bool expensive = now - std::exchange(now_, now) > kExpensive * between_looks_;
  if (expensive)
    wary_ = kWary;
  else if (wary_ > 0)
    --wary_;
  between_looks_ = wary_ > 0 ? 1 : std::min(between_looks_ + 1, kMostBetweenLooks);
  until_look_ = between_looks_;
  return slice_over();
}

void Core::end_turn() {
  run_ready();
  if (outgoing_) flush_outboxes();
  turn_started_.store(0, std::memory_order_relaxed);
  task_name_.store("", std::memory_order_relaxed);
}

/// The ready queue has its own slice: it makes progress, however much the sockets deliver.
void Core::run_ready() {
  if (slice_over()) now_ = clock_.now();
  begin_slice();
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    if (!ready_.empty()) {
      if (!run_pass()) break;
    } else if (!turn_end_.empty()) {
      run_turn_end();
    } else {
      break;
    }
  }
  if (!turn_end_.empty()) run_turn_end();
}

/// Runs what is ready now, not what becomes ready meanwhile. False: the slice was over first.
bool Core::run_pass() {
  resuming_ = true;
  bool in_time = true;
  for (const Runnable* last = ready_.last; in_time;) {
    Runnable& work = ready_.pop();  // before it runs: it may be destroyed, or queued again
    const bool done = &work == last;
    work.run(work);
    in_time = !spent();
    if (done) break;
  }
  resuming_ = false;
  return in_time;
}

void Core::run_turn_end() {
  for (Runnable* list = std::exchange(turn_end_.head, nullptr); list;) {
    Runnable* work = list;
    list = list->next;
    work->run(*work);
  }
}

bool async_detail::may_resume() noexcept {
  const Core* core = Core::try_current();
  return core && core->resuming_ && core->walks_ == 0;
}

void Core::run() {
  Core* previous = std::exchange(current_, nullptr);
  while (!stopping_.load(std::memory_order_acquire)) {
    if (!ready_.empty() || !turn_end_.empty() || inbox_.load(std::memory_order_relaxed)) {
      Turn turn(*this);
      drain_inbox();
    }
    arm_timer();
    const bool more = !ready_.empty() || !turn_end_.empty();
    if (!more) {
      load_.asleep = clock_.now();  // until the first turn
      sleep();
      if (load_.asleep != TimePoint()) wake_up(clock_.now());
    }
    io_->gather(*this, more);  // sockets first, then the rest of a turn's work
  }
  // Messages sent before the end are still run: a message may be the only owner of its record.
  for (int turns = 0; turns < kMostLastTurns && last_turn(); ++turns) {
  }
  current_ = previous;
  async_detail::FramePool::drain();
}

bool Core::last_turn() {
  Turn turn(*this);
  return drain_inbox() || !ready_.empty();
}

void Core::sleep() {
  if (options_.spin > Nanos(0)) {
    const TimePoint until = clock_.now() + options_.spin;
    do {
      if (io_->context.poll_one() || inbox_.load(std::memory_order_relaxed)) return;
    } while (clock_.now() < until);
  }
  sleeping_.store(true, std::memory_order_seq_cst);
  if (inbox_.load(std::memory_order_seq_cst) == nullptr &&
      !stopping_.load(std::memory_order_seq_cst))
    io_->context.run_one();
  sleeping_.store(false, std::memory_order_relaxed);
}

void Core::arm_timer() {
  const TimePoint next = timers_.next_event();
  if (next >= timer_armed_) return;
  timer_armed_ = next;
  io_->timer.expires_at(next);
  io_->timer.async_wait(asio::bind_allocator(async_detail::PoolAllocator<void>(),
                                             [this](const boost::system::error_code& error) {
                                               if (error) return;
                                               timer_armed_ = TimePoint::max();
                                               Turn turn(*this);
                                               timers_.advance(now_);
                                             }));
}

void Core::stop() {
  stopping_.store(true, std::memory_order_seq_cst);
  io_->wake();
}

bool Core::step() {
  load_.asleep = now_;  // virtual time passes between steps
  Turn turn(*this);
  bool worked = drain_inbox();
  if (timers_.next_event() <= now_) {
    timers_.advance(now_);
    worked = true;
  }
  return worked || !ready_.empty();
}

}  // namespace m3
