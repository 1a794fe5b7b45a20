// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/m3ctl/options.h"
#include "m3/base/status.h"

namespace m3ctl {

/// What main() chooses from and help explains.
struct Command {
  std::string_view name;
  std::string_view usage;  ///< behind "m3ctl "
  std::string_view line;   ///< what it does
  std::string_view help;   ///< examples, and what is worth knowing
  std::vector<std::string_view> options;
  std::size_t least_words = 0;
  std::size_t most_words = 0;
  /// Prints what it found. An error: what main() prints, and exits with its group.
  m3::Status (*run)(const Options& options);
};

std::span<const Command> commands();

m3::Status run_call(const Options& options);
m3::Status run_methods(const Options& options);
m3::Status run_ping(const Options& options);
m3::Status run_new(const Options& options);
m3::Status run_up(const Options& options);
m3::Status run_ps(const Options& options);
m3::Status run_down(const Options& options);
m3::Status run_routes(const Options& options);
m3::Status run_drain(const Options& options);
m3::Status run_cordon(const Options& options);
m3::Status run_uncordon(const Options& options);

/// The page of one command, or of m3ctl itself. invalid_argument: there is no such command.
m3::Status print_help(std::string_view command);

}  // namespace m3ctl
