// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "m3/base/status.h"
#include "m3/rpc/method.h"
#include "m3/wire/hello.h"

namespace m3::rpc_detail {

/// Whether the peer's hello lists a method.
enum class Serves : std::uint8_t { no, yes, clash };

/// The methods that an acceptor listed in its hello. Instances of one program list the same ones,
/// so that the connections of a core share one table (PeerMethodsPool). Core-local.
class PeerMethods {
 public:
  explicit PeerMethods(std::vector<MethodName> names);
  PeerMethods(const PeerMethods&) = delete;
  PeerMethods& operator=(const PeerMethods&) = delete;

  const std::vector<MethodName>& names() const noexcept { return names_; }
  Serves serves(const MethodInfo& method) noexcept;
  /// Why `peer` cannot be sent the method: unimplemented with near names, or internal for a clash
  /// of numbers. Near names are looked for once for each method.
  Status refusal(const MethodInfo& method, std::string_view peer);

 private:
  struct Known {
    std::uint32_t hash;
    const std::string* name;
    const MethodInfo* checked;  // whose name was compared with it, so that it is compared once
  };
  const std::string& near_names(const MethodInfo& method);

  const std::vector<MethodName> names_;
  std::vector<Known> table_;  // open addressing, by hash
  std::unordered_map<const MethodInfo*, std::string> near_names_;
};

/// The tables that the connections of one core use.
class PeerMethodsPool {
 public:
  /// The table with these names, in this order: an existing one, or a new one.
  std::shared_ptr<PeerMethods> intern(std::vector<MethodName> names);

 private:
  std::vector<std::weak_ptr<PeerMethods>> tables_;  // one for each program that is called
};

}  // namespace m3::rpc_detail
