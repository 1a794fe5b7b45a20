// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

#include "m3/config/detail/types.h"
#include "m3/config/detail/value.h"

namespace m3::config_detail {

/// More than any real file has; recursive code must not get a deeper one.
inline constexpr int kMaxDepth = 32;
inline constexpr std::size_t kMaxFileSize = 4 << 20;

/// The result of scanning the characters, before the TOML parser sees them.
struct TextFacts {
  int too_deep_line = 0;  ///< the first line with a key or a nesting of more than kMaxDepth
  std::vector<std::size_t> slash_comments;  ///< the position of a "//" outside strings and comments
};
TextFacts look_at(std::string_view text);

/// Parses into a table; problems go to `decoder`. toml++ is behind this.
Value parse_toml(std::string_view text, Decoder& decoder);

}  // namespace m3::config_detail
