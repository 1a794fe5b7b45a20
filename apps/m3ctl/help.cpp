// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "apps/m3ctl/commands/commands.h"
#include "m3/base/near_names.h"

namespace m3ctl {
namespace {

constexpr std::string_view kTargets = R"(
TARGET is one of
  127.0.0.1:20051       an address (":20051" is this machine)
  dev.world1.hello.1    an app, and
  dev.world1.hello      all instances of a service. They are found as apps find each other:
    --config FILE       by the [router.NAME] of an app's own configuration file, with its token
    --cluster NAME      by the one of a cluster that m3ctl up runs here; also its file
                        Without either: the only cluster that runs here
)";

constexpr std::string_view kExitCodes = R"(
EXIT CODES tell a script what it can do next
  0  done
  2  fix the call       invalid_argument failed_precondition unimplemented unauthenticated permission_denied
  3  look at the state  not_found already_exists aborted moved
  4  try elsewhere      unavailable
  5  try later          resource_exhausted
  6  give up            deadline_exceeded cancelled internal data_loss unknown
)";

/// "  --token T      the cluster's credential; …", each line of the text below the first.
void print_options(std::span<const std::string_view> options) {
  std::size_t width = 0;
  for (std::string_view name : options) width = std::max(width, option_info(name).written.size());
  if (!options.empty()) std::puts("\nOPTIONS");
  for (std::string_view name : options) {
    const OptionInfo& info = option_info(name);
    std::string line(info.line);
    for (std::size_t end = line.find('\n'); end != std::string::npos;
         end = line.find('\n', end + 1))
      line.insert(end + 1, std::string(width + 4, ' '));
    std::fputs(fmt::format("  {:<{}}  {}\n", info.written, width, line).c_str(), stdout);
  }
}

void print_overview() {
  std::puts("m3ctl talks to m3 apps\n");
  for (const Command* command : commands()) {
    std::printf("  m3ctl %s\n        %s\n", std::string(command->usage).c_str(),
                std::string(command->line).c_str());
  }
  std::printf("%s%s\nm3ctl help COMMAND shows examples, m3ctl --version shows the version.\n",
              std::string(kTargets).c_str(), std::string(kExitCodes).c_str());
}

}  // namespace

m3::Status print_help(std::string_view name) {
  if (name.empty()) return print_overview(), m3::ok;
  std::vector<std::string_view> names;
  for (const Command* command : commands()) {
    names.push_back(command->name);
    if (command->name != name) continue;
    std::printf("m3ctl %s\n%s.\n%s", std::string(command->usage).c_str(),
                std::string(command->line).c_str(), std::string(command->help).c_str());
    print_options(command->options);
    if (command->usage.find("TARGET") != std::string_view::npos)
      std::fputs(std::string(kTargets).c_str(), stdout);
    if (name == "call") std::fputs(std::string(kExitCodes).c_str(), stdout);
    return m3::ok;
  }
  std::string text = "there is no command \"" + std::string(name) + "\"";
  if (const std::string hint = m3::did_you_mean(name, names); !hint.empty()) text += ", " + hint;
  return m3::Status(m3::Errc::invalid_argument, text + "; m3ctl help lists them");
}

}  // namespace m3ctl
