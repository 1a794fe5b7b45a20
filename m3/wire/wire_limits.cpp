// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/wire_limits.h"

#include <algorithm>

namespace m3 {
namespace {

std::uint32_t lesser(std::uint32_t mine, std::uint32_t theirs, std::uint32_t otherwise) {
  if (mine == 0 && theirs == 0) return otherwise;
  if (mine == 0) return theirs;
  if (theirs == 0) return mine;
  return std::min(mine, theirs);
}

Status check_range(const char* name, std::uint32_t value, std::uint32_t least, std::uint32_t most) {
  if (value == 0 || (value >= least && value <= most)) return {};
  return Status(Errc::invalid_argument, std::string(name) + " is " + std::to_string(value) +
                                            ", must be " + std::to_string(least) + " to " +
                                            std::to_string(most));
}

}  // namespace

WireLimits effective_limits(const WireLimits& mine, const WireLimits& theirs) {
  const WireLimits defaults;
  return WireLimits{
      lesser(mine.max_frame_bytes, theirs.max_frame_bytes, defaults.max_frame_bytes),
      lesser(mine.max_metadata_bytes, theirs.max_metadata_bytes, defaults.max_metadata_bytes),
      lesser(mine.max_calls, theirs.max_calls, defaults.max_calls)};
}

Status check_limits(const WireLimits& limits) {
  Status status = check_range("max_frame_bytes", limits.max_frame_bytes, kLeastMaxFrameBytes,
                              kMostMaxFrameBytes);
  if (!status) return status;
  return check_range("max_metadata_bytes", limits.max_metadata_bytes, kLeastMaxMetadataBytes,
                     kMostMaxMetadataBytes);
}

}  // namespace m3
