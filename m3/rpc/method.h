// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "m3/base/method_hash.h"
#include "m3/base/route_mode.h"

namespace google::protobuf {
class Message;
class MessageLite;
}  // namespace google::protobuf

namespace m3 {

/// When a call that changes an actor is answered (docs/reference/options.md, durability).
enum class Durability : std::uint8_t { write_behind, sync };

/// The options of one rpc in its .proto. Constant data in generated code.
struct MethodInfo {
  std::string_view full_name;  ///< "/hello.Hello/Say", static text
  std::uint32_t hash = 0;      ///< method_hash(full_name)
  RouteMode route = RouteMode::random;
  bool notify = false;  ///< one way: no answer
  bool client = false;  ///< game clients may call it through a gate
  bool trace = false;
  bool idempotent = false;  ///< may be retried although it may have run
  Durability durability = Durability::write_behind;
  std::uint32_t timeout_ms = 0;  ///< 0 = the configuration's default
  /// The text of the hash key; nullptr: the method has none.
  std::string (*route_key)(const google::protobuf::MessageLite& request) = nullptr;
  /// Default instances, for reflection and interceptors. A notify has no response.
  const google::protobuf::Message& (*request)() = nullptr;
  const google::protobuf::Message& (*response)() = nullptr;
};

/// Whether the method belongs to one of the services that m3 adds to every app.
constexpr bool is_of_m3(const MethodInfo& method) noexcept {
  return method.full_name.starts_with("/m3.");
}

}  // namespace m3
