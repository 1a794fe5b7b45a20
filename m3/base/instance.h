// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>

#include "m3/base/app_id.h"
#include "m3/base/host_port.h"

namespace m3 {

/// One app that may be called. Shared by every core; never changes.
struct Instance : std::enable_shared_from_this<Instance> {
  AppId id;  ///< empty: any app at the address (tools)
  HostPort address;
  std::uint64_t generation = 0;  ///< 0 = not known
  /// A small index for callers; reused only after this instance is destroyed.
  std::uint32_t slot = 0;
};

inline constexpr std::uint32_t kNoSlot = ~std::uint32_t{0};

}  // namespace m3
