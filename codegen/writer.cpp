// SPDX-License-Identifier: BSL-1.0
#include "codegen/writer.h"

namespace m3::codegen_detail {
namespace {

constexpr std::size_t kColumns = 100;

std::string spaces(int count) { return std::string(static_cast<std::size_t>(count), ' '); }

std::string join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

}  // namespace

bool Writer::fits(std::string_view line) { return line.size() <= kColumns; }

void Writer::call(int indent, std::string_view head, const std::vector<std::string>& arguments,
                  std::string_view tail) {
  const std::string begin = spaces(indent) + std::string(head) + "(";
  const std::string end = ")" + std::string(tail);
  const std::string next_line = "\n" + spaces(indent + 4);
  const std::string flat = join(arguments, ", ");
  if (fits(begin + flat + end)) {
    line(begin + flat + end);
  } else if (fits(spaces(indent + 4) + flat + end)) {
    line(begin + next_line + flat + end);
  } else {
    line(begin + next_line + join(arguments, "," + next_line) + end);
  }
}

void Writer::comment(int indent, std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view one = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    while (!one.empty() &&
           (one.back() == ' ' || one.back() == '\t' || one.back() == '\r' || one.back() == '\\')) {
      one.remove_suffix(
          1);  // a backslash at the end would pull the next line of code into the comment
    }
    line(spaces(indent) + "///" + std::string(one));
  }
}

}  // namespace m3::codegen_detail
