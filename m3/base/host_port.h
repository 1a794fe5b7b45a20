// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "m3/base/result.h"

namespace m3 {

/// "host:port"; an IPv6 address in brackets. invalid_argument says what is wrong.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  static Result<HostPort> parse(std::string_view text);
  /// For an address to connect to: port 0 is an error, too.
  static Result<HostPort> parse_remote(std::string_view text);
  std::string to_string() const;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

/// Whether only this machine can connect there: localhost, 127.x.x.x, ::1.
bool is_loopback(std::string_view host) noexcept;

}  // namespace m3
