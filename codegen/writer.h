// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace m3::codegen_detail {

/// Collects the text of one generated file, in lines of at most 100 columns where possible.
class Writer {
 public:
  void line(std::string_view text = "") {
    text_ += text;
    text_ += '\n';
  }
  /// `head(a, b, c)tail` on one line, or else broken after the parenthesis or between the
  /// arguments.
  void call(int indent, std::string_view head, const std::vector<std::string>& arguments,
            std::string_view tail);
  /// A comment of the .proto as `///` lines.
  void comment(int indent, std::string_view text);

  static bool fits(std::string_view line);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace m3::codegen_detail
