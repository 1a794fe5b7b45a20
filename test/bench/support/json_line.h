// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

/// One flat JSON object on one line: what every program of the benchmark prints on stdout.
/// Keys and texts are our own and need no escaping.
class JsonLine {
 public:
  JsonLine& text(std::string_view key, std::string_view value);
  JsonLine& number(std::string_view key, double value);
  JsonLine& count(std::string_view key, std::uint64_t value);
  JsonLine& boolean(std::string_view key, bool value);
  JsonLine& null(std::string_view key);  ///< "not known here", which is not the same as 0
  void print() const;                    ///< with a newline, flushed

 private:
  void key(std::string_view name);
  std::string line_;
};

}  // namespace bench
