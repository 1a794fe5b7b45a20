// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "m3/base/host_port.h"

namespace m3ctl {

/// One short conversation on a connection of its own.
struct Question {
  m3::HostPort address;  ///< host: an IPv4 address
  std::string send;      ///< empty: listen only
  /// Bytes of the answer after which to stop; 0: until the other side ends.
  std::size_t enough = 0;
};
struct Answer {
  std::string text;  ///< what came in time
};

/// Asks all at once; none takes longer than `most`.
std::vector<Answer> ask_all(const std::vector<Question>& questions, std::chrono::milliseconds most);

/// What an HTTP server is asked.
Question http_get(const m3::HostPort& address, const std::string& path);
bool is_http_ok(const std::string& answer);

}  // namespace m3ctl
