// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "m3/base/host_port.h"

namespace m3ctl {

/// One short exchange on its own connection.
struct Question {
  m3::HostPort address;  ///< host: an IPv4 address
  std::string send;      ///< empty: listen only
  /// Bytes of the answer after which to stop; 0: until the other side closes.
  std::size_t enough = 0;
};
struct Answer {
  std::string text;  ///< the bytes received in time
};

/// Sends all at once; none takes longer than `most`.
std::vector<Answer> ask_all(const std::vector<Question>& questions, std::chrono::milliseconds most);

/// A request to an HTTP server.
Question http_get(const m3::HostPort& address, const std::string& path);
bool is_http_ok(const std::string& answer);

}  // namespace m3ctl
