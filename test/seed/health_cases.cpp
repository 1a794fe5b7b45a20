// SPDX-License-Identifier: BSL-1.0
// The row about an app's health, as those see it who ask over HTTP.
#include <atomic>
#include <chrono>
#include <csignal>
#include <string>

#include "embedded.h"
#include "m3/testing/catch.h"
#include "m3/testing/http_client.h"
#include "process.h"

using namespace seed;
using m3::testing::http_get;

namespace {

std::uint16_t admin_port(const std::string& output) {
  static const std::string kMark = " admin=127.0.0.1:";
  const std::size_t at = output.find(kMark);
  return at == std::string::npos
             ? 0
             : static_cast<std::uint16_t>(std::stoul(output.substr(at + kMark.size())));
}

}  // namespace

TEST_CASE("S08: a program says over HTTP whether it should get calls, until it leaves") {
  TempFile config(
      "listen = \"127.0.0.1:0\"\ncores = 1\ndrain_wait = \"10m\"\n"
      "[admin]\nlisten = \"127.0.0.1:0\"\n");
  Process app({simple_program(), "-idstr", "example.world1.simple.1", "-conf", config.path()});
  REQUIRE(app.says("services=proto.SimpleSer"));
  const std::uint16_t port = admin_port(app.output());
  REQUIRE(port != 0);
  CHECK(http_get(port, "/health/live").status == 200);
  CHECK(http_get(port, "/health/ready").body == "ok\n");
  app.signal(SIGTERM);
  REQUIRE(app.says("stopping"));
  CHECK(http_get(port, "/health/live").status == 200);
  CHECK(http_get(port, "/health/ready").status == 503);
  CHECK(http_get(port, "/health/ready").body == "stopping\n");
  app.signal(SIGTERM);
  CHECK(app.wait() == 0);
  CHECK(http_get(port, "/health/live").status == 0);
}

TEST_CASE("S08: the app's own health() decides, and says why") {
  std::atomic<bool> healthy{true};
  Embedded talk("talk", "", "[admin]\nlisten = \"127.0.0.1:0\"\n");
  talk.app().health([&](m3::Ctx&) -> m3::Task<> {
    if (healthy) co_return m3::ok;
    co_return m3::Status(m3::Errc::unavailable, "the tables are not loaded");
  });
  REQUIRE(talk.start().is_ok());
  const std::uint16_t port = talk.app().admin_address().port;
  CHECK(http_get(port, "/health/ready").status == 200);
  healthy = false;
  CHECK(http_get(port, "/health/ready").status == 503);
  CHECK(http_get(port, "/health/ready").body == "the tables are not loaded\n");
  CHECK(http_get(port, "/health/live").status == 200);
}
