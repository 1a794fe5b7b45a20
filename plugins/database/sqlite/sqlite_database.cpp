// SPDX-License-Identifier: BSL-1.0
#include "plugins/database/sqlite/sqlite_database.h"

#include <utility>

#include "plugins/database/sqlite/sqlite_worker.h"

namespace m3 {

using sqlite_detail::Job;
using sqlite_detail::JobOp;
using sqlite_detail::SqliteWorker;

void SqliteDatabase::Config::describe(Schema<Config>& s) {
  s.add("path", &Config::path)
      .doc(
          "path of the file, which is created if it is missing, unlike its folder; ${NAME} is "
          "replaced by a variable")
      .required()
      .not_empty();
  s.add("synchronous", &Config::synchronous)
      .doc(
          "full: an answered write survives a power failure; normal: it survives the end of the "
          "process, but a power failure may undo the last ones")
      .choices({"full", "normal"});
  s.add("busy_timeout", &Config::busy_timeout)
      .doc("how long to wait while another process writes the file")
      .range(std::chrono::milliseconds(1), std::chrono::minutes(1));
  s.add("max_pending", &Config::max_pending)
      .doc("largest backlog of unstored data; requests beyond it fail")
      .range(ByteSize{1u << 20}, ByteSize{std::uint64_t{4} << 30});
}

SqliteDatabase::SqliteDatabase(Env& env, const Config& config) : runtime_(env.runtime()) {
  SqliteWorker::Options options;
  options.file.path = config.path;
  options.file.synchronous = config.synchronous == "full" ? sqlite_detail::Synchronous::full
                                                          : sqlite_detail::Synchronous::normal;
  options.file.busy_timeout =
      std::chrono::duration_cast<std::chrono::milliseconds>(Nanos(config.busy_timeout));
  options.max_pending = config.max_pending.bytes;
  worker_ = std::make_shared<SqliteWorker>(std::move(options), env.metrics());
}

SqliteDatabase::~SqliteDatabase() = default;

Task<> SqliteDatabase::start(Ctx& ctx) {
  co_await run_blocking(ctx, runtime_, [worker = worker_] { return worker->start(); });
  co_return ok;
}

Task<> SqliteDatabase::stop(Ctx& ctx) {
  co_await run_blocking(ctx, runtime_, [worker = worker_] { worker->stop(); });
  co_return ok;
}

Task<RowAnswer> SqliteDatabase::run(Ctx& ctx, RowRequest request) {
  const auto job = std::make_shared<Job>(ctx.core(), std::move(request));
  co_await JobOp(ctx, *worker_, job);
  co_return std::move(job->answer());
}

Task<RowPage> SqliteDatabase::scan_rows(Ctx& ctx, RowScan scan) {
  const auto job = std::make_shared<Job>(ctx.core(), std::move(scan));
  co_await JobOp(ctx, *worker_, job);
  co_return std::move(job->page());
}

}  // namespace m3
