// SPDX-License-Identifier: BSL-1.0
#include "m3/config/detail/toml_text.h"

#include <algorithm>

namespace m3::config_detail {
namespace {

/// Walks the characters of a TOML text, stepping over strings and comments as wholes.
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  TextFacts walk() {
    while (at_ < text_.size()) step();
    return std::move(facts_);
  }

 private:
  bool starts(std::string_view mark) const { return text_.substr(at_).starts_with(mark); }

  void step() {
    char c = text_[at_];
    if (c == '"' || c == '\'') return skip_string(c);
    if (c == '#') return skip_line();
    if (starts("//")) {
      facts_.slash_comments.push_back(at_);
      return skip_line();
    }
    switch (c) {
      case '\n':
        ++line_;
        dots_ = 0;
        break;
      case '.':
        ++dots_;
        break;
      case '[':
      case '{':
        ++open_;
        dots_ = 0;
        break;
      case ']':
      case '}':
        open_ = std::max(0, open_ - 1);
        dots_ = 0;
        break;
      case ',':
      case '=':
        dots_ = 0;
        break;
      default:
        break;
    }
    if ((dots_ > kMaxDepth || open_ > kMaxDepth) && facts_.too_deep_line == 0)
      facts_.too_deep_line = line_;
    ++at_;
  }

  void skip_line() {
    while (at_ < text_.size() && text_[at_] != '\n') ++at_;
  }

  void skip_string(char quote) {
    std::string triple(3, quote);
    bool many_lines = starts(triple);
    std::string end = many_lines ? triple : std::string(1, quote);
    at_ += end.size();
    while (at_ < text_.size() && !starts(end)) {
      if (text_[at_] == '\n') {
        if (!many_lines) return;  // not closed: the parser will say so
        ++line_;
      }
      at_ += quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n'
                 ? 2
                 : 1;
    }
    at_ = std::min(text_.size(), at_ + end.size());
    while (many_lines && at_ < text_.size() && text_[at_] == quote)
      ++at_;  // """a"""" ends with a quote of its own
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  int dots_ = 0;
  int open_ = 0;
  TextFacts facts_;
};

}  // namespace

TextFacts look_at(std::string_view text) { return Walker(text).walk(); }

}  // namespace m3::config_detail
