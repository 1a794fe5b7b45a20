// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/base/duration.h"
#include "m3/base/result.h"
#include "m3/rpc/route.h"

namespace m3ctl {

/// What one command was told: its words, and its options.
struct Options {
  std::vector<std::string> words;
  std::string config;  ///< --config: an app's configuration file, for its peers
  std::string token;   ///< --token, else $M3_TOKEN
  std::vector<std::pair<std::string, std::string>> meta;
  m3::Duration deadline = std::chrono::seconds(5);
  m3::NotifyRoute route;  ///< default: as the .proto says
  std::string dir = ".";
  int count = 5;
  bool json = false;
  bool verbose = false;
  bool help = false;
};

/// `allowed`: the long names of the command's options. An option's value follows after a blank or
/// "="; "--" ends the options.
m3::Result<Options> parse_options(std::span<const std::string> arguments,
                                  std::span<const std::string_view> allowed);

}  // namespace m3ctl
