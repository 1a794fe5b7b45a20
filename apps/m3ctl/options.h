// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
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

/// The words and options of one command.
struct Options {
  std::vector<std::string> words;
  std::string config;      ///< --config: an app's configuration file, for how it finds others
  std::string cluster;     ///< --cluster: one that runs here: its name, its file or its state file
  std::string token;       ///< --token, else $M3_OPERATOR_TOKEN, else $M3_TOKEN
  std::string token_from;  ///< the source of the token: "--token", "$M3_TOKEN"
  std::vector<std::pair<std::string, std::string>> meta;
  m3::Duration deadline = std::chrono::seconds(5);
  m3::NotifyRoute route;  ///< default: as the .proto says
  std::string dir = ".";
  int count = 5;
  bool json = false;
  bool verbose = false;
  bool check = false;       ///< of up: check the file, start nothing
  bool reference = false;   ///< of up: print the file's keys
  bool follow = false;      ///< of logs
  bool logs = false;        ///< of up: follow the logs instead of showing the table
  m3::Duration run_for{0};  ///< of up, --for; 0: until a signal
  std::string ready_file;   ///< of up
  std::string state;        ///< of up: the state file; empty: the cluster's own
  bool help = false;
};

/// The kind of an option's value.
enum class OptionValue : std::uint8_t { none, text, file };

/// An option of any command, with the same meaning in all of them.
struct OptionInfo {
  std::string_view name;  ///< its long name, without "--"
  OptionValue value;
  std::string_view written;  ///< "-n N, --count N"
  std::string_view line;     ///< what it does; one line or several
};
/// `long_name`: one that a Command lists.
const OptionInfo& option_info(std::string_view long_name);

/// `allowed`: the long names of the command's options. An option's value follows after a space or
/// "="; "--" ends the options.
m3::Result<Options> parse_options(std::span<const std::string> arguments,
                                  std::span<const std::string_view> allowed);

}  // namespace m3ctl
