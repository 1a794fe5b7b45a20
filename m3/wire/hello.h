// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/app_id.h"
#include "m3/base/status.h"
#include "m3/wire/frame.h"
#include "m3/wire/proof.h"
#include "m3/wire/wire_limits.h"

namespace m3 {

namespace wire {
class Hello;
}

inline constexpr std::uint32_t kProtocolVersion = 2;
inline constexpr std::size_t kMaxHelloId = 4 * kMaxIdPart + 3;  // of an AppId

/// What an acceptor serves: the full name "/pkg.Service/Method" and its method_hash().
struct MethodName {
  std::uint32_t hash = 0;
  std::string name;

  friend bool operator==(const MethodName&, const MethodName&) = default;
};

/// The result of the handshake.
struct PeerInfo {
  std::string app_id;  // empty: a tool that dials (an acceptor has one)
  std::uint64_t generation = 0;
  std::uint64_t run_id = 0;         // of this start of the app; 0: a tool
  std::uint64_t features = 0;       // those that both sides have
  WireLimits limits;                // effective_limits() of both sides
  std::vector<MethodName> methods;  // the acceptor's, as its dialer sees them; else empty
  bool is_operator = false;         // the dialer: HelloConfig::operator_token
  bool leaving = false;             // the acceptor: it still answers, but prefers calls to use
                                    // other instances
  bool sick = false;                // the acceptor: its own health check fails
};

/// What one side reports about itself, and how it checks the other.
struct HelloConfig {
  std::string app_id;
  std::uint64_t generation = 0;
  std::uint64_t run_id = 0;
  std::uint64_t features = 0;
  WireLimits limits;
  std::string token;         // empty: none is required
  std::string second_token;  // accepted, too; empty: none
  /// Acceptor: accepted, too; a dialer that proves it is an operator. Empty: every accepted dialer
  /// is one.
  std::string operator_token;
  /// Acceptor: encode_methods(), the same bytes for every dialer; null: it serves none.
  std::shared_ptr<const std::string> methods;
  std::string dialled;  // dialer: the expected app id; empty: any app
  /// Fills a nonce that was never used before. Unset: random_nonce().
  std::function<Nonce()> nonce;
  /// Acceptor, when it introduces itself: whether it is leaving. Unset: it is not.
  std::function<bool()> leaving;
  /// Acceptor, likewise: whether its health check fails. Unset: it does not.
  std::function<bool()> sick;
  /// Called last, when the peer has proven itself; an error refuses it (already_exists for a
  /// duplicate, unavailable while draining). Unset: every peer is accepted.
  std::function<Status(const PeerInfo&)> admit;
};

/// The methods, encoded as in a hello.
std::shared_ptr<const std::string> encode_methods(const std::vector<MethodName>& methods);

/// The four hellos that open a connection (docs/reference/wire.md), for either side, without a
/// socket: it is fed frames and returns the bytes to send. The owner cuts frames under
/// frame_limits(), gives up after kHandshakeTime, and is finished at the first step whose state is
/// done or failed; frames behind that step belong to the connection.
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
  /// For the next frame: small until the peer has proven itself.
  FrameLimits frame_limits() const;

  State state() const { return state_; }
  /// What is known about the peer so far; complete once done.
  const PeerInfo& peer() const { return peer_; }
  PeerInfo take_peer() && { return std::move(peer_); }

 private:
  enum class Role { dialer, acceptor };
  Handshake(Role role, HelloConfig config);

  Step on_hello(const wire::Hello& hello);
  Step on_dialer_intro(const wire::Hello& hello);
  Step on_acceptor_intro(const wire::Hello& hello);
  Step on_dialer_proof(const wire::Hello& hello);
  Step on_acceptor_proof(const wire::Hello& hello);
  Status meet(const wire::Hello& hello, Nonce& nonce);
  Status learn(const wire::Hello& hello);
  Status learn_methods(const wire::Hello& hello);
  Status check_proof(std::string_view proof);
  bool proves(std::string_view proof, std::string_view token) const;
  std::string proof_of(Prover who) const;
  std::string_view acceptor_id(Prover who) const;
  void say(wire::Hello& hello) const;
  Step fail(Status status);
  Step send_hello(State then, const wire::Hello& hello, const std::string* methods = nullptr);

  Role role_;
  HelloConfig config_;
  State state_ = State::open;
  bool met_ = false;  // the peer's first hello was received
  std::size_t bytes_left_;
  Introduction intro_;
  std::string HelloConfig::* token_ = &HelloConfig::token;  // the one that the dialer proves
  PeerInfo peer_;
};

}  // namespace m3
