// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/hello.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "m3/wire.pb.h"
#include "m3/wire/goaway.h"

namespace m3 {
namespace {

constexpr char kDialer = 'D';
constexpr char kAcceptor = 'A';

Status refused(Errc code, std::string text) { return Status(code, std::move(text)).not_executed(); }

/// Ids and names are shown in logs and errors: printable, no blanks.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}
bool is_plain_id(std::string_view id) { return id.size() <= kMaxHelloId && is_plain(id); }

void add_id(std::string& text, std::string_view id) {
  text.push_back(static_cast<char>(id.size() & 0xff));
  text.push_back(static_cast<char>(id.size() >> 8 & 0xff));
  text.append(id);
}

void add_nonce(std::string& text, const Nonce& nonce) {
  text.append(reinterpret_cast<const char*>(nonce.data()), nonce.size());
}

std::string who(const std::string& app_id) { return app_id.empty() ? "the peer" : app_id; }

}  // namespace

Nonce random_nonce() {
  Nonce nonce;
  std::size_t done = 0;
  while (done < nonce.size()) {
    const ssize_t got = getrandom(nonce.data() + done, nonce.size() - done, 0);
    if (got > 0) {
      done += static_cast<std::size_t>(got);
    } else if (errno != EINTR) {
      std::perror("m3: getrandom");  // a guessable nonce would void the proof
      std::abort();
    }
  }
  return nonce;
}

std::shared_ptr<const std::string> encode_methods(const std::vector<MethodName>& methods) {
  wire::Hello hello;
  for (const MethodName& method : methods) {
    wire::Method* out = hello.add_methods();
    out->set_hash(method.hash);
    out->set_name(method.name);
  }
  return std::make_shared<const std::string>(hello.SerializeAsString());
}

std::array<std::uint8_t, kProofBytes> hello_proof(std::string_view token, char role,
                                                  const Nonce& dialer, const Nonce& acceptor,
                                                  std::string_view dialer_id,
                                                  std::string_view acceptor_id) {
  std::string text(1, role);
  add_nonce(text, dialer);
  add_nonce(text, acceptor);
  add_id(text, dialer_id);
  add_id(text, acceptor_id);
  std::array<std::uint8_t, kProofBytes> proof{};
  unsigned length = 0;
  const unsigned char* made =
      HMAC(EVP_sha256(), token.data(), static_cast<int>(token.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), proof.data(), &length);
  if (made == nullptr || length != proof.size()) {
    std::fputs("m3: libcrypto cannot compute HMAC-SHA256\n", stderr);
    std::abort();
  }
  return proof;
}

Handshake::Handshake(Role role, HelloConfig config) : role_(role), config_(std::move(config)) {
  my_nonce_ = config_.nonce ? config_.nonce() : random_nonce();
}

Handshake Handshake::dial(HelloConfig config) { return Handshake(Role::dialer, std::move(config)); }

Handshake Handshake::accept(HelloConfig config) {
  return Handshake(Role::acceptor, std::move(config));
}

Handshake::Step Handshake::start() {
  if (!is_plain_id(config_.app_id)) {
    return fail(refused(Errc::internal, "this app's id cannot be sent in a hello"));
  }
  if (role_ == Role::acceptor) return {};
  return send_hello(State::open, hello_frame(false, ""));
}

Handshake::Step Handshake::on_frame(const Frame& frame) {
  assert(state_ == State::open && "the handshake is over");
  const std::size_t size = frame_size(frame.header);
  if (size > bytes_left_) {
    return fail(refused(Errc::invalid_argument,
                        "the hellos are more than " + std::to_string(kHandshakeBytes) + " bytes"));
  }
  bytes_left_ -= size;
  if (frame.header.kind == FrameKind::goaway) {
    auto goaway = decode_goaway(frame.body);
    Status why = goaway ? std::move(goaway->reason) : std::move(goaway).status();
    state_ = State::failed;
    Step step;
    step.state = state_;
    step.status = std::move(std::move(why).add_context("refused by the peer")).not_executed();
    return step;
  }
  if (frame.header.kind != FrameKind::hello) {
    return fail(refused(Errc::invalid_argument,
                        "a " + frame_kind_name(frame.header.kind) + " before the hellos are done"));
  }
  wire::Hello hello;
  if (!hello.ParseFromArray(frame.body.data(), static_cast<int>(frame.body.size()))) {
    return fail(refused(Errc::invalid_argument, "the body of a hello is no m3.wire.Hello"));
  }
  return on_hello(hello);
}

Handshake::Step Handshake::on_hello(const wire::Hello& hello) {
  if (role_ == Role::dialer) return on_acceptor_hello(hello);
  return met_ ? on_dialer_proof(hello) : on_dialer_hello(hello);
}

Handshake::Step Handshake::on_dialer_hello(const wire::Hello& hello) {
  if (Status status = meet(hello); !status) return fail(std::move(status));
  return send_hello(State::open, hello_frame(true, proof_of(kAcceptor)));
}

Handshake::Step Handshake::on_acceptor_hello(const wire::Hello& hello) {
  if (Status status = meet(hello); !status) return fail(std::move(status));
  if (Status status = check_proof(kAcceptor, hello.proof()); !status) {
    return fail(std::move(status));
  }
  const std::string& expected = config_.expected_app_id;
  if (!expected.empty() && peer_.app_id != expected) {
    return fail(refused(Errc::unavailable, "dialled " + expected + ", but " + peer_.app_id +
                                               " answered: the address belongs to another app"));
  }
  if (config_.admit) {
    if (Status status = config_.admit(peer_); !status) return fail(std::move(status));
  }
  wire::Hello last;
  last.set_proof(proof_of(kDialer));
  std::string frame(kFrameHeaderSize, '\0');
  last.AppendToString(&frame);
  FrameHeader header;
  header.kind = FrameKind::hello;
  write_header(frame.data(), header, 0, frame.size() - kFrameHeaderSize);
  return send_hello(State::done, std::move(frame));
}

Handshake::Step Handshake::on_dialer_proof(const wire::Hello& hello) {
  if (Status status = check_proof(kDialer, hello.proof()); !status) {
    return fail(std::move(status));
  }
  if (config_.admit) {
    if (Status status = config_.admit(peer_); !status) return fail(std::move(status));
  }
  return send_hello(State::done, "");
}

/// Takes in the peer's own hello.
Status Handshake::meet(const wire::Hello& hello) {
  if (hello.protocol() != kProtocolVersion) {
    return refused(Errc::failed_precondition,
                   "protocol version " + std::to_string(hello.protocol()) + " meets version " +
                       std::to_string(kProtocolVersion) + ": both sides must speak the same");
  }
  if (!is_plain_id(hello.app_id()) || (role_ == Role::dialer && hello.app_id().empty())) {
    return refused(Errc::invalid_argument, "the app id in the hello is not one");
  }
  if (hello.nonce().size() != kNonceBytes) {
    return refused(Errc::invalid_argument, "a nonce of " + std::to_string(hello.nonce().size()) +
                                               " bytes in the hello, must be 16");
  }
  WireLimits theirs;
  theirs.max_frame_bytes = hello.limits().max_frame();
  theirs.max_metadata_bytes = hello.limits().max_metadata();
  theirs.max_calls = hello.limits().max_calls();
  if (Status status = check_limits(theirs); !status) {
    return std::move(std::move(status).add_context("the limits in the hello")).not_executed();
  }
  std::copy(hello.nonce().begin(), hello.nonce().end(), peer_nonce_.begin());
  peer_.app_id = hello.app_id();
  peer_.generation = hello.generation();
  peer_.features = hello.features() & config_.features;
  peer_.limits = effective_limits(config_.limits, theirs);
  if (role_ == Role::dialer) {
    peer_.methods.reserve(static_cast<std::size_t>(hello.methods_size()));
    for (const wire::Method& method : hello.methods()) {
      if (!is_plain(method.name())) {
        return refused(Errc::invalid_argument, "a method in the hello has no printable name");
      }
      MethodName name;
      name.hash = method.hash();
      name.name = method.name();
      peer_.methods.push_back(std::move(name));
    }
  }
  met_ = true;
  return {};
}

Status Handshake::check_proof(char role, std::string_view proof) const {
  const std::string peer = who(peer_.app_id);
  if (config_.token.empty()) {
    if (proof.empty()) return {};
    return refused(Errc::unauthenticated,
                   peer + " has a token configured, " + who(config_.app_id) + " has none");
  }
  if (proof.empty()) {
    return refused(Errc::unauthenticated,
                   who(config_.app_id) + " asks for a token, " + peer + " has none configured");
  }
  const std::string good = proof_of(role);
  if (proof.size() == good.size() && CRYPTO_memcmp(proof.data(), good.data(), good.size()) == 0) {
    return {};
  }
  return refused(Errc::unauthenticated,
                 peer + " proves another token than that of " + who(config_.app_id));
}

/// Empty when no token is configured.
std::string Handshake::proof_of(char role) const {
  if (config_.token.empty()) return {};
  const bool dialer = role_ == Role::dialer;
  const auto proof = hello_proof(
      config_.token, role, dialer ? my_nonce_ : peer_nonce_, dialer ? peer_nonce_ : my_nonce_,
      dialer ? config_.app_id : peer_.app_id, dialer ? peer_.app_id : config_.app_id);
  return std::string(proof.begin(), proof.end());
}

std::string Handshake::hello_frame(bool with_methods, std::string proof) const {
  wire::Hello hello;
  hello.set_protocol(kProtocolVersion);
  hello.set_features(config_.features);
  hello.set_app_id(config_.app_id);
  hello.set_generation(config_.generation);
  hello.set_nonce(my_nonce_.data(), my_nonce_.size());
  hello.set_proof(std::move(proof));
  hello.mutable_limits()->set_max_frame(config_.limits.max_frame_bytes);
  hello.mutable_limits()->set_max_metadata(config_.limits.max_metadata_bytes);
  hello.mutable_limits()->set_max_calls(config_.limits.max_calls);
  std::string frame(kFrameHeaderSize, '\0');
  hello.AppendToString(&frame);
  // Protobuf merges messages whose bytes follow each other.
  if (with_methods && config_.methods) frame += *config_.methods;
  FrameHeader header;
  header.kind = FrameKind::hello;
  write_header(frame.data(), header, 0, frame.size() - kFrameHeaderSize);
  return frame;
}

Handshake::Step Handshake::send_hello(State then, std::string frame) {
  if (frame.size() > bytes_left_) {
    return fail(
        refused(Errc::internal, "this app's hello is " + std::to_string(frame.size()) +
                                    " bytes (too many methods?), the three hellos together have " +
                                    std::to_string(kHandshakeBytes)));
  }
  bytes_left_ -= frame.size();
  state_ = then;
  Step step;
  step.state = then;
  step.send = std::move(frame);
  return step;
}

Handshake::Step Handshake::fail(Status status) {
  state_ = State::failed;
  Step step;
  step.state = State::failed;
  step.send = encode_goaway(status, false);
  step.status = std::move(status);
  return step;
}

}  // namespace m3
