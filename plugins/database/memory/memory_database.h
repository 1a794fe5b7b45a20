// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string_view>

#include "m3/config/schema.h"
#include "m3/plugin/database.h"

namespace m3 {

/// `[database.memory]`: rows in this process, lost when it ends; for tests, and for data that need
/// not be kept. Apps that are embedded together and share their parts (App::Embedding::shared) see
/// the same rows. Callers always get copies. Answers at once, from any core.
class MemoryDatabase final : public Database {
 public:
  static constexpr std::string_view kName = "memory";
  static constexpr int kStage = Stage::store;
  struct Config {
    static void describe(Schema<Config>&) {}
  };

  MemoryDatabase(Env& env, const Config& config);
  ~MemoryDatabase() override;

  bool reaches_other_processes() const override { return false; }
  Task<RowAnswer> run(Ctx& ctx, RowRequest request) override;
  Task<RowPage> scan_rows(Ctx& ctx, RowScan scan) override;

 private:
  class Tables;
  const std::shared_ptr<Tables> tables_;
};

}  // namespace m3
