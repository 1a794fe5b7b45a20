// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

namespace m3 {

/// "SSPullChannel" -> "ss_pull_channel", "GetHTTPInfo" -> "get_http_info", "P2PCall" -> "p2p_call".
std::string snake_case(std::string_view name);

}  // namespace m3
