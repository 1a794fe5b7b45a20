// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace m3 {

/// The first `most` bytes of `text` or a few less, so that no UTF-8 character is torn.
constexpr std::string_view text_start(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  // Continuation bytes are 10xxxxxx; a character has at most three of them.
  while (end > 0 && most - end < 3 && (text[end] & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

/// `text`; when it is longer than `most` bytes, its start and its size: "abc… (95000000 bytes)".
/// For untrusted text in a log line or an error.
std::string cut_text(std::string_view text, std::size_t most = 200);

}  // namespace m3
