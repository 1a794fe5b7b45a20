// SPDX-License-Identifier: BSL-1.0
#include <array>

#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/set_state.h"

namespace m3ctl {
namespace {

m3::Status run(const Options& options) {
  return set_state(options, m3::admin::MEMBER_STATE_CORDONED);
}

constexpr std::string_view kText = R"(
  m3ctl cordon local.world1.multi.2                no new calls but those that name it (P2P)
  m3ctl uncordon local.world1.multi.2              takes calls again

Needs a router that tells others (consul): with a list in a file nobody would hear of it, and drain is the way.
)";

constexpr auto kOptions =
    std::to_array<std::string_view>({"config", "cluster", "token", "deadline", "json"});

}  // namespace

const Command kCordon{
    .name = "cordon",
    .usage = "cordon TARGET",
    .line = "keeps calls that name nobody from an instance",
    .help = kText,
    .options = kOptions,
    .least_words = 1,
    .most_words = 1,
    .run = &run,
};

}  // namespace m3ctl
