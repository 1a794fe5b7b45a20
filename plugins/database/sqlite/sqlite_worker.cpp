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
  if (const auto* row = std::get_if<RowRequest>(&request_)) {
    Result<RowAnswer> answer = file.run(*row);
    status_ = answer.is_ok() ? Status() : answer.status();
    if (answer.is_ok()) answer_ = *std::move(answer);
  } else {
    Result<RowPage> page = file.scan(std::get<RowScan>(request_));
    status_ = page.is_ok() ? Status() : page.status();
    if (page.is_ok()) page_ = *std::move(page);
  }
  // A row that cannot be read, or would grow too large, does not fail the other steps.
  return status_.is_ok() || status_ == Errc::data_loss || status_ == Errc::invalid_argument;
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
  // Signals are for the threads that expect them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Status started;
  try {
    thread_ = std::thread([this] { serve(); });
    const std::lock_guard lock(mutex_);
    open_ = true;
  } catch (const std::system_error& e) {
    started = Status(Errc::resource_exhausted, std::string("no thread: ") + e.what());
    file_.close();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

void SqliteWorker::stop() {
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
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
      run(batch);
      for (auto& job : batch) Job::send_home(std::move(job));
      checkpoint_if(kPagesAtMost);
      continue;
    }
    const std::lock_guard lock(mutex_);
    if (!open_ && waiting_.empty()) break;
  }
  checkpoint_if(1);
  file_.close();
}

void SqliteWorker::run(const Batch& batch) {
  const bool writes =
      std::any_of(batch.begin(), batch.end(), [](const auto& job) { return job->writes(); });
  Status status = file_.begin(writes);
  const bool begun = status.is_ok();
  if (begun) status = run_together(batch);
  if (status) return;
  log::warn_limited("{}", status.to_string());
  // Steps that fail together may succeed alone: a read while the disk is full, or all but one of
  // them. When no transaction can begin, each further attempt would wait for the lock as long as
  // the first.
  const bool alone = begun && batch.size() > 1;
  bool locked = false;
  for (const auto& job : batch) {
    if (alone && !locked) {
      status = file_.begin(job->writes());
      locked = !status;
      if (status) status = run_together({job});
    }
    if (!status) job->fail(status);
  }
}

/// In the transaction that was begun. An error: nothing has happened.
Status SqliteWorker::run_together(const Batch& batch) {
  const auto begin = std::chrono::steady_clock::now();
  transactions_.inc();
  steps_.add(batch.size());
  for (const auto& job : batch) {
    if (job->run(file_)) continue;
    file_.rollback();
    return job->status();
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
