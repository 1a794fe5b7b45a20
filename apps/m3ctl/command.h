// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "apps/m3ctl/options.h"
#include "m3/base/status.h"

namespace m3ctl {

/// A command of m3ctl.
struct Command {
  std::string_view name;
  std::string_view usage;                          ///< behind "m3ctl "
  std::string_view line;                           ///< what it does
  std::string_view help;                           ///< examples and notes
  std::span<const std::string_view> options = {};  ///< their long names
  std::string_view first_words = {};  ///< what its first word may be, where that is a fixed list
  std::size_t least_words = 0;
  std::size_t most_words = 0;
  /// With --json it prints its errors itself, as a part of its output.
  bool tells_errors = false;
  /// Prints its output. main() prints an error, and exits with the code of its group.
  m3::Status (*run)(const Options& options);
};

}  // namespace m3ctl
