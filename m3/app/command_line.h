// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "m3/base/result.h"

namespace m3 {

/// The parsed command line.
struct CommandLine {
  enum class Mode {
    run,
    check_config,
    print_config,
    list_plugins,
    config_reference,
    version,
    help
  };
  Mode mode = Mode::run;
  std::string id;           ///< -idstr, --id; empty: taken from the file
  std::string config_file;  ///< -conf, --config; empty: every key has its default

  /// Options have one or two dashes, and their value follows after a blank or "=". invalid_argument
  /// names the wrong word.
  static Result<CommandLine> parse(const std::vector<std::string>& words);
};

/// The text of --help.
std::string command_line_help(std::string_view program, std::string_view func);

}  // namespace m3
