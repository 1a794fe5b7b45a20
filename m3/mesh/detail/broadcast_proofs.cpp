// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/broadcast_proofs.h"

#include <array>
#include <cassert>
#include <cstring>

namespace m3::mesh_detail {
namespace {

constexpr std::string_view kPurpose = "m3 broadcast";
constexpr std::array<char, kProofBytes> kRoom{};

Proof proof_of(Seal& seal, const BroadcastMessage& message, std::string_view topic) {
  const char size[2] = {static_cast<char>(topic.size() & 0xff),
                        static_cast<char>(topic.size() >> 8 & 0xff)};
  return seal.over({std::string_view(size, sizeof size), topic, message.head, message.frames});
}

}  // namespace

BroadcastProofs::BroadcastProofs(std::string_view token, std::string_view second) {
  if (!token.empty()) own_.emplace(token, kPurpose);
  if (!second.empty()) second_.emplace(second, kPurpose);
}

std::string_view BroadcastProofs::room() const noexcept {
  return own_ ? std::string_view(kRoom.data(), kRoom.size()) : std::string_view();
}

void BroadcastProofs::sign(std::string& message, std::string_view topic) {
  if (!own_) return;
  const auto whole = read_broadcast(message);
  assert(whole.is_ok() && whole->proof.size() == kProofBytes && "begun with room()");
  const Proof proof = proof_of(*own_, *whole, topic);
  std::memcpy(message.data() + (whole->proof.data() - message.data()), proof.data(), proof.size());
}

Status BroadcastProofs::check(const BroadcastMessage& message, std::string_view topic) {
  const auto refused = [](const char* why) { return Status(Errc::unauthenticated, why); };
  if (!own_)
    return message.proof.empty() ? ok : refused("it proves a token, but none is configured here");
  if (message.proof.empty()) return refused("it does not prove a token, but one is required");
  if (same_proof(message.proof, proof_of(*own_, message, topic))) return ok;
  if (second_ && same_proof(message.proof, proof_of(*second_, message, topic))) return ok;
  return refused("it proves a different token from the one required");
}

}  // namespace m3::mesh_detail
