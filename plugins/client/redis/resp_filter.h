// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace m3 {

/// Filters the input of hiredis's parser, which keeps each value until it is complete and scans an
/// unfinished line from its beginning each time: a value larger than `most` is replaced by an empty
/// one and its bytes are not stored, and no line is longer than kMostLine. RESP2:
/// https://redis.io/docs/latest/develop/reference/protocol-spec
class RespFilter {
 public:
  static constexpr std::size_t kMostLine = 64u << 10;

  explicit RespFilter(std::size_t most) noexcept : most_(most) {}

  /// Calls pass(std::string_view) with bytes to parse, too_large(std::size_t) with the size of each
  /// dropped value. False: a line is too long, so this is not Redis.
  template <class Pass, class TooLarge>
  bool feed(std::string_view bytes, Pass&& pass, TooLarge&& too_large) {
    while (!bytes.empty()) {
      if (left_ == 0) {
        if (!take_line(bytes)) return line_.size() <= kMostLine;
        begin_value();
        if (drops_) {
          too_large(left_ - kLineEnd.size());
          pass("$0\r\n\r\n");
        } else {
          pass(std::string_view(line_));
        }
        line_.clear();
        continue;
      }
      const std::string_view piece = bytes.substr(0, left_);
      if (!drops_) pass(piece);
      left_ -= piece.size();
      bytes.remove_prefix(piece.size());
    }
    return true;
  }

 private:
  static constexpr std::string_view kLineEnd = "\r\n";
  static constexpr std::uint64_t kMostSize = std::uint64_t{1} << 62;

  /// False: it continues after these bytes, or is too long.
  bool take_line(std::string_view& bytes) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end == bytes.npos ? end : end + 1);
    line_ += piece;
    bytes.remove_prefix(piece.size());
    return end != bytes.npos && line_.size() <= kMostLine;
  }
  /// "$5\r\n": five bytes and a line end follow.
  void begin_value() noexcept {
    drops_ = false;
    if (line_.front() != '$') return;
    std::uint64_t size = 0;
    const char* const from = line_.data() + 1;
    const auto read = std::from_chars(from, line_.data() + line_.size(), size);
    const auto rest = static_cast<std::size_t>(line_.data() + line_.size() - read.ptr);
    if (read.ec != std::errc() || std::string_view(read.ptr, rest) != kLineEnd) return;
    if (size > kMostSize) return;  // here, too, hiredis reports the error
    left_ = size + kLineEnd.size();
    drops_ = size > most_;
  }

  const std::size_t most_;
  std::string line_;
  std::uint64_t left_ = 0;  // of a value, with its line end
  bool drops_ = false;
};

}  // namespace m3
