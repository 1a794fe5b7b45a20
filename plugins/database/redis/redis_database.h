// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/byte_size.h"
#include "m3/base/duration.h"
#include "m3/config/schema.h"
#include "m3/plugin/database.h"

namespace m3 {

namespace redis_detail {
class RedisRows;
}

/// `[database.redis]`: rows on a Redis server (7 or later), which all apps of a world share. Each
/// step is one run of a script there, so it is atomic. Every core has a connection of its own, and
/// sends steps without waiting for the answers to earlier ones.
///
/// What an answered write survives depends on the server's configuration. With `appendonly yes` and
/// `appendfsync always` it survives the end of the server's process and a power failure; with
/// `appendfsync everysec` a power failure may undo the last second, and without an append-only file
/// a restart undoes everything since the last snapshot. Replicas receive a write after it was
/// answered: a fail-over may undo the last ones.
///
/// A step that cannot run (the server is away, is loading its data, or has become a replica) is
/// retried for `retry_time`, within its deadline. When the connection is lost after a step was
/// sent, a read, check or activate is sent again, because running it twice gives the same answer.
/// Any other step ends with unavailable and maybe_executed: the owner of a row sends the same save
/// or release again to find out (version_differs, with a version one higher: it was saved; fenced,
/// without an owner and under the same epoch: it was released). A read may be answered by a server
/// that has just become a replica; every other answer comes from a server that may write.
///
/// The keys of a table are listed in an index, which is no part of the step: a key is added before
/// its row has an entity, and stays there when that is erased.
class RedisDatabase final : public Database {
 public:
  static constexpr std::string_view kName = "redis";
  static constexpr int kStage = Stage::store;
  struct Config {
    std::string address = "127.0.0.1:6379";
    std::string user;
    std::string password;
    std::string prefix = "m3:";
    Duration retry_time = std::chrono::seconds(2);
    ByteSize max_pending{64u << 20};
    Duration connect_timeout = std::chrono::seconds(2);
    Duration ping_interval = std::chrono::seconds(2);
    static void describe(Schema<Config>& s);
  };

  RedisDatabase(Env& env, const Config& config);
  ~RedisDatabase() override;

  bool reaches_other_processes() const override { return true; }
  void steps(Steps& steps) override;
  Task<RowAnswer> run(Ctx& ctx, RowRequest request) override;
  Task<RowPage> scan_rows(Ctx& ctx, RowScan scan) override;

 private:
  redis_detail::RedisRows& here(const Ctx& ctx);

  std::vector<std::unique_ptr<redis_detail::RedisRows>> rows_;  // by core
};

}  // namespace m3
