// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/result.h"
#include "m3/plugin/rows.h"
#include "plugins/client/redis/redis_reply.h"

namespace m3::redis_detail {

/// Runs one step of one row: the rules of m3/plugin/rows.h. It writes nothing before it has
/// decided, and touches no other key.
extern const std::string_view kStepScript;

std::string row_key(std::string_view prefix, std::string_view table, std::string_view key);
std::string index_key(std::string_view prefix, std::string_view table);

/// A request as a call of the script. Refers to the request, which outlives it.
class StepCall {
 public:
  StepCall(std::string_view prefix, const RowRequest& request);
  StepCall(const StepCall&) = delete;
  StepCall& operator=(const StepCall&) = delete;
  ~StepCall() = default;

  const std::string& row() const noexcept { return row_; }
  /// The key is in the table's index now.
  void set_indexed();
  /// `sha` is the script's, and outlives the words.
  std::span<const std::string_view> words(std::string_view sha);

 private:
  std::string_view number(std::uint64_t value);

  const std::string row_;
  std::string flags_;
  std::string digits_;  // of all numbers; does not grow
  std::vector<std::string_view> words_;
};

struct StepReply {
  /// Nothing has happened: the step would create an entity, and its key is not in the index.
  bool index_first = false;
  RowAnswer answer;
};
/// data_loss: what is stored is no row.
Result<StepReply> read_step_reply(const RowRequest& request, RedisReply reply);

}  // namespace m3::redis_detail
