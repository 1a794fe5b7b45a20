// SPDX-License-Identifier: BSL-1.0
#include "m3/app/command_line.h"

#include <fmt/format.h>

#include <array>

#include "m3/base/near_names.h"

namespace m3 {
namespace {

using Mode = CommandLine::Mode;

struct Flag {
  std::string_view name;
  std::string CommandLine::* value;  // null: a flag without a value, which sets the mode
  Mode mode = Mode::run;
};

constexpr auto kFlags = std::to_array<Flag>({
    {"id", &CommandLine::id},
    {"idstr", &CommandLine::id},
    {"config", &CommandLine::config_file},
    {"conf", &CommandLine::config_file},
    {"check-config", nullptr, Mode::check_config},
    {"print-config", nullptr, Mode::print_config},
    {"list-plugins", nullptr, Mode::list_plugins},
    {"config-reference", nullptr, Mode::config_reference},
    {"version", nullptr, Mode::version},
    {"help", nullptr, Mode::help},
    {"h", nullptr, Mode::help},
});

const Flag* find_flag(std::string_view name) {
  for (const Flag& flag : kFlags)
    if (flag.name == name) return &flag;
  return nullptr;
}

Status bad(std::string text) {
  return Status(Errc::invalid_argument, std::move(text) + "; --help lists the options");
}

Status unknown(std::string_view word, std::string_view name) {
  std::vector<std::string_view> names;
  for (const Flag& flag : kFlags) names.push_back(flag.name);
  const std::string near = did_you_mean(name, names);
  return bad(fmt::format("there is no option {}{}", word, near.empty() ? "" : ", " + near));
}

}  // namespace

Result<CommandLine> CommandLine::parse(const std::vector<std::string>& words) {
  CommandLine out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const std::size_t dashes = word.starts_with("--") ? 2 : word.starts_with("-") ? 1 : 0;
    if (dashes == 0) return bad("\"" + word + "\" is not an option");
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(dashes, equals - dashes);
    const Flag* flag = find_flag(name);
    if (!flag) return unknown(word.substr(0, equals), name);
    if (!flag->value) {
      if (equals != std::string::npos) return bad(word.substr(0, equals) + " takes no value");
      if (out.mode != Mode::run && out.mode != flag->mode)
        return bad(word + " cannot be combined with the option before it");
      out.mode = flag->mode;
      continue;
    }
    std::string& value = out.*flag->value;
    if (!value.empty()) return bad(word.substr(0, equals) + " is given twice");
    if (equals != std::string::npos)
      value = word.substr(equals + 1);
    else if (i + 1 < words.size() && !words[i + 1].starts_with("-"))
      value = words[++i];
    if (value.empty()) return bad(word.substr(0, equals) + " needs a value");
  }
  return out;
}

std::string command_line_help(std::string_view program, std::string_view func) {
  return fmt::format(R"({0} --id ENV.WORLD.{1}.INS [--config FILE]

  --id, -idstr ID       who this app is, for example dev.world1.{1}.1; wins over `id` of the file
  --config, -conf FILE  its TOML file; without one every key has its default
  --check-config        report everything that is wrong with the configuration, and exit
  --print-config        show the configuration in effect, without secrets, and exit
  --list-plugins        show the plugins in this program, and exit
  --config-reference    show every key with type, default and meaning as Markdown, and exit
  --version             show the version of the app and of m3, and exit
  --help                show this help, and exit

Signals: TERM and INT finish running work and exit, a second one does not wait for it; HUP and USR1 reload the file.
Exit codes: 0 done, 1 failed while running, 2 wrong options or configuration.
)",
                     program, func);
}

}  // namespace m3
