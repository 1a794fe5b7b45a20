// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

#include "m3/base/result.h"

namespace m3 {

/// The last message of one side of a connection.
struct Goaway {
  Status reason;       // never OK after decoding
  bool drain = false;  // true: send no new calls; those in flight are still answered
};

/// A whole frame. Text longer than 1 KiB is cut.
std::string encode_goaway(const Status& reason, bool drain);

/// From the body of a goaway frame; invalid_argument when it is malformed. Longer text is cut here,
/// too: the peer is not trusted.
Result<Goaway> decode_goaway(std::string_view body);

}  // namespace m3
