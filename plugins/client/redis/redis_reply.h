// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace m3 {

/// An answer of Redis (RESP2). Error replies are a Status instead, except inside arrays.
struct RedisReply {
  enum class Type : std::uint8_t { nil, text, integer, array, error };
  Type type = Type::nil;
  std::string text;  ///< bulk and simple strings, and errors
  std::int64_t integer = 0;
  std::vector<RedisReply> array;
};

}  // namespace m3
