// SPDX-License-Identifier: BSL-1.0
// Byte 0 chooses the limits, byte 1 how the rest is cut into reads; however it is cut, the same
// frames must come out.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "m3/wire/frame.h"

namespace {

using m3::Frame;
using m3::FrameLimits;
using m3::FrameReader;

struct Outcome {
  std::string frames;  // all of them, as bytes again
  std::string error;
  bool operator==(const Outcome&) const = default;
};

void check_frame(const Frame& frame, const FrameLimits& limits, std::string_view bytes) {
  const auto kind = static_cast<unsigned>(frame.header.kind);
  M3_FUZZ_CHECK(kind >= 1 && kind <= 8);
  M3_FUZZ_CHECK(frame.header.length <= limits.max_frame_bytes);
  M3_FUZZ_CHECK(frame.metadata.size() <= limits.max_metadata_bytes);
  M3_FUZZ_CHECK(frame.metadata.size() == frame.header.metadata_length);
  M3_FUZZ_CHECK(20 + frame.metadata.size() + frame.body.size() == frame.header.length);
  M3_FUZZ_CHECK(frame.metadata.data() >= bytes.data());
  M3_FUZZ_CHECK(frame.body.data() + frame.body.size() <= bytes.data() + bytes.size());
}

void append(std::string& out, const Frame& frame) {
  char header[m3::kFrameHeaderSize];
  m3::write_header(header, frame.header, frame.metadata.size(), frame.body.size());
  out.append(header, sizeof header).append(frame.metadata).append(frame.body);
}

Outcome read_in_pieces(std::string_view input, std::size_t piece, const FrameLimits& limits) {
  Outcome outcome;
  std::string kept;
  while (!input.empty()) {
    kept.append(input.substr(0, piece));
    input.remove_prefix(std::min(piece, input.size()));
    // An exact copy: the sanitizer sees every byte read beyond the end.
    const std::vector<char> exact(kept.begin(), kept.end());
    const std::string_view bytes(exact.data(), exact.size());
    FrameReader reader(bytes, limits);
    for (Frame frame; reader.next(frame);) {
      check_frame(frame, limits, bytes);
      append(outcome.frames, frame);
    }
    M3_FUZZ_CHECK(reader.consumed() <= bytes.size());
    if (reader.failed()) {
      M3_FUZZ_CHECK(reader.needed() == 0);
      outcome.error = reader.status().text();
      M3_FUZZ_CHECK(!outcome.error.empty());
      return outcome;
    }
    kept.erase(0, reader.consumed());
    M3_FUZZ_CHECK(reader.needed() > 0);
    M3_FUZZ_CHECK(kept.size() + reader.needed() <= 4 + std::size_t{limits.max_frame_bytes});
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  FrameLimits limits;
  limits.max_frame_bytes = 20 + 8u * data[0];
  limits.max_metadata_bytes = 4u * data[0];
  const std::size_t piece = 1 + data[1] % 40;
  const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Outcome whole = read_in_pieces(input, input.size() + 1, limits);
  M3_FUZZ_CHECK(whole == read_in_pieces(input, piece, limits));
  M3_FUZZ_CHECK(std::memcmp(whole.frames.data(), input.data(), whole.frames.size()) == 0);
  return 0;
}
