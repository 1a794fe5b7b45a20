// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/detail/log_writer.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <system_error>
#include <utility>

namespace m3::obs_detail {
namespace {

constexpr std::size_t kUrgentBytes = 64 << 10;  // extra room for urgent lines beyond the limit

/// Blocks every signal while it exists. A thread inherits the mask of the one that starts it.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

/// The thread may have been started by a core that is bound to one CPU, and would share it.
void run_where_the_process_may() {
  cpu_set_t allowed;
  if (sched_getaffinity(getpid(), sizeof allowed, &allowed) == 0)
    sched_setaffinity(0, sizeof allowed, &allowed);
}

/// As many whole lines as one write(2) into a pipe keeps together; a longer line is one piece.
std::string_view next_piece(std::string_view rest) {
  if (rest.size() <= PIPE_BUF) return rest;
  const std::size_t last = rest.substr(0, PIPE_BUF).rfind('\n');
  return rest.substr(0, last == std::string_view::npos ? rest.find('\n') + 1 : last + 1);
}

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

LogWriter::LogWriter(int descriptor, std::size_t most_bytes)
    : descriptor_(descriptor), most_bytes_(most_bytes) {}

LogWriter::~LogWriter() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool LogWriter::has_room(std::size_t bytes, bool urgent) const {
  return queue_.size() + in_hand_ + bytes <= most_bytes_ + (urgent ? kUrgentBytes : 0);
}

void LogWriter::write(std::string_view line, bool urgent) {
  const std::size_t bytes = line.size() + 1;
  std::lock_guard lock(mutex_);
  if (!has_room(bytes, urgent)) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    ++unreported_;
    return;
  }
  queue_ += line;
  queue_ += '\n';
  taken_ += bytes;
  if (!thread_.joinable()) start();
  if (idle_) changed_.notify_one();
}

/// If no thread can be created now, the next line tries again; until then lines are kept.
void LogWriter::start() try {
  const AllSignalsBlocked blocked;
  thread_ = std::thread([this] { run(); });
} catch (const std::system_error&) {
  return;
}

void LogWriter::run() {
  pthread_setname_np(pthread_self(), "m3-log");
  run_where_the_process_may();
  std::string batch;
  std::unique_lock lock(mutex_);
  for (;;) {
    idle_ = true;
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    idle_ = false;
    if (queue_.empty()) return;
    batch.clear();
    batch.swap(queue_);
    in_hand_ = batch.size();
    std::uint64_t dropped = std::exchange(unreported_, 0);  // behind the lines of this batch
    lock.unlock();
    write_batch(batch);
    lock.lock();
    if (queue_.empty()) dropped += std::exchange(unreported_, 0);
    lock.unlock();
    const bool told = dropped == 0 || report(dropped);
    lock.lock();
    if (!told) unreported_ += dropped;
  }
}

void LogWriter::write_batch(std::string_view batch) {
  while (!batch.empty()) {
    const std::string_view piece = next_piece(batch);
    const bool written = write_piece(piece);
    batch.remove_prefix(piece.size());
    std::lock_guard lock(mutex_);
    if (!written) {
      const std::uint64_t lost = count_lines(piece);
      dropped_.fetch_add(lost, std::memory_order_relaxed);
      unreported_ += lost;
    }
    in_hand_ -= piece.size();
    done_ += piece.size();
    progressed_.notify_all();
  }
}

bool LogWriter::report(std::uint64_t dropped) const {
  return write_piece(std::to_string(dropped) + " log lines were dropped\n");
}

/// False: the descriptor refused it (the disk is full, the reader is gone). A piece that is written
/// only in part and then refused counts as lost.
bool LogWriter::write_piece(std::string_view piece) const {
  while (!piece.empty()) {
    const ssize_t written = ::write(descriptor_, piece.data(), piece.size());
    if (written > 0) {
      piece.remove_prefix(static_cast<std::size_t>(written));
    } else if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      pollfd ready{descriptor_, POLLOUT, 0};  // another process made the descriptor non-blocking
      (void)::poll(&ready, 1, -1);
    } else if (written == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool LogWriter::flush(std::chrono::nanoseconds limit) {
  std::unique_lock lock(mutex_);
  const std::uint64_t target = taken_;
  if (done_ >= target) return true;
  if (!thread_.joinable()) start();
  if (!thread_.joinable() || done_ == in_vain_at_) return false;
  if (progressed_.wait_for(lock, limit, [&] { return done_ >= target; })) return true;
  in_vain_at_ = done_;
  return false;
}

}  // namespace m3::obs_detail
