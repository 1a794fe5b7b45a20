// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "m3/async/countdown.h"
#include "m3/obs/metric.h"
#include "m3/plugin/database.h"
#include "plugins/client/redis/redis_client.h"
#include "plugins/database/redis/redis_step.h"
#include "plugins/database/redis/row_gate.h"

namespace m3::redis_detail {

/// The rows on a Redis server, for one core: a connection of its own, over which many steps are
/// under way at once. Core-local; owned by RedisDatabase, which stops it.
class RedisRows {
 public:
  struct Options {
    RedisOptions redis;
    std::string prefix;         ///< begins every key
    Nanos retry_time{0};        ///< how long a step that has not run is tried again
    std::size_t max_pending{};  ///< bytes of all steps that have begun and not ended
  };
  RedisRows(Core& core, Options options, MetricRegistry& metrics);
  RedisRows(const RedisRows&) = delete;
  RedisRows& operator=(const RedisRows&) = delete;
  ~RedisRows();

  /// Ends when the server has been reached, and lets us run the script and write. unavailable: call
  /// it again.
  Task<> start(Ctx& ctx);
  /// Steps that have not ended fail.
  Task<> stop(Ctx& ctx);

  Task<RowAnswer> run(Ctx& ctx, RowRequest request);
  Task<RowPage> scan(Ctx& ctx, RowScan scan);

 private:
  using Words = std::span<const std::string_view>;
  /// What is under way, counted.
  class Pending;
  /// Whether what may have run already may run again.
  enum class Again : bool { no, yes };

  Task<> prepare(Ctx& ctx, RedisConnection& connection);
  Task<RedisReply> ask(Ctx& ctx, Words words, Again again);
  Task<RedisReply> try_once(Ctx& ctx, Words words);
  Task<> pause(Ctx& ctx, TimePoint until, Backoff& pauses);
  Task<> add_to_index(Ctx& ctx, std::string_view table, std::string_view key);
  Task<std::vector<std::string>> keys_after(Ctx& ctx, std::string table, std::string after,
                                            std::size_t limit);
  Task<ScannedRow> scan_one(Ctx& ctx, RowRequest request);
  void leave_when_idle(const Status& why);

  Core& core_;
  const Options options_;
  Counter steps_;
  Counter retries_;
  std::string sha_;  // of the script; empty: no server has been reached yet
  RowGate gate_;
  std::size_t pending_ = 0;  // bytes
  std::size_t asked_ = 0;    // commands that wait for their reply
  Status leaving_;           // why the connection is left when asked_ is 0; OK: it stays
  Countdown running_;
  RedisClient client_;
};

}  // namespace m3::redis_detail
