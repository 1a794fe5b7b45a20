// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/broadcast_codec.h"

#include <cassert>
#include <cstring>

#include "m3/plugin/broker.h"
#include "m3/wire/frame.h"
#include "m3/wire/proof.h"

namespace m3::mesh_detail {
namespace {

constexpr std::string_view kMagic = "m3b2";
constexpr std::size_t kNumbersAt = 4;
constexpr std::size_t kNameAt = kNumbersAt + 16;
constexpr std::size_t kMostName = 255;
constexpr std::size_t kMostTopic = 128;

/// The number of consecutive whole frames; 0: not only whole ones.
std::uint64_t count_frames(std::string_view frames) {
  std::uint64_t count = 0;
  while (frames.size() >= kFrameHeaderSize) {
    const FrameHeader header = read_header(frames.data());
    if (header.length < kLeastLength || frame_size(header) > frames.size()) return 0;
    frames.remove_prefix(frame_size(header));
    ++count;
  }
  return frames.empty() ? count : 0;
}

}  // namespace

std::size_t broadcast_size(std::string_view publisher, std::size_t frames) {
  return kNameAt + 1 + publisher.size() + 1 + kProofBytes + frames;
}

void begin_broadcast(std::string& out, std::string_view publisher, std::uint64_t run_id,
                     std::uint64_t sequence, std::string_view proof) {
  assert(publisher.size() <= kMostName && "an app id is shorter");
  assert((proof.empty() || proof.size() == kProofBytes) && "not a proof");
  out += kMagic;
  out.append(reinterpret_cast<const char*>(&run_id), 8);
  out.append(reinterpret_cast<const char*>(&sequence), 8);
  out += static_cast<char>(static_cast<unsigned char>(publisher.size()));
  out += publisher;
  out += static_cast<char>(proof.size());
  out += proof;
}

std::string_view take_frame(std::string_view& frames) noexcept {
  const std::string_view first = frames.substr(0, frame_size(read_header(frames.data())));
  frames.remove_prefix(first.size());
  return first;
}

Result<BroadcastMessage> read_broadcast(std::string_view bytes) {
  const auto wrong = [](const char* why) { return Status(Errc::invalid_argument, why); };
  if (bytes.size() <= kNameAt) return wrong("too short for a broadcast");
  if (!bytes.starts_with(kMagic)) return wrong("not a broadcast of m3");
  BroadcastMessage out;
  std::memcpy(&out.run_id, bytes.data() + kNumbersAt, 8);
  std::memcpy(&out.sequence, bytes.data() + kNumbersAt + 8, 8);
  const std::size_t name = static_cast<unsigned char>(bytes[kNameAt]);
  const std::size_t proof_at = kNameAt + 1 + name;
  if (bytes.size() <= proof_at) return wrong("the publisher's name is cut off");
  out.publisher = bytes.substr(kNameAt + 1, name);
  out.head = bytes.substr(0, proof_at);
  const std::size_t proof = static_cast<unsigned char>(bytes[proof_at]);
  if (proof != 0 && proof != kProofBytes) return wrong("the proof has another size");
  if (bytes.size() < proof_at + 1 + proof) return wrong("the proof is cut off");
  out.proof = bytes.substr(proof_at + 1, proof);
  if (out.sequence == 0) return wrong("the sequence number is 0");
  out.frames = bytes.substr(proof_at + 1 + proof);
  out.count = count_frames(out.frames);
  if (out.count == 0) return wrong("the payload is not a sequence of complete frames");
  if (out.sequence > ~std::uint64_t{0} - out.count) return wrong("the sequence number overflows");
  return out;
}

std::string broadcast_topic(const ServiceId& service) { return "m3.all." + service.to_string(); }

Result<std::string> multicast_topic(const WorldId& world, std::string_view name) {
  if (world.empty()) return Status(Errc::invalid_argument, "the world cannot be part of an id");
  if (name.size() > kMostTopic || !is_topic(name))
    return Status(Errc::invalid_argument,
                  "the topic \"" + std::string(name.substr(0, kMostTopic)) +
                      "\": write 1 to 128 letters, digits, '-', '_' and '.', no '.' first, last or "
                      "twice in a row");
  return "m3.topic." + world.to_string() + "." + std::string(name);
}

}  // namespace m3::mesh_detail
