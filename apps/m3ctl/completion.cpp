// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/completion.h"

#include <fmt/ranges.h>

#include <set>

#include "apps/m3ctl/options.h"

namespace m3ctl {
namespace {

/// "--config --json": separated by spaces, as in shell lists.
std::string options_of(const Command& command) {
  std::string out = "--help";
  for (std::string_view option : command.options) out += " --" + std::string(option);
  return out;
}

std::string names_of(std::span<const Command* const> commands) {
  std::string out;
  for (const Command* command : commands)
    out += (out.empty() ? "" : " ") + std::string(command->name);
  return out;
}

/// A case of either shell's function: the first word after m3ctl, and the words that may follow it.
template <class Line>
std::string cases(std::span<const Command* const> commands, Line line) {
  std::string out;
  for (const Command* command : commands) {
    const std::string words =
        command->name == "help" ? names_of(commands) : std::string(command->first_words);
    out += fmt::format("    {}) {} ;;\n", command->name, line(options_of(*command), words));
  }
  return out;
}

/// "--config|--dir": all options that are followed by that, as a pattern of a case.
std::string followed_by(OptionValue value, std::span<const Command* const> commands) {
  std::set<std::string_view> names;
  for (const Command* command : commands)
    for (std::string_view name : command->options)
      if (option_info(name).value == value) names.insert(name);
  return fmt::format("--{}", fmt::join(names, "|--"));
}

}  // namespace

std::string bash_completion(std::span<const Command* const> commands) {
  return fmt::format(R"(# bash completion of m3ctl: source <(m3ctl completion bash)
_m3ctl() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} options= words=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{} --help --version' -- "$current"))
    return
  fi
  case $previous in
    {}) COMPREPLY=($(compgen -f -- "$current")); return ;;
    {}) return ;;
  esac
  case ${{COMP_WORDS[1]}} in
{}  esac
  case $current in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
  esac
}}
complete -o default -F _m3ctl m3ctl
)",
                     names_of(commands), followed_by(OptionValue::file, commands),
                     followed_by(OptionValue::text, commands),
                     cases(commands, [](const std::string& options, const std::string& words) {
                       return fmt::format("options='{}' words='{}'", options, words);
                     }));
}

std::string zsh_completion(std::span<const Command* const> commands) {
  return fmt::format(R"(#compdef m3ctl
# zsh completion of m3ctl: source <(m3ctl completion zsh), or the file _m3ctl in a folder of $fpath
_m3ctl() {{
  if (( CURRENT == 2 )); then
    compadd -- {} --help --version
    return
  fi
  case ${{words[CURRENT-1]}} in
    {}) _files; return ;;
    {}) return ;;
  esac
  case ${{words[2]}} in
{}  esac
}}
if [[ ${{funcstack[1]}} == _m3ctl ]]; then
  _m3ctl "$@"  # the file itself was loaded as the function
else
  compdef _m3ctl m3ctl
fi
)",
                     names_of(commands), followed_by(OptionValue::file, commands),
                     followed_by(OptionValue::text, commands),
                     cases(commands, [](const std::string& options, const std::string& words) {
                       return fmt::format(
                           "if [[ $PREFIX == -* ]]; then compadd -- {}; else {}_files; fi", options,
                           words.empty() ? "" : "compadd -- " + words + "; ");
                     }));
}

}  // namespace m3ctl
