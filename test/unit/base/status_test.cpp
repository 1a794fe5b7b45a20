// SPDX-License-Identifier: BSL-1.0
#include "m3/base/status.h"

#include "m3/base/result.h"
#include "m3/testing/catch.h"

using m3::Errc;
using m3::Result;
using m3::Status;

TEST_CASE("base: an OK status is one pointer and says ok") {
  CHECK(sizeof(Status) == sizeof(void*));
  Status status = m3::ok;
  CHECK(status.is_ok());
  CHECK(status.text().empty());
  CHECK(status.to_string() == "ok");
  CHECK(std::move(status).add_context("nowhere").is_ok());  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("base: context is added outward and the code stays") {
  Status status = Status(Errc::unavailable, "refused").add_context("dial").add_context("call");
  CHECK(status == Errc::unavailable);
  CHECK(status.to_string() == "unavailable: call: dial: refused");
}

TEST_CASE("base: a copied status is equal and independent") {
  Status first = Status(Errc::aborted, "x").with_app_code(3).not_executed();
  Status copy = first;
  first = Status(m3::ok);
  CHECK(copy.app_code() == 3);
  CHECK_FALSE(copy.maybe_executed());
}

TEST_CASE("base: moved names the owner and was never executed") {
  Status status = Status::moved("d.w.f.2");
  CHECK(status == Errc::moved);
  CHECK(status.owner() == "d.w.f.2");
  CHECK_FALSE(status.maybe_executed());
  CHECK(status.to_string() == "moved (owner d.w.f.2)");
}

TEST_CASE("base: an error made of ok is an internal error") {
  CHECK(Status(Errc::ok, "x") == Errc::internal);
  Result<int> result{Status(m3::ok)};
  CHECK(result.code() == Errc::internal);
}

TEST_CASE("base: a result holds a value or the reason") {
  Result<std::string> good = std::string("v");
  REQUIRE(good);
  CHECK(*good == "v");
  CHECK(good->size() == 1);
  CHECK(good.status().is_ok());
  Result<std::string> bad = Status(Errc::not_found, "no row");
  CHECK_FALSE(bad);
  CHECK(bad.status().text() == "no row");
  CHECK(std::move(bad).value_or("other") == "other");  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("base: codes and numbers go both ways, unknown numbers are unknown") {
  for (std::uint32_t number = 0; number < 20; ++number) {
    if (number == 11 || number > 17) {
      CHECK(m3::errc_from_number(number) == Errc::unknown);
    } else {
      CHECK(static_cast<std::uint32_t>(m3::errc_from_number(number)) == number);
    }
  }
  CHECK(m3::errc_from_number(0x10003) == Errc::unknown);
  CHECK(m3::errc_name(Errc::moved) == "moved");
  CHECK(m3::errc_name(static_cast<Errc>(42)) == "errc_42");
}
