// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/help.h"
#include "apps/m3ctl/commands/commands.h"

namespace m3ctl {
namespace {

m3::Status run(const Options& options) {
  return print_help(options.words.empty() ? "" : options.words[0]);
}

constexpr std::string_view kText = R"(
  m3ctl help call
)";

}  // namespace

const Command kHelp{
    .name = "help",
    .usage = "help [COMMAND]",
    .line = "shows this page, or the help of a command",
    .help = kText,
    .most_words = 1,
    .run = &run,
};

}  // namespace m3ctl
