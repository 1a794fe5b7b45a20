// SPDX-License-Identifier: BSL-1.0
// m3ctl: calls, lists and pings m3 apps, and creates new ones. `m3ctl help` explains it to users.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
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

/// Whether everything was written to stdout, or its reader has closed it: `m3ctl routes | head -1`.
bool is_printed() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  if (reader_is_gone()) return true;
  std::fputs("error: cannot write to stdout\n", stderr);
  return false;
}

enum class Errors : std::uint8_t { as_text, as_json, told };

int report(const m3::Status& status, Errors how) {
  if (!status.is_ok() && how == Errors::as_json)
    std::fputs(m3ctl::error_line(status).c_str(), stdout);
  const bool printed = is_printed();
  if (!status.is_ok() && how == Errors::as_text)
    std::fputs(m3ctl::show_error(status).c_str(), stderr);
  return printed || !status.is_ok() ? m3ctl::exit_code(status.code()) : m3ctl::kGaveUp;
}

m3::Status wrong_words(const Command& command) {
  return m3::Status(m3::Errc::invalid_argument, "write: m3ctl " + std::string(command.usage) +
                                                    "   (m3ctl help " + std::string(command.name) +
                                                    " shows examples)");
}

/// Used when the options could not be parsed.
bool wants_json(const Command& command, const std::vector<std::string>& arguments) {
  const auto& known = command.options;
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return std::find(known.begin(), known.end(), "json") != known.end() &&
         std::find(arguments.begin(), end, "--json") != end;
}

int run(const Command& command, const std::vector<std::string>& arguments) {
  auto options = m3ctl::parse_options(arguments, command.options);
  if (!options.is_ok())
    return report(options.status(),
                  wants_json(command, arguments) ? Errors::as_json : Errors::as_text);
  const Errors how = options->json ? Errors::as_json : Errors::as_text;
  if (options->help) return report(m3ctl::print_help(command.name), how);
  const std::size_t words = options->words.size();
  if (words < command.least_words || words > command.most_words)
    return report(wrong_words(command), how);
  const bool told = options->json && command.tells_errors;
  return report(command.run(*options), told ? Errors::told : how);
}

m3::Status print_version() {
  std::printf("m3ctl %s\n", std::string(m3::m3_version()).c_str());
  return m3::ok;
}

}  // namespace

int main(int argc, char** argv) {
  m3::prepare_process();
  m3::log::set_level(m3::LogLevel::error);  // errors are reported as the command's outcome
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty())
    return m3ctl::print_help("").is_ok() && is_printed() ? m3ctl::kFixTheCall : m3ctl::kGaveUp;
  const std::string name = arguments[0];
  arguments.erase(arguments.begin());
  if (name == "--help" || name == "-h") return report(m3ctl::print_help(""), Errors::as_text);
  if (name == "--version") return report(print_version(), Errors::as_text);
  for (const Command* command : m3ctl::commands())
    if (command->name == name) return run(*command, arguments);
  return report(m3ctl::print_help(name), Errors::as_text);
}
