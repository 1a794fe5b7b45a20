// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>

namespace bench {

inline constexpr const char* kBareTopic = "bench.bare";

/// `probe` or `shout N` from standard input; false at its end.
struct Command {
  std::string word;
  std::uint64_t count = 0;
};
bool next_command(Command& out);

/// "subscribe PORT" or "publish PORT"; exits with 2 on anything else.
struct BareOptions {
  bool publish = false;
  int port = 0;
};
BareOptions parse_bare(int argc, char** argv);

}  // namespace bench
