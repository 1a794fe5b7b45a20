// SPDX-License-Identifier: BSL-1.0
#include <array>

#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/set_state.h"

namespace m3ctl {
namespace {

m3::Status run(const Options& options) {
  return set_state(options, m3::admin::MEMBER_STATE_DRAINING);
}

constexpr std::string_view kText = R"(
  m3ctl drain local.world1.multi.2                 no new calls; its callers go elsewhere; what runs goes on
  m3ctl uncordon local.world1.multi.2              takes calls again

  m3ctl drain local.world1.multi.2 --json          {"id":…,"state":"draining","was":"serving"}

It stays up: stop it when m3ctl routes says draining and its work is done. A P2P call still reaches it.
)";

constexpr auto kOptions =
    std::to_array<std::string_view>({"config", "cluster", "token", "deadline", "json"});

}  // namespace

const Command kDrain{
    .name = "drain",
    .usage = "drain TARGET",
    .line = "sends an instance's callers elsewhere",
    .help = kText,
    .options = kOptions,
    .least_words = 1,
    .most_words = 1,
    .run = &run,
};

}  // namespace m3ctl
