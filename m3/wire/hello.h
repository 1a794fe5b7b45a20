// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/status.h"
#include "m3/wire/frame.h"
#include "m3/wire/wire_limits.h"

namespace m3 {

namespace wire {
class Hello;
}

inline constexpr std::uint32_t kProtocolVersion = 1;
inline constexpr std::size_t kNonceBytes = 16;
inline constexpr std::size_t kProofBytes = 32;
inline constexpr std::size_t kMaxHelloId = 255;

using Nonce = std::array<std::uint8_t, kNonceBytes>;

/// What an acceptor serves: the full name "/pkg.Service/Method" and its method_hash().
struct MethodName {
  std::uint32_t hash = 0;
  std::string name;

  friend bool operator==(const MethodName&, const MethodName&) = default;
};

/// What the handshake found out.
struct PeerInfo {
  std::string app_id;  // empty: a tool that dials (an acceptor has one)
  std::uint64_t generation = 0;
  std::uint64_t features = 0;       // those that both sides have
  WireLimits limits;                // effective_limits() of both sides
  std::vector<MethodName> methods;  // the acceptor's, as its dialer sees them; else empty
};

/// What one side says of itself, and how it judges the other.
struct HelloConfig {
  std::string app_id;
  std::uint64_t generation = 0;
  std::uint64_t features = 0;
  WireLimits limits;
  std::string token;  // empty: none is asked for
  /// Acceptor: encode_methods(), the same bytes for every dialer; null: it serves none.
  std::shared_ptr<const std::string> methods;
  std::string expected_app_id;  // dialer: whom it dialled; empty: whoever answers
  /// Fills a nonce that was never used before. Unset: random_nonce().
  std::function<Nonce()> nonce;
  /// Asked last, when the peer has proven itself; an error refuses it (already_exists for a
  /// duplicate, unavailable while draining). Unset: everyone is let in.
  std::function<Status(const PeerInfo&)> admit;
};

/// From the operating system's generator.
Nonce random_nonce();

/// The methods as a hello carries them.
std::shared_ptr<const std::string> encode_methods(const std::vector<MethodName>& methods);

/// HMAC-SHA256(token, role ‖ dialer's nonce ‖ acceptor's nonce ‖ dialer's id ‖ acceptor's id), the
/// ids with their length before them as u16. `role` says who proves: 'D' or 'A'.
std::array<std::uint8_t, kProofBytes> hello_proof(std::string_view token, char role,
                                                  const Nonce& dialer, const Nonce& acceptor,
                                                  std::string_view dialer_id,
                                                  std::string_view acceptor_id);

/// The three hellos that open a connection (docs/reference/wire.md), for either side, without a
/// socket: it is fed frames and says what to send. The owner cuts frames under
/// handshake_frame_limits(), gives up after kHandshakeTime, and is through at the first step that
/// is done or failed; frames behind that step belong to the connection.
class Handshake {
 public:
  enum class State { open, done, failed };
  struct Step {
    State state = State::open;
    std::string send;  // whole frames to send now; when failed, a goaway, and close after it
    Status status;     // failed: why. One that is not_executed(): no call was ever sent here.
  };

  static Handshake dial(HelloConfig config);
  static Handshake accept(HelloConfig config);

  /// Once, before any frame.
  Step start();
  /// The next frame of the peer. Not after a step that was done or failed.
  Step on_frame(const Frame& frame);

  State state() const { return state_; }
  /// What is known of the peer so far; all of it once done.
  const PeerInfo& peer() const { return peer_; }
  PeerInfo take_peer() && { return std::move(peer_); }

 private:
  enum class Role { dialer, acceptor };
  Handshake(Role role, HelloConfig config);

  Step on_hello(const wire::Hello& hello);
  Step on_dialer_hello(const wire::Hello& hello);
  Step on_acceptor_hello(const wire::Hello& hello);
  Step on_dialer_proof(const wire::Hello& hello);
  Status meet(const wire::Hello& hello);
  Status check_proof(char role, std::string_view proof) const;
  std::string proof_of(char role) const;
  std::string hello_frame(bool with_methods, std::string proof) const;
  Step fail(Status status);
  Step send_hello(State then, std::string frame);

  Role role_;
  HelloConfig config_;
  State state_ = State::open;
  bool met_ = false;  // the peer's first hello is in
  std::size_t bytes_left_ = kHandshakeBytes;
  Nonce my_nonce_{};
  Nonce peer_nonce_{};
  PeerInfo peer_;
};

}  // namespace m3
