// SPDX-License-Identifier: BSL-1.0
#pragma once

// An app's database on a real Redis server, and the server's own client beside it.
#include <hiredis/hiredis.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "m3/async/timer.h"
#include "m3/plugin/database.h"
#include "m3/testing/catch.h"
#include "m3/testing/database_suite.h"
#include "m3/testing/eventually.h"
#include "m3/testing/plugin_host.h"
#include "m3/testing/require_service.h"

namespace redis_test {

using m3::Ctx;
using m3::Database;
using m3::Errc;
using m3::Result;
using m3::RowAnswer;
using m3::RowRequest;
using m3::RowVerdict;
using m3::Status;
using m3::StoredFields;
using m3::Task;
using m3::testing::eventually;
using m3::testing::RealService;
using m3::testing::require_service;
using App = m3::testing::PluginHost<Database>;
using Kind = RowRequest::Kind;
using Lines = std::vector<std::string>;
using namespace std::chrono_literals;

inline std::unique_ptr<RealService> server(Lines args = {}, bool keeps_data = false) {
  RealService::Options options;
  options.args = std::move(args);
  options.keeps_data = keeps_data;
  return require_service(RealService::Kind::redis, std::move(options));
}

inline std::string config(const m3::HostPort& at, const std::string& more = "") {
  return "[database.redis]\naddress = \"" + at.to_string() + "\"\n" + more;
}

/// A command as an operator would send it. Its reply as text: arrays by lines, errors with a '-'.
inline std::string operate(const RealService& server, const Lines& words) {
  const std::unique_ptr<redisContext, decltype(&redisFree)> redis(
      redisConnect("127.0.0.1", server.address().port), &redisFree);
  std::vector<const char*> argv;
  std::vector<std::size_t> sizes;
  for (const std::string& word : words) {
    argv.push_back(word.data());
    sizes.push_back(word.size());
  }
  const auto free = [](void* reply) { freeReplyObject(reply); };
  const std::unique_ptr<void, decltype(free)> made(
      redisCommandArgv(redis.get(), static_cast<int>(argv.size()), argv.data(), sizes.data()),
      free);
  if (!made) return std::string("-no reply: ") + redis->errstr;
  const auto* reply = static_cast<redisReply*>(made.get());
  const auto text = [](const redisReply& one) {
    if (one.type == REDIS_REPLY_INTEGER) return std::to_string(one.integer);
    return std::string(one.str ? one.str : "", one.str ? static_cast<std::size_t>(one.len) : 0);
  };
  if (reply->type == REDIS_REPLY_ERROR) return "-" + text(*reply);
  if (reply->type != REDIS_REPLY_ARRAY) return text(*reply);
  std::string out;
  for (std::size_t i = 0; i < reply->elements; ++i) out += text(*reply->element[i]) + "\n";
  return out;
}

inline StoredFields text(const std::string& value) {
  return {{1, std::string("\x0a", 1) + static_cast<char>(value.size()) + value}};
}

inline RowRequest request(Kind kind, const std::string& key) {
  RowRequest out;
  out.kind = kind;
  out.table = "t";
  out.key = key;
  if (kind >= Kind::activate) out.owner = {"dev.w.test.1", 7, "127.0.0.1:1"};
  return out;
}

/// With a deadline.
inline Result<RowAnswer> step(App& app, const RowRequest& wanted, m3::Nanos limit = 20s) {
  return app.ask([&](Ctx& ctx) {
    return m3::within(ctx, limit, [&](Ctx& soon) { return app.plugin().step(soon, wanted); });
  });
}

}  // namespace redis_test
