// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace m3::config_detail {

/// What a line that is not TOML should be.
struct Advice {
  std::string key;  ///< "rpc.token"; empty: the line has none
  std::string what;
  /// Whether the rest of the file means the same without the line.
  bool rest_stands = false;
};

/// `lines`: of the whole file. `number`: the one that the parser stopped at, from 1. `parser_text`:
/// what the parser found wrong with it.
Advice advise(const std::vector<std::string_view>& lines, std::size_t number,
              std::string_view parser_text);

}  // namespace m3::config_detail
