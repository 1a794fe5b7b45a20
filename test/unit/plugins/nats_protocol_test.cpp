// SPDX-License-Identifier: BSL-1.0
#include "plugins/broker/nats/nats_protocol.h"

#include <string>
#include <vector>

#include "m3/testing/catch.h"

using m3::Errc;
using m3::NatsComplaint;
using m3::NatsOp;
using m3::NatsReader;
using m3::testing::contains;

namespace {

std::string text_of(const NatsOp& op) {
  switch (op.kind) {
    case NatsOp::Kind::info:
      return "info " + std::string(op.text);
    case NatsOp::Kind::msg:
      return std::string(op.subject) + "#" + std::to_string(op.sid) + " [" +
             std::string(op.headers) + "] " + std::string(op.payload);
    case NatsOp::Kind::ping:
      return "ping";
    case NatsOp::Kind::pong:
      return "pong";
    case NatsOp::Kind::ok:
      return "ok";
    case NatsOp::Kind::err:
      return "err " + std::string(op.text);
  }
  return "?";
}

/// One of each; the line that ends the message is the protocol's, the one within it is not.
const std::string kAll =
    "INFO {\"max_payload\": 7} \r\n"
    "ping\r\n"
    "PONG\r\n"
    "+OK\r\n"
    "MSG news 7 5\r\na\r\nbc\r\n"
    "MSG news 7 reply.to 0\r\n\r\n"
    "HMSG\tnews 8 3 6\r\nh\r\nxyz\r\n"
    "-ERR 'Stale Connection'\r\n";
const std::vector<std::string> kSeen{"info {\"max_payload\": 7}",
                                     "ping",
                                     "pong",
                                     "ok",
                                     "news#7 [] a\r\nbc",
                                     "news#7 [] ",
                                     "news#8 [h\r\n] xyz",
                                     "err Stale Connection"};

/// invalid_argument's text; "" when there is more to come.
std::string refusal(const std::string& bytes) {
  NatsReader reader(bytes, 100);
  for (NatsOp op; reader.next(op);) {
  }
  NatsOp again;
  CHECK_FALSE(reader.next(again));
  if (reader.failed()) CHECK(reader.status() == Errc::invalid_argument);
  return std::string(reader.status().text());
}

}  // namespace

TEST_CASE("nats protocol: a server's messages are cut into parts, wherever the bytes are split") {
  for (std::size_t cut = 0; cut <= kAll.size(); ++cut) {
    INFO("cut at " << cut);
    std::vector<std::string> seen;
    NatsReader first(std::string_view(kAll).substr(0, cut));
    for (NatsOp op; first.next(op);) seen.push_back(text_of(op));
    CHECK_FALSE(first.failed());
    CHECK(cut + first.needed() <= kAll.size());
    NatsReader rest(std::string_view(kAll).substr(first.consumed()));
    for (NatsOp op; rest.next(op);) seen.push_back(text_of(op));
    CHECK(seen == kSeen);
    CHECK(first.consumed() + rest.consumed() == kAll.size());
  }
}

TEST_CASE("nats protocol: of a message it says how many bytes are missing, to the last") {
  const std::string whole = "MSG a 1 3\r\nxyz\r\n";
  const std::size_t line = whole.find('\n') + 1;
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    INFO("cut at " << cut);
    NatsReader reader(std::string_view(whole).substr(0, cut));
    NatsOp op;
    CHECK_FALSE(reader.next(op));
    CHECK_FALSE(reader.failed());
    CHECK(reader.consumed() == 0);
    CHECK(reader.needed() == (cut < line ? 0 : whole.size() - cut));
  }
}

TEST_CASE("nats protocol: violations are refused with the reason") {
  CHECK(contains(refusal("PINGS\r\n"), "\"PINGS\""));
  CHECK(contains(refusal("MSG a 1\r\n"), "wrong number of words"));
  CHECK(contains(refusal("MSG a 1 r 2 3\r\n"), "wrong number of words"));
  CHECK(contains(refusal("HMSG a 1 2\r\n"), "wrong number of words"));
  CHECK(contains(refusal("MSG a x 1\r\n"), "subscription's number"));
  CHECK(contains(refusal("MSG a 1 -1\r\n"), "without its size"));
  CHECK(contains(refusal("HMSG a 1 x 1\r\n"), "size of its headers"));
  CHECK(contains(refusal("HMSG a 1 3 2\r\nabc\r\n"), "headers larger"));
  CHECK(contains(refusal("MSG a 1 2\r\nabc\r\n"), "longer than its announced size"));
  CHECK(contains(refusal("MSG a 1 101\r\n"), "a message of 101 bytes"));
  CHECK(refusal("MSG a 1 100\r\n").empty());
  CHECK(refusal("INFO " + std::string(NatsReader::kMostLine - 5, 'x')).empty());
  CHECK(contains(refusal("INFO " + std::string(NatsReader::kMostLine, 'x')), "256 KiB"));
  CHECK(contains(refusal("INFO " + std::string(NatsReader::kMostLine, 'x') + "\r\n"), "256 KiB"));
}

TEST_CASE("nats protocol: a complaint has a subject and a meaning") {
  const auto is = [](std::string_view text, NatsComplaint::About about, Errc code,
                     std::string_view subject = "") {
    INFO(text);
    const NatsComplaint complaint = m3::nats_complaint(text);
    CHECK(complaint.about == about);
    CHECK(complaint.code == code);
    CHECK(complaint.subject == subject);
  };
  using About = NatsComplaint::About;
  is("Permissions Violation for Publish to \"a.b\"", About::publish, Errc::permission_denied,
     "a.b");
  is("Permissions Violation for Subscription to \"a.>\" using queue \"q\"", About::subscription,
     Errc::permission_denied, "a.>");
  is("permissions violation for publish to \"a", About::publish, Errc::permission_denied);
  is("maximum subscriptions exceeded", About::subscription, Errc::resource_exhausted);
  is("Invalid Subject", About::subscription, Errc::invalid_argument);
  is("Authorization Violation", About::connection, Errc::unauthenticated);
  is("User Authentication Expired", About::connection, Errc::unauthenticated);
  is("Stale Connection", About::connection, Errc::unavailable);
}

TEST_CASE("nats protocol: INFO is read, and missing members have defaults") {
  const auto info = m3::parse_nats_info(
      R"({"max_payload": 7, "auth_required": true, "tls_required": "no", "other": []})");
  REQUIRE(info.is_ok());
  CHECK(info->max_payload == 7);
  CHECK(info->auth_required);
  CHECK_FALSE(info->tls_required);
  CHECK(m3::parse_nats_info("{}")->max_payload == 1u << 20);
  CHECK(m3::parse_nats_info(R"({"max_payload": 99999999999})")->max_payload ==
        NatsReader::kMostPayload);
  for (const char* wrong : {"", "[]", R"({"max_payload": -1})", R"({"max_payload": "7"})"}) {
    INFO(wrong);
    CHECK(m3::parse_nats_info(wrong).status() == Errc::invalid_argument);
  }
}

TEST_CASE("nats protocol: CONNECT carries only the credentials that are set") {
  CHECK(contains(m3::nats_connect({"me", "u", "p", ""}), R"("pass":"p")"));
  const std::string bare = m3::nats_connect({"m\"e", "", "", ""});
  CHECK(bare.starts_with("CONNECT {"));
  CHECK(bare.ends_with("}\r\n"));
  CHECK(contains(bare, R"("name":"m\"e")"));
  for (const char* credential : {"user", "pass\"", "auth_token"})
    CHECK_FALSE(contains(bare, credential));
}
