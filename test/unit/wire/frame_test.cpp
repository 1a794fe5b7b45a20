// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/frame.h"

#include <string>
#include <vector>

#include "m3/testing/catch.h"
#include "m3/wire.pb.h"
#include "m3/wire/goaway.h"

namespace m3 {
namespace {

std::string frame_bytes(FrameKind kind, std::uint64_t call_id, std::string_view metadata,
                        std::string_view body) {
  FrameHeader header;
  header.kind = kind;
  header.call_id = call_id;
  std::string bytes(kFrameHeaderSize, '\0');
  write_header(bytes.data(), header, metadata.size(), body.size());
  return bytes.append(metadata).append(body);
}

FrameLimits limits_of(std::uint32_t frame, std::uint32_t metadata) {
  FrameLimits limits;
  limits.max_frame_bytes = frame;
  limits.max_metadata_bytes = metadata;
  return limits;
}

Status refusal_of(std::string bytes, const FrameLimits& limits) {
  FrameReader reader(bytes, limits);
  Frame frame;
  CHECK_FALSE(reader.next(frame));
  CHECK(reader.failed());
  CHECK(reader.needed() == 0);
  CHECK_FALSE(reader.next(frame));
  return reader.status();
}

TEST_CASE("wire: a header lies on the wire as the table in wire.md says") {
  FrameHeader header;
  header.kind = FrameKind::response;
  header.flags = kFlagNotExecuted;
  header.method = 0x04030201;
  header.deadline = 0x08070605;
  header.call_id = 0x100f0e0d0c0b0a09;
  char bytes[kFrameHeaderSize];
  write_header(bytes, header, 0x0102, 0x10000);
  const std::string_view expected(
      "\x16\x01\x01\x00\x03\x01\x02\x01\x01\x02\x03\x04\x05\x06\x07\x08"
      "\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10",
      24);
  CHECK(std::string_view(bytes, 24) == expected);
  CHECK(frame_size(read_header(bytes)) == 24 + 0x0102 + 0x10000);
}

TEST_CASE("wire: the reader returns each frame as views and counts the consumed bytes") {
  const std::string bytes = frame_bytes(FrameKind::request, 1, "meta", "body one") +
                            frame_bytes(FrameKind::ping, 2, "", "");
  FrameReader reader(bytes, {});
  Frame frame;
  REQUIRE(reader.next(frame));
  CHECK(frame.header.call_id == 1);
  CHECK(frame.metadata == "meta");
  CHECK(frame.body == "body one");
  CHECK(frame.body.data() == bytes.data() + 28);
  REQUIRE(reader.next(frame));
  CHECK(frame.header.kind == FrameKind::ping);
  CHECK(frame.body.empty());
  CHECK_FALSE(reader.next(frame));
  CHECK_FALSE(reader.failed());
  CHECK(reader.consumed() == bytes.size());
  CHECK(reader.needed() == kFrameHeaderSize);
}

TEST_CASE("wire: a frame cut anywhere waits for exactly the bytes that are missing") {
  const std::string bytes = frame_bytes(FrameKind::notify, 7, "abc", "0123456789");
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    FrameReader reader(std::string_view(bytes).substr(0, cut), {});
    Frame frame;
    REQUIRE_FALSE(reader.next(frame));
    REQUIRE_FALSE(reader.failed());
    REQUIRE(reader.consumed() == 0);
    REQUIRE(reader.needed() == (cut < kFrameHeaderSize ? kFrameHeaderSize : bytes.size()) - cut);
  }
}

TEST_CASE("wire: a header beyond the limits is refused before anyone asks for its bytes") {
  const FrameLimits limits = limits_of(100, 10);
  std::string good = frame_bytes(FrameKind::request, 1, "0123456789", std::string(70, 'x'));
  FrameReader reader(good, limits);
  Frame frame;
  CHECK(reader.next(frame));

  std::string large = frame_bytes(FrameKind::request, 1, "", std::string(81, 'x'));
  Status status = refusal_of(large.substr(0, 24), limits);
  CHECK(status.code() == Errc::invalid_argument);
  CHECK(status.text() == "frame too large: length 101, the limit is 100");
  CHECK_FALSE(status.maybe_executed());

  std::string much = frame_bytes(FrameKind::request, 1, "0123456789a", "");
  CHECK(refusal_of(much, limits).text() == "metadata too large: 11 bytes, the limit is 10");
}

TEST_CASE("wire: a header that contradicts itself is refused with the reason") {
  std::string bytes = frame_bytes(FrameKind::request, 1, "", "");
  bytes[0] = 19;
  CHECK(refusal_of(bytes, FrameLimits()).text() ==
        "bad frame: length 19 is less than the 20 bytes of the header");
  bytes[0] = 20;
  bytes[6] = 1;
  CHECK(refusal_of(bytes, FrameLimits()).text() ==
        "bad frame: metadata length 1 is more than the frame contains");
  bytes[6] = 0;
  for (int kind : {0, 9, 255}) {
    bytes[4] = static_cast<char>(kind);
    CHECK(refusal_of(bytes, FrameLimits()).text() ==
          "bad frame: kind " + std::to_string(kind) + " is not between 1 and 8");
  }
  const std::string all_ones(24, '\xff');
  CHECK(refusal_of(all_ones, FrameLimits()).code() == Errc::invalid_argument);
}

TEST_CASE("wire: frames before a bad one are still handed out") {
  std::string bytes = frame_bytes(FrameKind::request, 1, "", "a");
  const std::size_t good = bytes.size();
  bytes += std::string(24, '\0');
  FrameReader reader(bytes, {});
  Frame frame;
  CHECK(reader.next(frame));
  CHECK_FALSE(reader.next(frame));
  CHECK(reader.failed());
  CHECK(reader.consumed() == good);
}

TEST_CASE("wire: limits are the lesser of both sides, and 0 means no wish") {
  WireLimits mine;
  WireLimits theirs;
  mine.max_frame_bytes = 10'000;
  theirs.max_frame_bytes = 20'000;
  mine.max_metadata_bytes = 0;
  theirs.max_metadata_bytes = 2'000;
  mine.max_calls = 0;
  theirs.max_calls = 0;
  const WireLimits both = effective_limits(mine, theirs);
  CHECK(both == effective_limits(theirs, mine));
  CHECK(both.max_frame_bytes == 10'000);
  CHECK(both.max_metadata_bytes == 2'000);
  CHECK(both.max_calls == WireLimits{}.max_calls);
}

TEST_CASE("wire: unusable limits are refused by name") {
  WireLimits limits;
  CHECK(check_limits(limits));
  limits.max_frame_bytes = 5;
  CHECK(check_limits(limits).text() == "max_frame_bytes is 5, must be 4096 to 268435456");
  limits.max_frame_bytes = 0;
  limits.max_metadata_bytes = 70'000;
  CHECK(check_limits(limits).text() == "max_metadata_bytes is 70000, must be 512 to 65535");
}

TEST_CASE("wire: of a stranger's goaway only the start of its text is kept") {
  wire::Goaway message;
  message.mutable_status()->set_code(static_cast<wire::Errc>(Errc::unavailable));
  message.mutable_status()->set_text(std::string(200'000, 'x'));
  message.mutable_status()->set_owner(std::string(200'000, 'y'));
  auto goaway = decode_goaway(message.SerializeAsString());
  REQUIRE(goaway);
  CHECK(goaway->reason.text() == std::string(1024, 'x') + "… (200000 bytes)");
  CHECK(goaway->reason.owner().size() <= 1024);
}

TEST_CASE("wire: a goaway carries its whole reason") {
  const Status reason = Status(Errc::resource_exhausted, "too many connections")
                            .with_app_code(-7)
                            .with_retry_after(std::chrono::milliseconds(1500));
  const std::string bytes = encode_goaway(reason, true);
  FrameReader reader(bytes, {});
  Frame frame;
  REQUIRE(reader.next(frame));
  CHECK(frame.header.kind == FrameKind::goaway);
  auto goaway = decode_goaway(frame.body);
  REQUIRE(goaway);
  CHECK(goaway->drain);
  CHECK(goaway->reason.code() == Errc::resource_exhausted);
  CHECK(goaway->reason.text() == "too many connections");
  CHECK(goaway->reason.app_code() == -7);
  CHECK(goaway->reason.retry_after() == std::chrono::milliseconds(1500));
}

TEST_CASE("wire: a goaway without a reason is unavailable, and a torn one is refused") {
  auto silent = decode_goaway("");
  REQUIRE(silent);
  CHECK(silent->reason.code() == Errc::unavailable);
  CHECK_FALSE(silent->drain);
  CHECK(decode_goaway("\x0a\x05").code() == Errc::invalid_argument);
}

TEST_CASE("wire: a goaway's text is cut rather than sent without bounds") {
  const std::string bytes = encode_goaway(Status(Errc::internal, std::string(100'000, 'x')), false);
  CHECK(bytes.size() < 1200);
}

}  // namespace
}  // namespace m3
