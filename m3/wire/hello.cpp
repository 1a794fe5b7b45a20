// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/hello.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "m3/wire.pb.h"
#include "m3/wire/goaway.h"

namespace m3 {
namespace {

Status refused(Errc code, std::string text) { return Status(code, std::move(text)).not_executed(); }

/// Names are shown in logs and errors: printable, no blanks.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}
bool is_id_or_empty(std::string_view id) { return id.empty() || AppId::parse(id).is_ok(); }

std::string who(const std::string& app_id) { return app_id.empty() ? "the peer" : app_id; }

}  // namespace

std::shared_ptr<const std::string> encode_methods(const std::vector<MethodName>& methods) {
  wire::Hello hello;
  for (const MethodName& method : methods) {
    wire::Method* out = hello.add_methods();
    out->set_hash(method.hash);
    out->set_name(method.name);
  }
  return std::make_shared<const std::string>(hello.SerializeAsString());
}

Handshake::Handshake(Role role, HelloConfig config)
    : role_(role),
      config_(std::move(config)),
      bytes_left_(role == Role::dialer ? kHandshakeBytes : kStrangerBytes) {
  const Nonce nonce = config_.nonce ? config_.nonce() : random_nonce();
  if (role_ == Role::acceptor) {
    intro_.acceptor = nonce;
    return;
  }
  intro_.dialer = nonce;
  intro_.dialer_id = config_.app_id;
  intro_.dialled = config_.dialled;
}

Handshake Handshake::dial(HelloConfig config) { return Handshake(Role::dialer, std::move(config)); }

Handshake Handshake::accept(HelloConfig config) {
  return Handshake(Role::acceptor, std::move(config));
}

FrameLimits Handshake::frame_limits() const {
  FrameLimits limits;
  limits.max_frame_bytes = role_ == Role::dialer && met_ ? kHandshakeBytes : kStrangerBytes;
  return limits;
}

Handshake::Step Handshake::start() {
  if (!is_id_or_empty(config_.app_id)) {
    return fail(refused(Errc::internal, "this app's id cannot be sent in a hello"));
  }
  if (role_ == Role::acceptor) return {};
  wire::Hello hello;
  hello.set_protocol(kProtocolVersion);
  hello.set_app_id(config_.app_id);
  hello.set_dialled(config_.dialled);
  hello.set_nonce(intro_.dialer.data(), intro_.dialer.size());
  return send_hello(State::open, hello);
}

Handshake::Step Handshake::on_frame(const Frame& frame) {
  assert(state_ == State::open && "the handshake is over");
  const std::size_t size = frame_size(frame.header);
  if (size > bytes_left_) {
    return fail(refused(
        Errc::invalid_argument,
        "the hellos are more than " +
            std::to_string(role_ == Role::dialer ? kHandshakeBytes : kStrangerBytes) + " bytes"));
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
    return fail(refused(Errc::invalid_argument, "a " + frame_kind_name(frame.header.kind) +
                                                    " before the hellos are complete"));
  }
  wire::Hello hello;
  if (!hello.ParseFromArray(frame.body.data(), static_cast<int>(frame.body.size()))) {
    return fail(
        refused(Errc::invalid_argument, "the body of a hello is not a valid m3.wire.Hello"));
  }
  return on_hello(hello);
}

Handshake::Step Handshake::on_hello(const wire::Hello& hello) {
  const bool first = !std::exchange(met_, true);
  if (role_ == Role::acceptor) return first ? on_dialer_intro(hello) : on_dialer_proof(hello);
  return first ? on_acceptor_intro(hello) : on_acceptor_proof(hello);
}

/// The acceptor reveals nothing about itself yet: the dialer proves first.
Handshake::Step Handshake::on_dialer_intro(const wire::Hello& hello) {
  if (Status status = meet(hello, intro_.dialer); !status) return fail(std::move(status));
  if (!is_id_or_empty(hello.app_id()) || !is_id_or_empty(hello.dialled())) {
    return fail(refused(Errc::invalid_argument, "an app id in the hello is not valid"));
  }
  peer_.app_id = intro_.dialer_id = hello.app_id();
  intro_.dialled = hello.dialled();
  wire::Hello answer;
  answer.set_protocol(kProtocolVersion);
  answer.set_nonce(intro_.acceptor.data(), intro_.acceptor.size());
  return send_hello(State::open, answer);
}

Handshake::Step Handshake::on_acceptor_intro(const wire::Hello& hello) {
  if (Status status = meet(hello, intro_.acceptor); !status) return fail(std::move(status));
  wire::Hello proof;
  say(proof);
  proof.set_proof(proof_of(Prover::dialer));
  return send_hello(State::open, proof);
}

Handshake::Step Handshake::on_dialer_proof(const wire::Hello& hello) {
  if (Status status = check_proof(hello.proof()); !status) return fail(std::move(status));
  if (Status status = learn(hello); !status) return fail(std::move(status));
  if (!intro_.dialled.empty() && intro_.dialled != config_.app_id) {
    return fail(refused(Errc::unavailable, "dialled " + intro_.dialled + ", but " + config_.app_id +
                                               " answers: the address belongs to another app"));
  }
  if (config_.admit) {
    if (Status status = config_.admit(peer_); !status) return fail(std::move(status));
  }
  peer_.is_operator = config_.operator_token.empty() || token_ == &HelloConfig::operator_token;
  bytes_left_ = kHandshakeBytes - kStrangerBytes;
  wire::Hello answer;
  say(answer);
  answer.set_app_id(config_.app_id);
  answer.set_proof(proof_of(Prover::acceptor));
  if (config_.leaving && config_.leaving())
    answer.set_state(wire::Hello::LEAVING);
  else if (config_.sick && config_.sick())
    answer.set_state(wire::Hello::SICK);
  return send_hello(State::done, answer, config_.methods.get());
}

Handshake::Step Handshake::on_acceptor_proof(const wire::Hello& hello) {
  if (!is_id_or_empty(hello.app_id()) || hello.app_id().empty()) {
    return fail(refused(Errc::invalid_argument, "an app id in the hello is not valid"));
  }
  peer_.app_id = hello.app_id();
  if (Status status = check_proof(hello.proof()); !status) return fail(std::move(status));
  if (Status status = learn(hello); !status) return fail(std::move(status));
  if (Status status = learn_methods(hello); !status) return fail(std::move(status));
  peer_.leaving = hello.state() == wire::Hello::LEAVING;
  peer_.sick = hello.state() == wire::Hello::SICK;
  if (!config_.dialled.empty() && peer_.app_id != config_.dialled) {
    return fail(refused(Errc::unavailable, "dialled " + config_.dialled + ", but " + peer_.app_id +
                                               " answered: the address belongs to another app"));
  }
  if (config_.admit) {
    if (Status status = config_.admit(peer_); !status) return fail(std::move(status));
  }
  state_ = State::done;
  Step step;
  step.state = state_;
  return step;
}

/// The peer's first hello.
Status Handshake::meet(const wire::Hello& hello, Nonce& nonce) {
  if (hello.protocol() != kProtocolVersion) {
    return refused(Errc::failed_precondition,
                   "protocol version " + std::to_string(hello.protocol()) + " meets version " +
                       std::to_string(kProtocolVersion) + ": both sides must use the same one");
  }
  if (hello.nonce().size() != kNonceBytes) {
    return refused(Errc::invalid_argument, "a nonce of " + std::to_string(hello.nonce().size()) +
                                               " bytes in the hello, must be 16");
  }
  std::copy(hello.nonce().begin(), hello.nonce().end(), nonce.begin());
  return {};
}

/// The peer's hello with its proof.
Status Handshake::learn(const wire::Hello& hello) {
  WireLimits theirs;
  theirs.max_frame_bytes = hello.limits().max_frame();
  theirs.max_metadata_bytes = hello.limits().max_metadata();
  theirs.max_calls = hello.limits().max_calls();
  if (Status status = check_limits(theirs); !status) {
    return std::move(std::move(status).add_context("the limits in the hello")).not_executed();
  }
  peer_.generation = hello.generation();
  peer_.run_id = hello.run_id();
  peer_.features = hello.features() & config_.features;
  peer_.limits = effective_limits(config_.limits, theirs);
  return {};
}

Status Handshake::learn_methods(const wire::Hello& hello) {
  peer_.methods.reserve(static_cast<std::size_t>(hello.methods_size()));
  for (const wire::Method& method : hello.methods()) {
    if (!is_plain(method.name())) {
      return refused(Errc::invalid_argument, "the name of a method in the hello is not printable");
    }
    peer_.methods.push_back({method.hash(), method.name()});
  }
  return {};
}

/// An acceptor accepts each of its tokens, and answers with the one that the dialer has. A peer
/// that does not prove itself does not learn who refuses it.
Status Handshake::check_proof(std::string_view proof) {
  const bool accepts = role_ == Role::acceptor;
  const std::string peer = who(peer_.app_id);
  if (config_.token.empty()) {
    if (proof.empty()) return {};
    return refused(Errc::unauthenticated,
                   peer + " proves a token, but " +
                       (accepts ? "none is configured here" : who(config_.app_id) + " has none"));
  }
  if (proof.empty()) {
    return refused(Errc::unauthenticated, peer + " has no token configured, but one is required");
  }
  if (proves(proof, config_.token)) return {};
  for (auto other : {&HelloConfig::second_token, &HelloConfig::operator_token}) {
    const std::string& token = config_.*other;
    if (!accepts || token.empty() || !proves(proof, token)) continue;
    token_ = other;
    return {};
  }
  return refused(Errc::unauthenticated, peer + " proves a different token from the one required");
}

std::string_view Handshake::acceptor_id(Prover who) const {
  if (who == Prover::dialer) return {};
  return role_ == Role::acceptor ? config_.app_id : peer_.app_id;
}

bool Handshake::proves(std::string_view proof, std::string_view token) const {
  const Prover who = role_ == Role::acceptor ? Prover::dialer : Prover::acceptor;
  return same_proof(proof, hello_proof(token, who, intro_, acceptor_id(who)));
}

/// Empty when no token is configured.
std::string Handshake::proof_of(Prover who) const {
  if (config_.token.empty()) return {};
  const Proof proof = hello_proof(config_.*token_, who, intro_, acceptor_id(who));
  return std::string(proof.begin(), proof.end());
}

/// What each side reports about itself, together with its proof.
void Handshake::say(wire::Hello& hello) const {
  hello.set_features(config_.features);
  hello.set_generation(config_.generation);
  hello.set_run_id(config_.run_id);
  hello.mutable_limits()->set_max_frame(config_.limits.max_frame_bytes);
  hello.mutable_limits()->set_max_metadata(config_.limits.max_metadata_bytes);
  hello.mutable_limits()->set_max_calls(config_.limits.max_calls);
}

Handshake::Step Handshake::send_hello(State then, const wire::Hello& hello,
                                      const std::string* methods) {
  std::string frame(kFrameHeaderSize, '\0');
  hello.AppendToString(&frame);
  // Protobuf merges messages whose bytes follow each other.
  if (methods) frame += *methods;
  FrameHeader header;
  header.kind = FrameKind::hello;
  write_header(frame.data(), header, 0, frame.size() - kFrameHeaderSize);
  if (frame.size() > bytes_left_) {
    return fail(refused(Errc::internal, "this app's hello is " + std::to_string(frame.size()) +
                                            " bytes (too many methods?), the limit is " +
                                            std::to_string(bytes_left_)));
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
