// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/base64url.h"

#include <string_view>

#include "m3/testing/catch.h"

namespace {

std::string of(std::string_view text) {
  return m3ctl::base64url({reinterpret_cast<const unsigned char*>(text.data()), text.size()});
}

}  // namespace

TEST_CASE("m3ctl base64url: the examples of RFC 4648, without padding") {
  CHECK(of("").empty());
  CHECK(of("f") == "Zg");
  CHECK(of("fo") == "Zm8");
  CHECK(of("foo") == "Zm9v");
  CHECK(of("foob") == "Zm9vYg");
  CHECK(of("fooba") == "Zm9vYmE");
  CHECK(of("foobar") == "Zm9vYmFy");
  CHECK(of("\xfb\xff\xfe") == "-__-");
}
