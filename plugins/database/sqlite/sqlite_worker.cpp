// SPDX-License-Identifier: BSL-1.0
#include "plugins/database/sqlite/sqlite_worker.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

#include "m3/async/core.h"
#include "m3/async/core_bound.h"
#include "m3/obs/log.h"

namespace m3::sqlite_detail {
namespace {

/// Steps that share a transaction. More make the first of them wait without being faster.
constexpr std::size_t kLargestBatch = 1024;
/// Bytes of answers that are kept until their transaction has ended.
constexpr std::size_t kLargestAnswers = 16u << 20;
/// Pages in the log (of 4 KiB): above the first number it is written into the file when nothing is
/// waiting, above the second one in any case.
constexpr int kPagesWhenIdle = 1000;
constexpr int kPagesAtMost = 16'000;

}  // namespace

// ------------------------------------------------------------------------------------------ job

std::size_t Job::bytes_of(const Request& request) noexcept {
  constexpr std::size_t kOverhead = 256;
  const auto* row = std::get_if<RowRequest>(&request);
  if (!row) return kOverhead;
  std::size_t bytes = kOverhead + row->key.size();
  for (const StoredField& field : row->fields) bytes += sizeof field + field.bytes.size();
  return bytes;
}

bool Job::writes() const noexcept {
  const auto* row = std::get_if<RowRequest>(&request_);
  return row && row->writes();
}

bool Job::run(SqliteFile& file) {
  answer_bytes_ = 0;
  if (const auto* row = std::get_if<RowRequest>(&request_)) {
    Result<RowAnswer> answer = file.run(*row);
    status_ = answer.is_ok() ? Status() : answer.status();
    if (answer.is_ok()) answer_ = *std::move(answer);
    for (const StoredField& field : answer_.fields) answer_bytes_ += field.bytes.size();
  } else {
    Result<RowPage> page = file.scan(std::get<RowScan>(request_));
    status_ = page.is_ok() ? Status() : page.status();
    if (page.is_ok()) page_ = *std::move(page);
    answer_bytes_ = page_.rows.empty() ? 0 : RowScan::kLargestPageBytes;
  }
  return !file.is_broken();
}

void Job::send_home(std::shared_ptr<Job> self) {
  Job& job = *self;
  job.keep_ = std::move(self);
  job.home_.post(job);
}

void Job::come_home() {
  const std::shared_ptr<Job> self = std::move(keep_);
  if (op) op->finish(std::move(status_));
}

bool JobOp::start(async_detail::Waiter& waiter) {
  if (refused()) return true;
  job_->op = this;
  error() = worker_.submit(job_);
  if (!error()) return true;
  suspend(waiter);
  return false;
}

void JobOp::detach() noexcept {
  job_->op = nullptr;
  never_ran_ = job_->abandon();
}

Status JobOp::cancel_status() const {
  Status status = CtxOp::cancel_status();
  return never_ran_ ? std::move(status).not_executed() : status;
}

// --------------------------------------------------------------------------------------- worker

SqliteWorker::SqliteWorker(Options options, MetricRegistry& metrics)
    : max_pending_(options.max_pending),
      file_(std::move(options.file)),
      transactions_(metrics.counter("m3_database_transactions_total",
                                    "Transactions that were begun", {{"database", "sqlite"}})),
      steps_(metrics.counter("m3_database_steps_total", "Steps of rows that were run",
                             {{"database", "sqlite"}})),
      commit_seconds_(metrics.histogram("m3_database_transaction_seconds",
                                        "How long a transaction took, with its wait for the disk",
                                        {{"database", "sqlite"}})) {}

SqliteWorker::~SqliteWorker() { stop(); }

Status SqliteWorker::start() {
  if (Status opened = file_.open(); !opened) return opened;
  const std::lock_guard lock(mutex_);
  if (stopped_) {  // meanwhile: the start was given up
    file_.close();
    return Status(Errc::cancelled, "the database was stopped while it opened its file");
  }
  // Signals are for the threads that expect them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Status started;
  open_ = true;
  try {
    thread_ = std::thread([this] { serve(); });
  } catch (const std::system_error& e) {
    open_ = false;
    started = Status(Errc::resource_exhausted, std::string("no thread: ") + e.what());
    file_.close();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

void SqliteWorker::stop() {
  std::thread ending;
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
    stopped_ = true;
    ending = std::move(thread_);
  }
  changed_.notify_one();
  if (ending.joinable()) ending.join();
}

Status SqliteWorker::submit(std::shared_ptr<Job> job) {
  {
    const std::lock_guard lock(mutex_);
    if (!open_) return Status(Errc::unavailable, "the SQLite database is not open").not_executed();
    if (pending_ + job->bytes() > max_pending_)
      return Status(Errc::resource_exhausted,
                    "the backlog of unstored data is over database.sqlite.max_pending")
          .not_executed();
    pending_ += job->bytes();
    waiting_.push_back(std::move(job));
  }
  changed_.notify_one();
  return ok;
}

SqliteWorker::Batch SqliteWorker::next_batch() {
  std::unique_lock lock(mutex_);
  if (waiting_.empty() && open_ && file_.log_pages() >= kPagesWhenIdle) {
    lock.unlock();
    checkpoint_if(kPagesWhenIdle);
    lock.lock();
  }
  changed_.wait(lock, [&] { return !waiting_.empty() || !open_; });
  Batch batch;
  while (!waiting_.empty() && batch.size() < kLargestBatch) {
    pending_ -= waiting_.front()->bytes();
    if (waiting_.front()->take()) batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return batch;
}

void SqliteWorker::serve() {
  pthread_setname_np(pthread_self(), "m3-sqlite");
  async_detail::on_helper_thread = true;
  for (;;) {
    Batch batch = next_batch();
    if (!batch.empty()) {
      run(std::move(batch));
      checkpoint_if(kPagesAtMost);
      continue;
    }
    const std::lock_guard lock(mutex_);
    if (!open_ && waiting_.empty()) break;
  }
  checkpoint_if(1);
  file_.close();
}

/// Runs all of them, in as many transactions as their answers need.
void SqliteWorker::run(Batch batch) {
  for (std::size_t from = 0; from < batch.size();) {
    const std::size_t end = run_some(batch, from);
    for (; from < end; ++from) Job::send_home(std::move(batch[from]));
  }
}

/// From batch[from] on; returns the first one that was left out, because the answers grew large.
std::size_t SqliteWorker::run_some(const Batch& batch, std::size_t from) {
  const auto first = batch.begin() + static_cast<std::ptrdiff_t>(from);
  const bool writes =
      std::any_of(first, batch.end(), [](const auto& job) { return job->writes(); });
  std::size_t end = from;
  Status status = file_.begin(writes);
  const bool begun = status.is_ok();
  if (begun) {
    status = run_together(batch, from, end);
    if (status) return end;
    log::warn_limited("{}", status.to_string());
  } else {
    end = batch.size();
    log::warn_limited("{}", status.to_string());
  }
  // What fails together may work alone: a read while the disk is full or another process has the
  // write lock, all except one of them. When no write can begin, each further one would wait for
  // the lock as long as the first.
  bool locked = !begun;
  const bool alone = !begun || end - from > 1;
  for (std::size_t i = from; i < end; ++i) {
    Job& job = *batch[i];
    if (alone && !(locked && job.writes())) {
      std::size_t after = i;
      Status own = file_.begin(job.writes());
      if (!own && job.writes()) locked = true;
      if (own) own = run_together(batch, i, after, i + 1);
      if (!own) job.fail(std::move(own));
    } else {
      job.fail(status);
    }
  }
  return end;
}

/// In the transaction that was begun; `end` is behind the last one that was run. An error: nothing
/// of it counts.
Status SqliteWorker::run_together(const Batch& batch, std::size_t from, std::size_t& end,
                                  std::size_t most) {
  const auto begin = std::chrono::steady_clock::now();
  transactions_.inc();
  std::size_t bytes = 0;
  for (end = from; end < std::min(batch.size(), most) && bytes < kLargestAnswers;) {
    Job& job = *batch[end++];
    steps_.inc();
    if (!job.run(file_)) {
      file_.rollback();
      return job.status();
    }
    bytes += job.answer_bytes();
  }
  Status committed = file_.commit();
  commit_seconds_.observe(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return committed;
}

void SqliteWorker::checkpoint_if(int pages) {
  if (file_.log_pages() < pages) return;
  if (Status written = file_.checkpoint(); !written) log::warn_limited("{}", written.to_string());
}

}  // namespace m3::sqlite_detail
