// SPDX-License-Identifier: BSL-1.0
// m3ctl: calls, lists and pings m3 apps, and makes new ones. `m3ctl help` explains it to users.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/exit_code.h"
#include "apps/m3ctl/help.h"
#include "apps/m3ctl/print.h"
#include "m3/app/process.h"
#include "m3/app/version.h"
#include "m3/obs/log.h"

namespace {

using m3ctl::Command;

bool reader_is_gone() {
  pollfd out{STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

/// Whether stdout took everything, or its reader has what it wanted: `m3ctl routes | head -1`.
bool is_printed() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  if (reader_is_gone()) return true;
  std::fputs("error: cannot write to stdout\n", stderr);
  return false;
}

int report(const m3::Status& status, bool json) {
  const bool printed = is_printed();
  if (!status.is_ok() && !json) std::fputs(m3ctl::show_error(status).c_str(), stderr);
  return printed || !status.is_ok() ? m3ctl::exit_code(status.code()) : m3ctl::kGaveUp;
}

m3::Status wrong_words(const Command& command) {
  return m3::Status(m3::Errc::invalid_argument, "write: m3ctl " + std::string(command.usage) +
                                                    "   (m3ctl help " + std::string(command.name) +
                                                    " shows examples)");
}

int run(const Command& command, const std::vector<std::string>& arguments) {
  auto options = m3ctl::parse_options(arguments, command.options);
  if (!options.is_ok()) return report(options.status(), false);
  if (options->help) return report(m3ctl::print_help(command.name), false);
  const std::size_t words = options->words.size();
  if (words < command.least_words || words > command.most_words)
    return report(wrong_words(command), false);
  // call tells errors itself when they are to be JSON.
  return report(command.run(*options), options->json && command.name == "call");
}

m3::Status print_version() {
  std::printf("m3ctl %s\n", std::string(m3::m3_version()).c_str());
  return m3::ok;
}

}  // namespace

int main(int argc, char** argv) {
  m3::prepare_process();
  m3::log::set_level(m3::LogLevel::error);  // what matters is told as the command's outcome
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty())
    return m3ctl::print_help("").is_ok() && is_printed() ? m3ctl::kFixTheCall : m3ctl::kGaveUp;
  const std::string name = arguments[0];
  arguments.erase(arguments.begin());
  if (name == "--help" || name == "-h") return report(m3ctl::print_help(""), false);
  if (name == "--version") return report(print_version(), false);
  for (const Command* command : m3ctl::commands())
    if (command->name == name) return run(*command, arguments);
  return report(m3ctl::print_help(name), false);
}
