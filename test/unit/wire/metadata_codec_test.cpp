// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/metadata_codec.h"

#include <string>

#include "m3/testing/catch.h"
#include "m3/wire.pb.h"

namespace m3 {
namespace {

std::string encoded(const Metadata& metadata) {
  std::string bytes(encoded_metadata_size(metadata), '\0');
  const char* end = encode_metadata(metadata, bytes.data());
  CHECK(end == bytes.data() + bytes.size());
  return bytes;
}

Metadata full() {
  Metadata metadata;
  metadata.actor_id = "role-4711";
  metadata.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  metadata.call_chain = {"a", "", "c"};
  metadata.status.emplace();
  metadata.status->code = 17;
  metadata.status->app_code = -5;
  metadata.status->retry_after_ms = 250;
  metadata.status->text = std::string(200, 't');
  metadata.status->owner = "dev.world1.role.2";
  metadata.entries = {{"x", "1"}, {"x", ""}, {"y.z", std::string("\0\xff", 2)}};
  return metadata;
}

wire::Metadata as_protobuf(const std::string& bytes) {
  wire::Metadata message;
  CHECK(message.ParseFromString(bytes));
  return message;
}

TEST_CASE("wire: empty metadata has no bytes") {
  CHECK(encoded(Metadata()).empty());
  Metadata out = full();
  REQUIRE(decode_metadata("", out));
  CHECK(out.empty());
}

TEST_CASE("wire: full metadata survives a round trip") {
  Metadata out;
  REQUIRE(decode_metadata(encoded(full()), out));
  CHECK(out == full());
}

TEST_CASE("wire: protobuf reads the values we write and writes the bytes we write") {
  const std::string bytes = encoded(full());
  const wire::Metadata message = as_protobuf(bytes);
  CHECK(message.actor_id() == "role-4711");
  CHECK(message.status().code() == wire::MOVED);
  CHECK(message.status().app_code() == -5);
  CHECK(message.status().retry_after_ms() == 250);
  CHECK(message.call_chain_size() == 3);
  CHECK(message.entries(2).value() == std::string("\0\xff", 2));
  CHECK(message.SerializeAsString() == bytes);
}

TEST_CASE("wire: a status of all defaults is still there") {
  Metadata metadata;
  metadata.status.emplace();
  CHECK(encoded(metadata) == std::string("\x2a\x00", 2));
  Metadata out;
  REQUIRE(decode_metadata(encoded(metadata), out));
  CHECK(out.status.has_value());
}

TEST_CASE("wire: the last scalar wins and a second status is merged, as in protobuf") {
  wire::Metadata first;
  first.set_actor_id("slow");
  first.mutable_status()->set_text("text");
  first.mutable_status()->set_app_code(3);
  wire::Metadata second;
  second.set_actor_id("fast");
  second.mutable_status()->set_app_code(4);
  Metadata out;
  REQUIRE(decode_metadata(first.SerializeAsString() + second.SerializeAsString(), out));
  CHECK(out.actor_id == "fast");
  REQUIRE(out.status);
  CHECK(out.status->text == "text");
  CHECK(out.status->app_code == 4);
}

TEST_CASE("wire: unknown fields are skipped whatever their type") {
  const std::string bytes("\x50\x01\x59zzzzzzzz\x62\x02zz\x6dzzzz\x73\x50\x05\x74\x22\x01L");
  Metadata out;
  REQUIRE(decode_metadata(bytes, out));
  CHECK(out.actor_id == "L");
}

TEST_CASE("wire: an unknown code stays a number") {
  wire::Metadata message;
  message.mutable_status()->set_code(static_cast<wire::Errc>(900));
  Metadata out;
  REQUIRE(decode_metadata(message.SerializeAsString(), out));
  CHECK(out.status->code == 900);
  CHECK(out.status->to_status().code() == Errc::unknown);
}

TEST_CASE("wire: malformed metadata is refused at every cut and leaves nothing behind") {
  const std::string bytes = encoded(full());
  int refused = 0;
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    Metadata out;
    const std::string part = bytes.substr(0, cut);
    const Status status = decode_metadata(part, out);
    wire::Metadata oracle;
    REQUIRE(status.is_ok() == oracle.ParseFromString(part));
    if (status) continue;
    ++refused;
    REQUIRE(status.code() == Errc::invalid_argument);
    REQUIRE(out.empty());
  }
  CHECK(refused > 300);
  for (std::string_view bad : {"\x07", "\x0c", "\x02", "\x0b", "\x0e"}) {
    Metadata out;
    CHECK_FALSE(decode_metadata(bad, out));
  }
}

TEST_CASE("wire: metadata of too many small parts is refused") {
  Metadata metadata;
  for (std::size_t i = 0; i < kMaxMetadataEntries; ++i) metadata.entries.emplace_back("k", "");
  for (std::size_t i = 0; i < kMaxCallChain; ++i) metadata.call_chain.emplace_back();
  Metadata out;
  CHECK(decode_metadata(encoded(metadata), out));
  Metadata more = metadata;
  more.entries.emplace_back("k", "");
  CHECK(decode_metadata(encoded(more), out).text() == "bad metadata: more than 128 entries");
  more = metadata;
  more.call_chain.emplace_back();
  CHECK(decode_metadata(encoded(more), out).text() ==
        "bad metadata: more than 32 calls in the chain");
}

TEST_CASE("wire: a key that could not have been set is refused") {
  for (const std::string& key : {std::string(), std::string("Upper"), std::string("a b"),
                                 std::string(257, 'k'), std::string("\xc3\xa4")}) {
    Metadata metadata;
    metadata.entries.emplace_back(key, "v");
    Metadata out;
    CHECK(decode_metadata(encoded(metadata), out).code() == Errc::invalid_argument);
  }
}

TEST_CASE("wire: decoding again reuses memory") {
  Metadata out;
  const std::string bytes = encoded(full());
  REQUIRE(decode_metadata(bytes, out));
  const char* entry = out.entries.back().second.data();
  const char* key = out.traceparent.data();
  REQUIRE(decode_metadata(bytes, out));
  CHECK(out.entries.back().second.data() == entry);
  CHECK(out.traceparent.data() == key);
  CHECK(out == full());
}

}  // namespace
}  // namespace m3
