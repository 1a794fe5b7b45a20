// SPDX-License-Identifier: BSL-1.0
// Byte 0 chooses the role and what is configured; the rest are the frames that the peer sends. With
// a token configured nobody gets through but with the right proof.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "check.h"
#include "m3/wire.pb.h"
#include "m3/wire/goaway.h"
#include "m3/wire/hello.h"

namespace {

using m3::Frame;
using m3::FrameReader;
using m3::Handshake;

m3::Nonce nonce_of(std::uint8_t byte) {
  m3::Nonce nonce;
  nonce.fill(byte);
  return nonce;
}

m3::HelloConfig config_of(bool dials, bool token, bool expects) {
  m3::HelloConfig config;
  config.app_id = dials ? "dev.world1.client.1" : "dev.world1.hello.1";
  config.features = 3;
  if (token) config.token = "s3cret";
  if (dials && expects) config.dialled = "dev.world1.hello.1";
  config.nonce = [dials] { return nonce_of(dials ? 0x11 : 0x22); };
  if (!dials) {
    m3::MethodName method;
    method.hash = 7;
    method.name = "/hello.Hello/Say";
    config.methods = m3::encode_methods({method});
  }
  return config;
}

/// Sent bytes are whole frames of a kind that may be sent here.
void check_sent(std::string_view bytes, bool failed) {
  m3::FrameLimits limits;
  limits.max_frame_bytes = m3::kHandshakeBytes;
  FrameReader reader(bytes, limits);
  for (Frame frame; reader.next(frame);) {
    if (failed) {
      M3_FUZZ_CHECK(frame.header.kind == m3::FrameKind::goaway);
      auto goaway = m3::decode_goaway(frame.body);
      M3_FUZZ_CHECK(goaway && !goaway->reason.is_ok());
    } else {
      m3::wire::Hello hello;
      M3_FUZZ_CHECK(frame.header.kind == m3::FrameKind::hello);
      M3_FUZZ_CHECK(hello.ParseFromArray(frame.body.data(), static_cast<int>(frame.body.size())));
    }
  }
  M3_FUZZ_CHECK(!reader.failed() && reader.consumed() == bytes.size());
}

/// The proof in the peer's second frame, computed again from what it said in the first.
bool proven(bool dials, bool expects, std::string_view first, std::string_view last) {
  m3::wire::Hello intro;
  m3::wire::Hello proof;
  if (!intro.ParseFromArray(first.data(), static_cast<int>(first.size()))) return false;
  if (!proof.ParseFromArray(last.data(), static_cast<int>(last.size()))) return false;
  if (intro.nonce().size() != m3::kNonceBytes) return false;
  m3::Introduction both;
  m3::Nonce& theirs = dials ? both.acceptor : both.dialer;
  (dials ? both.dialer : both.acceptor) = nonce_of(dials ? 0x11 : 0x22);
  std::copy(intro.nonce().begin(), intro.nonce().end(), theirs.begin());
  both.dialer_id = dials ? "dev.world1.client.1" : intro.app_id();
  both.dialled = !dials ? intro.dialled() : expects ? "dev.world1.hello.1" : "";
  const auto who = dials ? m3::Prover::acceptor : m3::Prover::dialer;
  return m3::same_proof(proof.proof(),
                        m3::hello_proof("s3cret", who, both, dials ? proof.app_id() : ""));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool dials = data[0] & 1;
  const bool token = data[0] & 2;
  const m3::HelloConfig config = config_of(dials, token, data[0] & 4);
  Handshake handshake = dials ? Handshake::dial(config) : Handshake::accept(config);
  check_sent(handshake.start().send, false);

  FrameReader reader(std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1),
                     handshake.frame_limits());
  std::string_view first;
  for (Frame frame; handshake.state() == Handshake::State::open && reader.next(frame);
       reader.set_limits(handshake.frame_limits())) {
    M3_FUZZ_CHECK(dials || frame.body.size() < m3::kStrangerBytes);
    if (first.data() == nullptr) first = frame.body;
    const Handshake::Step step = handshake.on_frame(frame);
    const bool failed = step.state == Handshake::State::failed;
    M3_FUZZ_CHECK(step.state == handshake.state());
    M3_FUZZ_CHECK(step.status.is_ok() == !failed);
    M3_FUZZ_CHECK(!failed || !step.status.maybe_executed());
    check_sent(step.send, failed);
    if (step.state != Handshake::State::done) continue;
    const m3::PeerInfo& peer = handshake.peer();
    M3_FUZZ_CHECK(!token || proven(dials, data[0] & 4, first, frame.body));
    M3_FUZZ_CHECK(peer.limits.max_frame_bytes >= m3::kLeastMaxFrameBytes);
    M3_FUZZ_CHECK(peer.limits.max_metadata_bytes >= m3::kLeastMaxMetadataBytes);
    M3_FUZZ_CHECK(peer.limits.max_calls > 0);
    M3_FUZZ_CHECK(peer.app_id.size() <= m3::kMaxHelloId);
    M3_FUZZ_CHECK(!(data[0] & 4) || !dials || peer.app_id == config.dialled);
  }
  return 0;
}
