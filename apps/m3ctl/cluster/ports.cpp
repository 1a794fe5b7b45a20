// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/ports.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>

namespace m3ctl {
namespace {

constexpr unsigned kFirst = 20000;
constexpr unsigned kCount = 12000;

bool can_bind(std::uint16_t port, int type) {
  const int one = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (one < 0) return false;
  const int yes = 1;
  if (type == SOCK_STREAM) setsockopt(one, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = bind(one, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(one);
  return free;
}

}  // namespace

bool is_free(std::uint16_t port) { return can_bind(port, SOCK_STREAM); }

PortFinder::PortFinder() : at_(std::random_device()() % kCount) {}

m3::Result<std::uint16_t> PortFinder::next() {
  for (unsigned tries = 0; tries < kCount; ++tries) {
    at_ = (at_ + 1) % kCount;
    const auto port = static_cast<std::uint16_t>(kFirst + at_);
    if (taken_.contains(port) || !can_bind(port, SOCK_STREAM) || !can_bind(port, SOCK_DGRAM))
      continue;
    take(port);
    return port;
  }
  return m3::Status(m3::Errc::resource_exhausted, "no port from 20000 to 31999 is free");
}

}  // namespace m3ctl
