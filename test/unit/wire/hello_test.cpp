// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/hello.h"

#include <string>
#include <utility>
#include <vector>

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
  FrameReader reader(bytes, to.frame_limits());
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
      if (to.state() != State::open) break;
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
};

TEST_CASE("wire: two sides with the same token introduce themselves in four hellos") {
  HelloConfig dialer = dialer_config();
  dialer.features = 0b0110;
  dialer.limits.max_calls = 7;
  dialer.dialled = "dev.world1.hello.1";
  HelloConfig acceptor = acceptor_config();
  acceptor.features = 0b0011;
  acceptor.generation = 200;
  acceptor.run_id = 7;
  Meeting meeting(dialer, acceptor);
  REQUIRE(meeting.dialer.state() == State::done);
  REQUIRE(meeting.acceptor.state() == State::done);

  const PeerInfo& server = meeting.dialer.peer();
  CHECK(server.app_id == "dev.world1.hello.1");
  CHECK(server.generation == 200);
  CHECK(server.run_id == 7);
  CHECK_FALSE(server.leaving);
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
  Introduction intro;
  intro.dialer.fill(0x11);
  intro.acceptor.fill(0x22);
  intro.dialer_id = "dev.world1.client.1";
  intro.dialled = "dev.world1.hello.1";
  const auto hex_of = [&](Prover who, std::string_view acceptor) {
    std::string hex;
    for (std::uint8_t byte : hello_proof("s3cret", who, intro, acceptor)) {
      hex += "0123456789abcdef"[byte >> 4];
      hex += "0123456789abcdef"[byte & 15];
    }
    return hex;
  };
  // python3: hmac.new(b"s3cret", b"A" + b"\x11"*16 + b"\x22"*16 + b"\x13\0dev.world1.client.1" +
  //   2 * b"\x12\0dev.world1.hello.1", "sha256").hexdigest(); the dialer's: b"D", and b"\0\0" at
  //   the end instead of the acceptor's id
  CHECK(hex_of(Prover::acceptor, "dev.world1.hello.1") ==
        "b013b4f4a7cf339a089395e09840e2c8cd8550f464c16710c7690774ba7cf39a");
  CHECK(hex_of(Prover::dialer, "") ==
        "06bb47d5d025553a677f1d8cf6cbb0d1aa17396bb05a7a69ac93d3ca392fa2d7");
}

/// What both sides send when all goes well, in order.
std::vector<std::string> hellos_of(const HelloConfig& dialer_side,
                                   const HelloConfig& acceptor_side) {
  Handshake dialer = Handshake::dial(dialer_side);
  Handshake acceptor = Handshake::accept(acceptor_side);
  std::vector<std::string> sent{dialer.start().send};
  while (sent.size() < 4)
    sent.push_back(feed(sent.size() % 2 ? acceptor : dialer, sent.back()).send);
  CHECK(feed(dialer, sent.back()).state == State::done);
  return sent;
}

TEST_CASE("wire: the token itself never crosses the wire") {
  const auto hellos = hellos_of(dialer_config(), acceptor_config());
  for (const std::string& bytes : hellos) CHECK(bytes.find("s3cret") == std::string::npos);
  CHECK(hello_in(hellos[0]).proof().empty());
  CHECK(hello_in(hellos[1]).proof().empty());
  CHECK(hello_in(hellos[2]).proof().size() == kProofBytes);
  CHECK(hello_in(hellos[3]).proof().size() == kProofBytes);
  CHECK(hello_in(hellos[2]).proof() != hello_in(hellos[3]).proof());
}

TEST_CASE("wire: an acceptor reveals nothing to an unproven dialer") {
  const auto hellos = hellos_of(dialer_config(), acceptor_config());
  wire::Hello bare;
  bare.set_protocol(kProtocolVersion);
  bare.set_nonce(std::string(16, '\x22'));
  CHECK(hellos[1] == hello_bytes(bare));
  HelloConfig stranger = dialer_config();
  stranger.token = "wrong";
  Meeting meeting(stranger, acceptor_config());
  CHECK(meeting.dialer_status.text().find("hello.1") == std::string::npos);
}

TEST_CASE("wire: while a token is changed both are let in, each side with either") {
  HelloConfig before = acceptor_config();
  HelloConfig both = acceptor_config();
  both.second_token = "n3w";
  HelloConfig after = acceptor_config();
  after.token = "n3w";
  after.second_token = "s3cret";
  HelloConfig old_dialer = dialer_config();
  HelloConfig new_dialer = dialer_config();
  new_dialer.token = "n3w";
  new_dialer.second_token = "s3cret";
  const auto meets = [](const HelloConfig& dialer, const HelloConfig& acceptor) {
    Meeting meeting(dialer, acceptor);
    return meeting.dialer.state() == State::done && meeting.acceptor.state() == State::done;
  };
  CHECK(meets(old_dialer, before));
  CHECK(meets(old_dialer, both));
  CHECK(meets(new_dialer, both));
  CHECK(meets(old_dialer, after));
  CHECK(meets(new_dialer, after));
  CHECK_FALSE(meets(new_dialer, before));  // therefore the new one is accepted everywhere first
  after.second_token.clear();
  CHECK_FALSE(meets(old_dialer, after));
  // A dialer believes whoever knows the token that it has shown, and nobody else.
  HelloConfig liar = acceptor_config();
  liar.token = "n3w";
  liar.second_token = "s3cret";
  Handshake dialer = Handshake::dial(new_dialer);
  Handshake acceptor = Handshake::accept(liar);
  auto bytes = feed(dialer, feed(acceptor, dialer.start().send).send).send;
  wire::Hello last = hello_in(feed(acceptor, bytes).send);
  Introduction intro;
  intro.dialer.fill(0x11);
  intro.acceptor.fill(0x22);
  intro.dialer_id = "dev.world1.client.1";
  const Proof other = hello_proof("s3cret", Prover::acceptor, intro, last.app_id());
  last.set_proof(other.data(), other.size());
  CHECK(feed(dialer, hello_bytes(last)).status.code() == Errc::unauthenticated);
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

TEST_CASE("wire: an acceptor distinguishes operators from apps by their proofs") {
  HelloConfig acceptor = acceptor_config();
  Meeting all(dialer_config(), acceptor);
  CHECK(all.acceptor.peer().is_operator);  // there is only one token
  acceptor.operator_token = "0perator";
  Meeting app(dialer_config(), acceptor);
  REQUIRE(app.acceptor.state() == State::done);
  CHECK_FALSE(app.acceptor.peer().is_operator);
  HelloConfig person = dialer_config();
  person.token = "0perator";
  Meeting trusted(person, acceptor);
  REQUIRE(trusted.dialer.state() == State::done);
  CHECK(trusted.acceptor.peer().is_operator);
}

TEST_CASE("wire: a token on one side only is refused, and the reason says whose is missing") {
  HelloConfig without = dialer_config();
  without.token.clear();
  Meeting unproven(without, acceptor_config());
  CHECK(unproven.dialer_status.text() ==
        "refused by the peer: dev.world1.client.1 has no token configured, but one is required");

  HelloConfig open_acceptor = acceptor_config();
  open_acceptor.token.clear();
  Meeting untrusted(dialer_config(), open_acceptor);
  CHECK(untrusted.dialer_status.code() == Errc::unauthenticated);
  CHECK(untrusted.dialer_status.text() ==
        "refused by the peer: dev.world1.client.1 proves a token, but none is configured here");

  open_acceptor.token.clear();
  Meeting open(without, open_acceptor);
  CHECK(open.dialer.state() == State::done);
  CHECK(open.acceptor.state() == State::done);
}

TEST_CASE("wire: a proof is of no use to anybody else, nor for another connection") {
  const auto hellos = hellos_of(dialer_config(), acceptor_config());
  const auto state_after = [&](const HelloConfig& acceptor_side, const std::string& third) {
    Handshake acceptor = Handshake::accept(acceptor_side);
    feed(acceptor, hellos[0]);
    return feed(acceptor, third).state;
  };
  REQUIRE(state_after(acceptor_config(), hellos[2]) == State::done);
  // The acceptor's own, sent back.
  wire::Hello reflected;
  reflected.set_proof(hello_in(hellos[3]).proof());
  CHECK(state_after(acceptor_config(), hello_bytes(reflected)) == State::failed);
  // A recorded one.
  HelloConfig later = acceptor_config();
  later.nonce = [] { return Nonce{1}; };
  CHECK(state_after(later, hellos[2]) == State::failed);
  // One that was made for another instance, by a dialer that says so.
  HelloConfig other = dialer_config();
  other.dialled = "dev.world1.hello.2";
  HelloConfig second = acceptor_config();
  second.app_id = "dev.world1.hello.2";
  CHECK(state_after(acceptor_config(), hellos_of(other, second)[2]) == State::failed);
}

TEST_CASE("wire: every broken proof is refused") {
  const std::string good = hello_in(hellos_of(dialer_config(), acceptor_config())[2]).proof();
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

  // The acceptor's.
  wire::Hello last = hello_in(hellos_of(dialer_config(), acceptor_config())[3]);
  const auto dialer_after = [&](const std::string& id, const std::string& proof) {
    Handshake dialer = Handshake::dial(dialer_config());
    Handshake acceptor = Handshake::accept(acceptor_config());
    feed(dialer, feed(acceptor, dialer.start().send).send);
    wire::Hello fourth = last;
    fourth.set_app_id(id);
    fourth.set_proof(proof);
    return feed(dialer, hello_bytes(fourth)).state;
  };
  REQUIRE(dialer_after(last.app_id(), last.proof()) == State::done);
  CHECK(dialer_after(last.app_id(), good) == State::failed);
  CHECK(dialer_after(last.app_id(), "") == State::failed);
  CHECK(dialer_after("dev.world1.hello.2", last.proof()) == State::failed);
}

TEST_CASE("wire: an acceptor that was not dialled reports that, and is refused if it does not") {
  HelloConfig dialer = dialer_config();
  dialer.dialled = "dev.world1.hello.2";
  Meeting meeting(dialer, acceptor_config());
  CHECK(meeting.acceptor_status.code() == Errc::unavailable);
  CHECK(meeting.acceptor_status.text() ==
        "dialled dev.world1.hello.2, but dev.world1.hello.1 answers: the address belongs to "
        "another app");
  CHECK(meeting.dialer_status.text() == "refused by the peer: " + meeting.acceptor_status.text());

  Handshake asks = Handshake::dial(dialer);
  Handshake honest = Handshake::accept(acceptor_config());
  feed(asks, feed(honest, asks.start().send).send);
  wire::Hello fourth;
  fourth.set_app_id("dev.world1.hello.1");
  Introduction intro;
  intro.dialer.fill(0x11);
  intro.acceptor.fill(0x22);
  intro.dialer_id = dialer.app_id;
  intro.dialled = dialer.dialled;
  const Proof proof = hello_proof("s3cret", Prover::acceptor, intro, fourth.app_id());
  fourth.set_proof(proof.data(), proof.size());
  const auto step = feed(asks, hello_bytes(fourth));
  CHECK(step.status.text() ==
        "dialled dev.world1.hello.2, but dev.world1.hello.1 answered: the address belongs to "
        "another app");
}

TEST_CASE("wire: an acceptor that is leaving says so") {
  HelloConfig acceptor = acceptor_config();
  acceptor.leaving = [] { return true; };
  Meeting meeting(dialer_config(), acceptor);
  REQUIRE(meeting.dialer.state() == State::done);
  CHECK(meeting.dialer.peer().leaving);
  CHECK_FALSE(meeting.dialer.peer().sick);
}

TEST_CASE("wire: an acceptor that is sick says so, unless it is leaving anyway") {
  for (const bool leaving : {false, true}) {
    HelloConfig acceptor = acceptor_config();
    acceptor.sick = [] { return true; };
    acceptor.leaving = [leaving] { return leaving; };
    Meeting meeting(dialer_config(), acceptor);
    REQUIRE(meeting.dialer.state() == State::done);
    CHECK(meeting.dialer.peer().sick == !leaving);
    CHECK(meeting.dialer.peer().leaving == leaving);
  }
}

TEST_CASE("wire: another protocol version is refused naming both") {
  Handshake acceptor = Handshake::accept(acceptor_config());
  wire::Hello hello;
  hello.set_protocol(9);
  hello.set_nonce(std::string(16, 'n'));
  const auto step = feed(acceptor, hello_bytes(hello));
  CHECK(step.status.code() == Errc::failed_precondition);
  CHECK(step.status.text() ==
        "protocol version 9 meets version 2: both sides must use the same one");
  auto goaway = decode_goaway(std::string_view(step.send).substr(kFrameHeaderSize));
  REQUIRE(goaway);
  CHECK(goaway->reason.code() == Errc::failed_precondition);
}

TEST_CASE("wire: a peer that admit refuses gets the reason, after it has proven itself") {
  HelloConfig acceptor = acceptor_config();
  int asked = 0;
  acceptor.admit = [&asked](const PeerInfo& peer) {
    ++asked;
    return Status(Errc::already_exists, peer.app_id + " is connected from elsewhere");
  };
  Meeting meeting(dialer_config(), acceptor);
  CHECK(asked == 1);
  CHECK(meeting.acceptor_status.code() == Errc::already_exists);
  CHECK(meeting.dialer_status.text() ==
        "refused by the peer: dev.world1.client.1 is connected from elsewhere");

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
    CHECK(step.status.text() == "a " + frame_kind_name(kind) + " before the hellos are complete");
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
  CHECK(refusal(hello) == "an app id in the hello is not valid");
  for (const char* id : {"....", "dev.w.f", "a.b.c.d.e", "dev.w.f.1\n"}) {
    hello.set_app_id(id);
    CHECK(refusal(hello) == "an app id in the hello is not valid");
  }
  hello.set_app_id(std::string(256, 'a'));
  CHECK(refusal(hello) == "an app id in the hello is not valid");
  hello.set_app_id("");
  hello.set_dialled("a b");
  CHECK(refusal(hello) == "an app id in the hello is not valid");

  HelloConfig narrow = dialer_config();
  narrow.limits.max_frame_bytes = 10;
  Meeting limited(narrow, acceptor_config());
  CHECK(limited.acceptor_status.text() ==
        "the limits in the hello: max_frame_bytes is 10, must be 4096 to 268435456");

  Handshake acceptor = Handshake::accept(acceptor_config());
  std::string bytes = hello_bytes(hello);
  bytes.resize(bytes.size() - 1);
  FrameHeader header = read_header(bytes.data());
  write_header(bytes.data(), header, 0, bytes.size() - kFrameHeaderSize);
  CHECK(feed(acceptor, bytes).status.text() == "the body of a hello is not a valid m3.wire.Hello");
}

TEST_CASE("wire: what a hello says is shown in logs, so it must be printable") {
  HelloConfig acceptor = acceptor_config();
  MethodName odd;
  odd.name = "/p.S/M\n";
  acceptor.methods = encode_methods({odd});
  Meeting named(dialer_config(), acceptor);
  CHECK(named.dialer_status.text() == "the name of a method in the hello is not printable");
  HelloConfig dialer = dialer_config();
  dialer.app_id = "\xff";
  CHECK(Handshake::dial(dialer).start().state == State::failed);
}

TEST_CASE("wire: the hellos may be 256 KiB together, but a stranger has 4 KiB") {
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
  CHECK(lone.frame_limits().max_frame_bytes == 4096);
  wire::Hello hello;
  hello.set_protocol(kProtocolVersion);
  hello.set_nonce(std::string(16, 'n'));
  hello.add_methods()->set_name(std::string(3'000, 'm'));
  REQUIRE(feed(lone, hello_bytes(hello)).state == State::open);
  CHECK(lone.frame_limits().max_frame_bytes == 4096);
  CHECK(feed(lone, hello_bytes(hello)).status.text() == "the hellos are more than 4096 bytes");
}

TEST_CASE("wire: random nonces differ") { CHECK(random_nonce() != random_nonce()); }

}  // namespace
}  // namespace m3
