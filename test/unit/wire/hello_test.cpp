// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/hello.h"

#include <string>
#include <utility>

#include "m3/base/method_hash.h"
#include "m3/testing/catch.h"
#include "m3/wire.pb.h"
#include "m3/wire/goaway.h"

namespace m3 {
namespace {

using State = Handshake::State;

HelloConfig config_of(std::string id, std::uint8_t nonce_byte) {
  HelloConfig config;
  config.app_id = std::move(id);
  config.generation = 100;
  config.token = "s3cret";
  config.nonce = [nonce_byte] {
    Nonce nonce;
    nonce.fill(nonce_byte);
    return nonce;
  };
  return config;
}

HelloConfig dialer_config() { return config_of("dev.world1.client.1", 0x11); }

HelloConfig acceptor_config() {
  HelloConfig config = config_of("dev.world1.hello.1", 0x22);
  MethodName say;
  say.name = "/hello.Hello/Say";
  say.hash = method_hash(say.name);
  config.methods = encode_methods({say});
  return config;
}

Handshake::Step feed(Handshake& to, const std::string& bytes) {
  FrameReader reader(bytes, handshake_frame_limits());
  Frame frame;
  REQUIRE(reader.next(frame));
  REQUIRE(reader.consumed() == bytes.size());
  return to.on_frame(frame);
}

std::string hello_bytes(const wire::Hello& hello, FrameKind kind = FrameKind::hello) {
  std::string bytes(kFrameHeaderSize, '\0');
  hello.AppendToString(&bytes);
  FrameHeader header;
  header.kind = kind;
  write_header(bytes.data(), header, 0, bytes.size() - kFrameHeaderSize);
  return bytes;
}

wire::Hello hello_in(const std::string& bytes) {
  wire::Hello hello;
  REQUIRE(hello.ParseFromString(bytes.substr(kFrameHeaderSize)));
  return hello;
}

/// Both sides until nobody has anything to say.
struct Meeting {
  Meeting(HelloConfig dialer_side, HelloConfig acceptor_side)
      : dialer(Handshake::dial(std::move(dialer_side))),
        acceptor(Handshake::accept(std::move(acceptor_side))) {
    CHECK(acceptor.start().send.empty());
    std::string bytes = dialer.start().send;
    bool to_acceptor = true;
    while (!bytes.empty()) {
      Handshake& to = to_acceptor ? acceptor : dialer;
      if (to.state() != State::open) {
        if (!to_acceptor || acceptor.state() != State::failed) late_goaway = bytes;
        break;
      }
      auto step = feed(to, bytes);
      (to_acceptor ? acceptor_status : dialer_status) = step.status;
      bytes = step.send;
      to_acceptor = !to_acceptor;
    }
  }
  Handshake dialer;
  Handshake acceptor;
  Status dialer_status;
  Status acceptor_status;
  std::string late_goaway;
};

TEST_CASE("wire: two sides with the same token come to know each other in three hellos") {
  HelloConfig dialer = dialer_config();
  dialer.features = 0b0110;
  dialer.limits.max_calls = 7;
  dialer.expected_app_id = "dev.world1.hello.1";
  HelloConfig acceptor = acceptor_config();
  acceptor.features = 0b0011;
  acceptor.generation = 200;
  Meeting meeting(dialer, acceptor);
  REQUIRE(meeting.dialer.state() == State::done);
  REQUIRE(meeting.acceptor.state() == State::done);

  const PeerInfo& server = meeting.dialer.peer();
  CHECK(server.app_id == "dev.world1.hello.1");
  CHECK(server.generation == 200);
  CHECK(server.features == 0b0010);
  CHECK(server.limits.max_calls == 7);
  REQUIRE(server.methods.size() == 1);
  CHECK(server.methods[0].name == "/hello.Hello/Say");

  const PeerInfo& client = meeting.acceptor.peer();
  CHECK(client.app_id == "dev.world1.client.1");
  CHECK(client.generation == 100);
  CHECK(client.limits == server.limits);
  CHECK(client.methods.empty());
}

TEST_CASE("wire: the proof is the documented HMAC, so that other languages can compute it") {
  Nonce dialer;
  dialer.fill(0x11);
  Nonce acceptor;
  acceptor.fill(0x22);
  const auto proof =
      hello_proof("s3cret", 'A', dialer, acceptor, "dev.world1.client.1", "dev.world1.hello.1");
  std::string hex;
  for (std::uint8_t byte : proof) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  // python3: hmac.new(b"s3cret", b"A" + b"\x11"*16 + b"\x22"*16 +
  //   b"\x13\0dev.world1.client.1" + b"\x12\0dev.world1.hello.1", "sha256").hexdigest()
  CHECK(hex == "7133489a5a8e66593e817e2757f1e6d2f7843b4d030ee976a3d7d2c4515995c9");
}

TEST_CASE("wire: the token itself never crosses the wire") {
  Handshake dialer = Handshake::dial(dialer_config());
  Handshake acceptor = Handshake::accept(acceptor_config());
  const std::string first = dialer.start().send;
  const std::string second = feed(acceptor, first).send;
  const std::string third = feed(dialer, second).send;
  for (const std::string& bytes : {first, second, third}) {
    CHECK(bytes.find("s3cret") == std::string::npos);
  }
  CHECK(hello_in(first).proof().empty());
  CHECK(hello_in(second).proof().size() == kProofBytes);
  CHECK(hello_in(third).proof().size() == kProofBytes);
  CHECK(hello_in(second).proof() != hello_in(third).proof());
}

TEST_CASE("wire: another token is refused on both sides") {
  HelloConfig stranger = dialer_config();
  stranger.token = "wrong";
  Meeting meeting(stranger, acceptor_config());
  CHECK(meeting.dialer.state() == State::failed);
  CHECK(meeting.dialer_status.code() == Errc::unauthenticated);
  CHECK_FALSE(meeting.dialer_status.maybe_executed());
  CHECK(meeting.acceptor.state() == State::failed);
  CHECK(meeting.acceptor_status.code() == Errc::unauthenticated);
}

TEST_CASE("wire: a token on one side only is refused, and the reason says whose is missing") {
  HelloConfig without = dialer_config();
  without.token.clear();
  Meeting unproven(without, acceptor_config());
  CHECK(unproven.dialer_status.text() ==
        "dev.world1.hello.1 has a token configured, dev.world1.client.1 has none");

  HelloConfig open_acceptor = acceptor_config();
  open_acceptor.token.clear();
  Meeting untrusted(dialer_config(), open_acceptor);
  CHECK(untrusted.dialer_status.code() == Errc::unauthenticated);
  CHECK(untrusted.dialer_status.text() ==
        "dev.world1.client.1 asks for a token, dev.world1.hello.1 has none configured");

  open_acceptor.token.clear();
  Meeting open(without, open_acceptor);
  CHECK(open.dialer.state() == State::done);
  CHECK(open.acceptor.state() == State::done);
}

TEST_CASE("wire: a stranger cannot get in by sending the acceptor's own proof back") {
  Handshake acceptor = Handshake::accept(acceptor_config());
  wire::Hello first;
  first.set_protocol(kProtocolVersion);
  first.set_nonce(std::string(16, '\x22'));
  const auto second = feed(acceptor, hello_bytes(first));
  wire::Hello third;
  third.set_proof(hello_in(second.send).proof());
  const auto step = feed(acceptor, hello_bytes(third));
  CHECK(step.state == State::failed);
  CHECK(step.status.code() == Errc::unauthenticated);
}

TEST_CASE("wire: every broken proof is refused") {
  const std::string good = [] {
    Handshake dialer = Handshake::dial(dialer_config());
    Handshake acceptor = Handshake::accept(acceptor_config());
    return hello_in(feed(dialer, feed(acceptor, dialer.start().send).send).send).proof();
  }();
  const auto state_after = [](const std::string& proof) {
    Handshake dialer = Handshake::dial(dialer_config());
    Handshake acceptor = Handshake::accept(acceptor_config());
    feed(acceptor, dialer.start().send);
    wire::Hello third;
    third.set_proof(proof);
    return feed(acceptor, hello_bytes(third)).state;
  };
  REQUIRE(state_after(good) == State::done);
  CHECK(state_after("") == State::failed);
  CHECK(state_after(good.substr(1)) == State::failed);
  CHECK(state_after(good + "x") == State::failed);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 1;
    REQUIRE(state_after(bad) == State::failed);
  }
}

TEST_CASE("wire: a dialer refuses whoever answers under another id") {
  HelloConfig dialer = dialer_config();
  dialer.expected_app_id = "dev.world1.hello.2";
  Meeting meeting(dialer, acceptor_config());
  CHECK(meeting.dialer_status.code() == Errc::unavailable);
  CHECK(meeting.dialer_status.text() ==
        "dialled dev.world1.hello.2, but dev.world1.hello.1 answered: the address belongs to "
        "another app");
  CHECK(meeting.acceptor_status.text() == "refused by the peer: " + meeting.dialer_status.text());
}

TEST_CASE("wire: another protocol version is refused naming both") {
  Handshake acceptor = Handshake::accept(acceptor_config());
  wire::Hello hello;
  hello.set_protocol(9);
  hello.set_nonce(std::string(16, 'n'));
  const auto step = feed(acceptor, hello_bytes(hello));
  CHECK(step.status.code() == Errc::failed_precondition);
  CHECK(step.status.text() == "protocol version 9 meets version 1: both sides must speak the same");
  auto goaway = decode_goaway(std::string_view(step.send).substr(kFrameHeaderSize));
  REQUIRE(goaway);
  CHECK(goaway->reason.code() == Errc::failed_precondition);
}

TEST_CASE("wire: whom admit refuses is told why, after it has proven itself") {
  HelloConfig acceptor = acceptor_config();
  int asked = 0;
  acceptor.admit = [&asked](const PeerInfo& peer) {
    ++asked;
    return Status(Errc::already_exists, peer.app_id + " is connected from elsewhere");
  };
  Meeting meeting(dialer_config(), acceptor);
  CHECK(asked == 1);
  CHECK(meeting.dialer.state() == State::done);  // it has nothing to wait for
  CHECK(meeting.acceptor_status.code() == Errc::already_exists);
  auto goaway = decode_goaway(std::string_view(meeting.late_goaway).substr(kFrameHeaderSize));
  REQUIRE(goaway);
  CHECK(goaway->reason.text() == "dev.world1.client.1 is connected from elsewhere");

  HelloConfig stranger = dialer_config();
  stranger.token = "wrong";
  Meeting unproven(stranger, acceptor);
  CHECK(asked == 1);
}

TEST_CASE("wire: anything but a hello is refused until the handshake is over") {
  for (FrameKind kind : {FrameKind::request, FrameKind::ping, FrameKind::cancel}) {
    Handshake acceptor = Handshake::accept(acceptor_config());
    const auto step = feed(acceptor, hello_bytes(wire::Hello(), kind));
    CHECK(step.status.code() == Errc::invalid_argument);
    CHECK(step.status.text() == "a " + frame_kind_name(kind) + " before the hellos are done");
  }
}

TEST_CASE("wire: a hello that is not one is refused with the reason") {
  const auto refusal = [](const wire::Hello& hello) {
    Handshake acceptor = Handshake::accept(acceptor_config());
    const auto step = feed(acceptor, hello_bytes(hello));
    CHECK(step.state == State::failed);
    return step.status.text();
  };
  wire::Hello hello;
  hello.set_protocol(kProtocolVersion);
  CHECK(refusal(hello) == "a nonce of 0 bytes in the hello, must be 16");
  hello.set_nonce(std::string(16, 'n'));
  hello.set_app_id("two words");
  CHECK(refusal(hello) == "the app id in the hello is not one");
  hello.set_app_id(std::string(256, 'a'));
  CHECK(refusal(hello) == "the app id in the hello is not one");
  hello.set_app_id("");
  hello.mutable_limits()->set_max_frame(10);
  CHECK(refusal(hello) ==
        "the limits in the hello: max_frame_bytes is 10, must be 4096 to 268435456");

  Handshake acceptor = Handshake::accept(acceptor_config());
  std::string bytes = hello_bytes(hello);
  bytes.resize(bytes.size() - 1);
  FrameHeader header = read_header(bytes.data());
  write_header(bytes.data(), header, 0, bytes.size() - kFrameHeaderSize);
  CHECK(feed(acceptor, bytes).status.text() == "the body of a hello is no m3.wire.Hello");
}

TEST_CASE("wire: what a hello says is shown in logs, so it must be printable") {
  HelloConfig acceptor = acceptor_config();
  MethodName odd;
  odd.name = "/p.S/M\n";
  acceptor.methods = encode_methods({odd});
  Meeting named(dialer_config(), acceptor);
  CHECK(named.dialer_status.text() == "a method in the hello has no printable name");
  HelloConfig dialer = dialer_config();
  dialer.app_id = "\xff";
  CHECK(Handshake::dial(dialer).start().state == State::failed);
}

TEST_CASE("wire: three hellos may be 256 KiB together and no more") {
  HelloConfig acceptor = acceptor_config();
  MethodName method;
  method.name = "/p.S/" + std::string(995, 'm');
  acceptor.methods = encode_methods(std::vector(250, method));
  Meeting fits(dialer_config(), acceptor);
  CHECK(fits.dialer.state() == State::done);

  acceptor.methods = encode_methods(std::vector(262, method));
  Meeting too_large(dialer_config(), acceptor);
  CHECK(too_large.acceptor_status.code() == Errc::internal);
  CHECK(too_large.acceptor_status.text().find("too many methods") != std::string::npos);
  CHECK(too_large.dialer.state() == State::failed);

  Handshake lone = Handshake::accept(acceptor_config());
  wire::Hello hello;
  hello.set_protocol(kProtocolVersion);
  hello.set_nonce(std::string(16, 'n'));
  hello.add_methods()->set_name(std::string(200'000, 'm'));
  REQUIRE(feed(lone, hello_bytes(hello)).state == State::open);
  CHECK(feed(lone, hello_bytes(hello)).status.text() == "the hellos are more than 262144 bytes");
}

TEST_CASE("wire: random nonces differ") { CHECK(random_nonce() != random_nonce()); }

}  // namespace
}  // namespace m3
