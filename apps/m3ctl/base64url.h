// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>
#include <string>

namespace m3ctl {

/// RFC 4648's alphabet for URLs and file names, without padding.
std::string base64url(std::span<const unsigned char> bytes);

}  // namespace m3ctl
