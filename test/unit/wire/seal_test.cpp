// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/seal.h"

#include <string>
#include <utility>

#include "m3/testing/catch.h"

namespace m3 {
namespace {

std::string hex(const Proof& proof) {
  std::string out;
  for (std::uint8_t byte : proof) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

TEST_CASE("wire: a seal is the documented HMAC, so that other languages can compute it") {
  Seal seal("s3cret", "m3 broadcast");
  // python3: key = hmac.new(b"s3cret", b"m3 broadcast", "sha256").digest()
  //   hmac.new(key, b"topic and body", "sha256").hexdigest()
  const std::string good = "81978b6e6a82fd2aa4ebd68986ad82d8ea21449fa3cd457d6d1ed3b927ba8ccb";
  CHECK(hex(seal.over({"topic and body"})) == good);
  CHECK(hex(seal.over({"topic", " and ", "", "body"})) == good);  // and again, from the beginning
  CHECK(hex(seal.over({"topic and bodY"})) != good);
  CHECK(hex(Seal("s3cret", "another purpose").over({"topic and body"})) != good);
  CHECK(hex(Seal("s3cre", "tm3 broadcast").over({"topic and body"})) != good);
  Seal moved = std::move(seal);
  CHECK(hex(moved.over({"topic and body"})) == good);
}

}  // namespace
}  // namespace m3
