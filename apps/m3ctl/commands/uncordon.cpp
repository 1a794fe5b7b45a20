// SPDX-License-Identifier: BSL-1.0
#include <array>

#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/set_state.h"

namespace m3ctl {
namespace {

m3::Status run(const Options& options) {
  return set_state(options, m3::admin::MEMBER_STATE_SERVING);
}

constexpr std::string_view kText = R"(
  m3ctl uncordon local.world1.multi.2              a drained or cordoned instance takes calls again
)";

constexpr auto kOptions =
    std::to_array<std::string_view>({"config", "cluster", "token", "deadline", "json"});

}  // namespace

const Command kUncordon{
    .name = "uncordon",
    .usage = "uncordon TARGET",
    .line = "lets a drained or cordoned instance take calls again",
    .help = kText,
    .options = kOptions,
    .least_words = 1,
    .most_words = 1,
    .run = &run,
};

}  // namespace m3ctl
