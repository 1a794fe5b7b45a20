// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "m3/base/status.h"
#include "m3/wire/wire_limits.h"

namespace m3 {

enum class FrameKind : std::uint8_t {
  hello = 1,
  request = 2,
  response = 3,
  notify = 4,
  cancel = 5,
  ping = 6,
  pong = 7,
  goaway = 8,
};

/// "request"; "kind 42" for an unknown number.
std::string frame_kind_name(FrameKind kind);

/// Bits of FrameHeader::flags; those not listed are ignored.
inline constexpr std::uint8_t kFlagNotExecuted = 0x01;  // response: the call did not run
inline constexpr std::uint8_t kFlagFailover = 0x02;     // request: the owner refused or reset
inline constexpr std::uint8_t kFlagSick = 0x04;         // pong: the acceptor's health check fails
/// The upper four bits of a request's or notify's flags: how many calls led to this one.
inline constexpr int kHopsShift = 4;
inline constexpr std::uint8_t kMostHops = 15;

/// The 24 bytes before every frame's metadata and body, in memory as on the wire.
struct FrameHeader {
  std::uint32_t length = 0;  // of everything after this field: 20 + metadata + body
  FrameKind kind = FrameKind::request;
  std::uint8_t flags = 0;
  std::uint16_t metadata_length = 0;
  std::uint32_t method = 0;    // hash of "/pkg.Service/Method"; 0 where there is none
  std::uint32_t deadline = 0;  // ms on the dialer's connection clock, modulo 2^32
  std::uint64_t call_id = 0;

  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

inline constexpr std::size_t kFrameHeaderSize = 24;
inline constexpr std::size_t kLengthFieldSize = 4;
inline constexpr std::uint32_t kLeastLength = 20;  // the length field of an empty frame

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");
static_assert(sizeof(FrameHeader) == kFrameHeaderSize);
static_assert(offsetof(FrameHeader, kind) == 4 && offsetof(FrameHeader, flags) == 5);
static_assert(offsetof(FrameHeader, metadata_length) == 6 && offsetof(FrameHeader, method) == 8);
static_assert(offsetof(FrameHeader, deadline) == 12 && offsetof(FrameHeader, call_id) == 16);

/// Bytes of a whole frame.
constexpr std::size_t frame_size(std::size_t metadata_bytes, std::size_t body_bytes) {
  return kFrameHeaderSize + metadata_bytes + body_bytes;
}
constexpr std::size_t frame_size(const FrameHeader& header) {
  return kLengthFieldSize + header.length;
}

/// Sets both lengths of `header` and writes its 24 bytes to `to`.
inline void write_header(char* to, FrameHeader header, std::size_t metadata_bytes,
                         std::size_t body_bytes) {
  header.length = static_cast<std::uint32_t>(kLeastLength + metadata_bytes + body_bytes);
  header.metadata_length = static_cast<std::uint16_t>(metadata_bytes);
  std::memcpy(to, &header, kFrameHeaderSize);
}

inline FrameHeader read_header(const char* from) {
  FrameHeader header;
  std::memcpy(&header, from, kFrameHeaderSize);
  return header;
}

/// One frame as a view of another owner's buffer.
struct Frame {
  FrameHeader header;
  std::string_view metadata;
  std::string_view body;
};

/// The parts of WireLimits that a reader of frames enforces.
struct FrameLimits {
  std::uint32_t max_frame_bytes = WireLimits{}.max_frame_bytes;
  std::uint32_t max_metadata_bytes = WireLimits{}.max_metadata_bytes;

  FrameLimits() = default;
  FrameLimits(const WireLimits& limits)  // NOLINT(google-explicit-constructor): it is its part
      : max_frame_bytes(limits.max_frame_bytes), max_metadata_bytes(limits.max_metadata_bytes) {}
};

/// Cuts bytes into frames: views, no copy, no allocation. Used for one pass over the read bytes:
///
///     FrameReader reader(bytes, limits);
///     for (Frame frame; reader.next(frame);) handle(frame);
///     if (reader.failed()) return reader.status();  // send it in a goaway, close
///     bytes.remove_prefix(reader.consumed());  // reader.needed() more complete the next frame
///
/// A header is checked against the limits before its size is used, so a buffer of its frame_size()
/// never exceeds the limits.
class FrameReader {
 public:
  FrameReader(std::string_view bytes, const FrameLimits& limits)
      : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()), limits_(limits) {}

  /// Between two frames, when the handshake has agreed on the limits.
  void set_limits(const FrameLimits& limits) { limits_ = limits; }

  /// The next whole frame; false when there is none: not yet, or failed().
  bool next(Frame& frame) {
    const auto left = static_cast<std::size_t>(end_ - at_);
    if (left < kFrameHeaderSize) [[unlikely]]
      return wait_for(kFrameHeaderSize - left);
    const FrameHeader header = read_header(at_);
    if (!allowed(header)) [[unlikely]]
      return refuse(header);
    const std::size_t size = frame_size(header);
    if (left < size) [[unlikely]]
      return wait_for(size - left);
    frame.header = header;
    const char* metadata = at_ + kFrameHeaderSize;
    frame.metadata = std::string_view(metadata, header.metadata_length);
    frame.body = std::string_view(metadata + frame.header.metadata_length,
                                  size - kFrameHeaderSize - header.metadata_length);
    at_ += size;
    return true;
  }

  /// Bytes of the whole frames returned.
  std::size_t consumed() const { return static_cast<std::size_t>(at_ - begin_); }
  /// After next() returned false: the least number of bytes that must arrive before it can return
  /// true, or before more is known. 0 when failed().
  std::size_t needed() const { return needed_; }
  bool failed() const { return !status_; }
  /// invalid_argument: what was wrong with the frame at consumed(). Nothing after it can be read.
  const Status& status() const { return status_; }

 private:
  bool allowed(const FrameHeader& header) const {
    const auto kind = static_cast<std::uint8_t>(header.kind);
    const std::uint32_t rest = header.length - kLeastLength;  // wraps when length < 20
    return static_cast<std::uint8_t>(kind - 1) < 8 && header.length >= kLeastLength &&
           header.length <= limits_.max_frame_bytes &&
           header.metadata_length <= std::min(rest, limits_.max_metadata_bytes);
  }
  bool wait_for(std::size_t bytes) {
    needed_ = bytes;
    return false;
  }
  bool refuse(const FrameHeader& header);

  const char* begin_;
  const char* at_;
  const char* end_;
  FrameLimits limits_;
  std::size_t needed_ = 0;
  Status status_;
};

}  // namespace m3
