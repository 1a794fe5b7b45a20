// SPDX-License-Identifier: BSL-1.0
#include "peers/bare_broadcast.h"

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "support/options.h"

namespace bench {

bool next_command(Command& out) {
  if (!(std::cin >> out.word)) return false;
  out.count = 1;
  if (out.word == "shout") std::cin >> out.count;
  return true;
}

BareOptions parse_bare(int argc, char** argv) {
  BareOptions out;
  const std::string_view what = argc == 3 ? argv[1] : "";
  out.publish = what == "publish";
  out.port = argc == 3 ? std::atoi(argv[2]) : 0;
  if ((!out.publish && what != "subscribe") || out.port <= 0) {
    std::fprintf(stderr, "usage: %s subscribe|publish PORT\n", argv[0]);
    std::exit(2);
  }
  end_with_parent(600);
  return out;
}

}  // namespace bench
