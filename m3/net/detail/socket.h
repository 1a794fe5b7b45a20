// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "m3/async/asio.h"
#include "m3/base/host_port.h"

// Socket helpers of m3/net's .cpp files.

namespace m3::net_detail {

inline Status errno_status(int error, std::string_view what) {
  // The kernel gave up on the peer: that is not a deadline of the caller.
  if (error == ETIMEDOUT) return Status(Errc::unavailable, std::strerror(error)).add_context(what);
  return to_status(boost::system::error_code(error, boost::system::system_category()))
      .add_context(what);
}

inline std::string name_of(const boost::asio::ip::tcp::endpoint& endpoint) {
  HostPort address;
  address.host = endpoint.address().to_string();
  address.port = endpoint.port();
  return address.to_string();
}

inline void no_delay(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

}  // namespace m3::net_detail
