// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/completion.h"

#include <cstdio>

#include "apps/m3ctl/commands/commands.h"

namespace m3ctl {
namespace {

m3::Status run(const Options& options) {
  const std::string& shell = options.words[0];
  if (shell != "bash" && shell != "zsh")
    return m3::Status(m3::Errc::invalid_argument,
                      "\"" + shell + "\": m3ctl supports completion in bash and zsh");
  std::fputs((shell == "bash" ? bash_completion(commands()) : zsh_completion(commands())).c_str(),
             stdout);
  return m3::ok;
}

constexpr std::string_view kText = R"(
  source <(m3ctl completion bash)                  in ~/.bashrc: Tab completes commands, options and files
  source <(m3ctl completion zsh)                   in ~/.zshrc, after compinit
)";

}  // namespace

const Command kCompletion{
    .name = "completion",
    .usage = "completion bash|zsh",
    .line = "prints the completion script for a shell",
    .help = kText,
    .first_words = "bash zsh",
    .least_words = 1,
    .most_words = 1,
    .run = &run,
};

}  // namespace m3ctl
