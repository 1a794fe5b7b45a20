// SPDX-License-Identifier: BSL-1.0
#include "m3/testing/real_service.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "m3/testing/catch.h"

using m3::HostPort;
using m3::testing::RealService;
using Kind = RealService::Kind;

namespace {

bool accepts(const HostPort& address) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons(address.port);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const bool good = ::connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
  ::close(fd);
  return good;
}

void lives(RealService::Options options, Kind kind) {
  std::string folder;
  pid_t last = -1;
  {
    auto started = RealService::start(kind, std::move(options));
    INFO(started.status());
    REQUIRE(started.is_ok());
    RealService& service = **started;
    const HostPort address = service.address();
    folder = service.folder();
    CHECK(accepts(address));

    service.stop();
    CHECK_FALSE(service.running());
    CHECK_FALSE(accepts(address));
    REQUIRE(service.start_again().is_ok());
    CHECK(service.address() == address);

    const pid_t first = service.pid();
    service.freeze();
    service.thaw();
    service.kill9();
    CHECK(::kill(first, 0) != 0);
    const m3::Status again = service.start_again();
    INFO(again);
    REQUIRE(again.is_ok());
    CHECK(accepts(address));
    last = service.pid();
  }
  CHECK(::kill(last, 0) != 0);
  CHECK_FALSE(std::filesystem::exists(folder));
}

}  // namespace

TEST_CASE("testing: a real redis-server starts, stops, is killed and comes back") {
  if (!RealService::installed(Kind::redis)) M3_SKIP(RealService::how_to_install(Kind::redis));
  lives({}, Kind::redis);
  RealService::Options options;
  options.keeps_data = true;
  lives(options, Kind::redis);
}

TEST_CASE("testing: a real nats-server starts, stops, is killed and comes back") {
  if (!RealService::installed(Kind::nats)) M3_SKIP(RealService::how_to_install(Kind::nats));
  lives({}, Kind::nats);
}

TEST_CASE("testing: a real consul starts, stops, is killed and comes back") {
  if (!RealService::installed(Kind::consul)) M3_SKIP(RealService::how_to_install(Kind::consul));
  lives({}, Kind::consul);
  RealService::Options options;
  options.keeps_data = true;
  lives(options, Kind::consul);
}

TEST_CASE("testing: a real service that does not start says why") {
  if (!RealService::installed(Kind::redis)) M3_SKIP(RealService::how_to_install(Kind::redis));
  RealService::Options options;
  options.args = {"--no-such-option", "1"};
  auto started = RealService::start(Kind::redis, options);
  REQUIRE_FALSE(started.is_ok());
  INFO(started.status());
  CHECK(started.status().text().find("no-such-option") != std::string::npos);
}
