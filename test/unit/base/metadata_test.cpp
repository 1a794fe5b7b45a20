// SPDX-License-Identifier: BSL-1.0
#include "m3/base/metadata.h"

#include "m3/testing/catch.h"

using m3::Metadata;

TEST_CASE("base: metadata keys are lower case, for writers and readers") {
  Metadata meta;
  REQUIRE(meta.set("X-Room", "blue"));
  CHECK(meta.entries.front().first == "x-room");
  REQUIRE(meta.find("x-ROOM"));
  CHECK(*meta.find("x-ROOM") == "blue");
  CHECK(meta.find("x-roo") == nullptr);
  CHECK(meta.find("x-room2") == nullptr);
}

TEST_CASE("base: set replaces every value of a key, add keeps them") {
  Metadata meta;
  REQUIRE(meta.add("k", "1"));
  REQUIRE(meta.add("K", "2"));
  REQUIRE(meta.add("other", "3"));
  CHECK(meta.entries.size() == 3);
  CHECK(*meta.find("k") == "1");
  REQUIRE(meta.set("k", "4"));
  CHECK(meta.entries.size() == 2);
  CHECK(meta.erase("K") == 1);
  CHECK(meta.find("k") == nullptr);
}

TEST_CASE("base: a metadata key out of other characters is refused") {
  Metadata meta;
  for (const char* bad : {"", "a b", "a:b", "schl\xc3\xbcssel", "a\n"})
    CHECK(meta.set(bad, "v") == m3::Errc::invalid_argument);
  CHECK(meta.add(std::string(257, 'a'), "v") == m3::Errc::invalid_argument);
  CHECK(meta.add(std::string(256, 'a'), "v").is_ok());
  CHECK(meta.entries.size() == 1);
}

TEST_CASE("base: metadata takes no more entries than a frame may carry") {
  Metadata meta;
  for (std::size_t i = 0; i < m3::kMaxMetadataEntries; ++i)
    REQUIRE(meta.add("k" + std::to_string(i), "v"));
  CHECK(meta.add("one.more", "v") == m3::Errc::invalid_argument);
  CHECK(meta.set("one.more", "v") == m3::Errc::invalid_argument);
  CHECK(meta.set("k7", "again"));
  CHECK(*meta.find("k7") == "again");
  CHECK(meta.entries.size() == m3::kMaxMetadataEntries);
}

TEST_CASE("base: metadata is empty only when every field is, and after clear") {
  auto filled = [](auto fill) {
    Metadata meta;
    CHECK(meta.empty());
    fill(meta);
    CHECK_FALSE(meta.empty());
    meta.clear();
    CHECK(meta.empty());
    CHECK(meta == Metadata());
  };
  filled([](Metadata& m) { m.actor_id = "7"; });
  filled([](Metadata& m) { m.traceparent = "t"; });
  filled([](Metadata& m) { m.call_chain.emplace_back("c"); });
  filled([](Metadata& m) { m.status.emplace(); });
  filled([](Metadata& m) { m.entries.emplace_back("k", "v"); });
}

TEST_CASE("base: a status survives the way through metadata") {
  using m3::MetadataStatus;
  m3::Status shed = m3::Status(m3::Errc::resource_exhausted, "queue full")
                        .with_app_code(7)
                        .with_retry_after(std::chrono::milliseconds(250));
  m3::Status back = MetadataStatus::from(shed).to_status();
  CHECK(back == m3::Errc::resource_exhausted);
  CHECK(back.text() == "queue full");
  CHECK(back.app_code() == 7);
  CHECK(back.retry_after() == std::chrono::milliseconds(250));
  CHECK(MetadataStatus::from(m3::ok).to_status().is_ok());
  m3::Status moved = MetadataStatus::from(m3::Status::moved("a.b.c.1", "not here")).to_status();
  CHECK(moved == m3::Errc::moved);
  CHECK(moved.owner() == "a.b.c.1");
  MetadataStatus wordy;
  wordy.code = 5;
  wordy.text = std::string(100'000, 'x');
  CHECK(wordy.to_status().text() == std::string(4096, 'x') + "… (100000 bytes)");
  MetadataStatus future;
  future.code = 4711;
  CHECK(future.to_status() == m3::Errc::unknown);
}
