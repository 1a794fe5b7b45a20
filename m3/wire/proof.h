// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace m3 {

inline constexpr std::size_t kNonceBytes = 16;
inline constexpr std::size_t kProofBytes = 32;

using Nonce = std::array<std::uint8_t, kNonceBytes>;
using Proof = std::array<std::uint8_t, kProofBytes>;

/// From the operating system's generator.
Nonce random_nonce();
std::uint64_t random_id();

/// What both sides of a connection sent before their proofs.
struct Introduction {
  Nonce dialer{};
  Nonce acceptor{};
  std::string dialer_id;  // empty: a tool
  std::string dialled;    // the id that was dialled; empty: any app
};

enum class Prover : char { dialer = 'D', acceptor = 'A' };

/// HMAC-SHA256(token, role ‖ dialer's nonce ‖ acceptor's nonce ‖ dialer's id ‖ dialled id ‖
/// acceptor's id), the ids with their length before them as u16. The dialer proves first, before it
/// knows the acceptor: `acceptor_id` is empty in its proof.
Proof hello_proof(std::string_view token, Prover who, const Introduction& intro,
                  std::string_view acceptor_id);

/// Compares in constant time.
bool same_proof(std::string_view given, const Proof& good);

}  // namespace m3
