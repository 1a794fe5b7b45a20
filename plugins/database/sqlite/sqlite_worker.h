// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "m3/async/bound.h"
#include "m3/async/ctx.h"
#include "m3/async/leaf.h"
#include "m3/obs/metric.h"
#include "m3/plugin/database.h"
#include "plugins/database/sqlite/sqlite_file.h"

namespace m3::sqlite_detail {

class JobOp;

/// One request on its way to the file and back. Shared by the operation that waits for it, which
/// may leave, and the worker.
class Job final : public async_detail::Runnable {
 public:
  using Request = std::variant<RowRequest, RowScan>;
  Job(Core& home, Request request)
      : Runnable(async_detail::run_member<Runnable, &Job::come_home>),
        home_(home),
        request_(std::move(request)),
        bytes_(bytes_of(request_)) {}

  std::size_t bytes() const noexcept { return bytes_; }
  bool writes() const noexcept;

  // ---- on the worker's thread
  /// False: its answer is no longer expected.
  bool take() noexcept { return claim(State::taken); }
  /// Runs it in a transaction. False: the transaction must be rolled back.
  bool run(SqliteFile& file);
  std::size_t answer_bytes() const noexcept { return answer_bytes_; }
  /// It has not happened.
  void fail(Status why) { status_ = std::move(why); }
  static void send_home(std::shared_ptr<Job> self);

  // ---- on the home core
  /// True: it will not happen.
  bool abandon() noexcept { return claim(State::abandoned); }
  Status& status() noexcept { return status_; }
  RowAnswer& answer() noexcept { return answer_; }
  RowPage& page() noexcept { return page_; }
  JobOp* op = nullptr;

 private:
  enum class State : std::uint8_t { waiting, taken, abandoned };
  bool claim(State wanted) noexcept {
    State expected = State::waiting;
    return state_.compare_exchange_strong(expected, wanted);
  }
  static std::size_t bytes_of(const Request& request) noexcept;
  void come_home();

  Core& home_;
  const Request request_;
  const std::size_t bytes_;
  std::size_t answer_bytes_ = 0;
  std::atomic<State> state_{State::waiting};
  Status status_;
  RowAnswer answer_;
  RowPage page_;
  std::shared_ptr<Job> keep_;
};

/// The thread that owns the file. All requests waiting when a transaction begins are part of it, so
/// that many writes share one wait for the disk.
class SqliteWorker {
 public:
  struct Options {
    SqliteFile::Options file;
    std::size_t max_pending = 0;  ///< largest backlog in bytes
  };
  SqliteWorker(Options options, MetricRegistry& metrics);
  SqliteWorker(const SqliteWorker&) = delete;
  SqliteWorker& operator=(const SqliteWorker&) = delete;
  ~SqliteWorker();  ///< stop()

  /// Opens the file and starts the thread. Blocks.
  Status start();
  /// Accepts no more requests, runs the waiting ones, closes the file. Blocks. May be called again.
  void stop();

  /// From any core. resource_exhausted: the backlog is full; unavailable: it is not running.
  Status submit(std::shared_ptr<Job> job);

 private:
  using Batch = std::vector<std::shared_ptr<Job>>;
  void serve();
  Batch next_batch();
  void run(Batch batch);
  std::size_t run_some(const Batch& batch, std::size_t from);
  Status run_together(const Batch& batch, std::size_t from, std::size_t& end,
                      std::size_t most = SIZE_MAX);
  void checkpoint_if(int pages);

  const std::size_t max_pending_;
  SqliteFile file_;
  Counter transactions_;
  Counter steps_;
  Histogram commit_seconds_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> waiting_;
  std::size_t pending_ = 0;  // bytes in waiting_
  bool open_ = false;
  bool stopped_ = false;
  std::thread thread_;
};

/// co_await it: ends when the job has returned.
class JobOp final : public async_detail::CtxOp {
 public:
  using value_type = void;
  JobOp(Ctx& ctx, SqliteWorker& worker, std::shared_ptr<Job> job)
      : CtxOp(ctx), worker_(worker), job_(std::move(job)) {}
  JobOp(JobOp&& other) noexcept
      : CtxOp(other.ctx()), worker_(other.worker_), job_(std::move(other.job_)) {}

  bool start(async_detail::Waiter& waiter);
  void take() const noexcept {}

 private:
  friend class Job;
  void detach() noexcept override;
  Status cancel_status() const override;

  SqliteWorker& worker_;
  std::shared_ptr<Job> job_;
  bool never_ran_ = true;  // as long as it was not submitted
};

}  // namespace m3::sqlite_detail
