// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/frame.h"

#include <string>

namespace m3 {
namespace {

std::string why(const FrameHeader& header, const FrameLimits& limits) {
  const std::string length = std::to_string(header.length);
  const std::string metadata = std::to_string(header.metadata_length);
  const auto kind = static_cast<unsigned>(header.kind);
  if (kind < 1 || kind > 8) {
    return "bad frame: kind " + std::to_string(kind) + " is not between 1 and 8";
  }
  if (header.length < kLeastLength) {
    return "bad frame: length " + length + " is less than the 20 bytes of the header";
  }
  if (header.length > limits.max_frame_bytes) {
    return "frame too large: length " + length + ", the limit is " +
           std::to_string(limits.max_frame_bytes);
  }
  if (header.metadata_length > header.length - kLeastLength) {
    return "bad frame: metadata length " + metadata + " is more than the frame contains";
  }
  return "metadata too large: " + metadata + " bytes, the limit is " +
         std::to_string(limits.max_metadata_bytes);
}

}  // namespace

std::string frame_kind_name(FrameKind kind) {
  switch (kind) {
    case FrameKind::hello:
      return "hello";
    case FrameKind::request:
      return "request";
    case FrameKind::response:
      return "response";
    case FrameKind::notify:
      return "notify";
    case FrameKind::cancel:
      return "cancel";
    case FrameKind::ping:
      return "ping";
    case FrameKind::pong:
      return "pong";
    case FrameKind::goaway:
      return "goaway";
  }
  return "kind " + std::to_string(static_cast<unsigned>(kind));
}

bool FrameReader::refuse(const FrameHeader& header) {
  status_ = Status(Errc::invalid_argument, why(header, limits_)).not_executed();
  end_ = at_;  // nothing after a bad header can be trusted
  return false;
}

}  // namespace m3
