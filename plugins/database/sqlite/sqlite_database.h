// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "m3/base/byte_size.h"
#include "m3/base/duration.h"
#include "m3/config/schema.h"
#include "m3/plugin/database.h"

namespace m3 {

namespace sqlite_detail {
class SqliteWorker;
}

/// `[database.sqlite]`: rows in a file of this machine. A separate thread owns the file; requests
/// that arrive while it writes share the next transaction. An answered write survives kill -9, and
/// with `synchronous = "full"`, the default, a power failure. Several processes of one machine may
/// use a file (not over a network file system); each waits for the others' transactions.
class SqliteDatabase final : public Database {
 public:
  static constexpr std::string_view kName = "sqlite";
  static constexpr int kStage = Stage::store;
  struct Config {
    std::string path;
    std::string synchronous = "full";
    Duration busy_timeout = std::chrono::seconds(5);
    ByteSize max_pending{64u << 20};
    static void describe(Schema<Config>& s);
  };

  SqliteDatabase(Env& env, const Config& config);
  ~SqliteDatabase() override;

  bool reaches_other_processes() const override { return true; }
  Task<> start(Ctx& ctx) override;
  Task<> stop(Ctx& ctx) override;
  Task<RowAnswer> run(Ctx& ctx, RowRequest request) override;
  Task<RowPage> scan_rows(Ctx& ctx, RowScan scan) override;

 private:
  Runtime& runtime_;
  /// Shared with helper threads, which may still open or close the file when this is left behind.
  std::shared_ptr<sqlite_detail::SqliteWorker> worker_;
};

}  // namespace m3
