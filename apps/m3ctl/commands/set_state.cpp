// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>

#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/json.h"
#include "apps/m3ctl/session.h"
#include "m3/admin.m3.h"
#include "m3/admin.pb.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Status;

/// "draining" of MEMBER_STATE_DRAINING.
std::string name_of(m3::admin::MemberState state) {
  std::string name = m3::admin::MemberState_Name(state);
  name.erase(0, std::string_view("MEMBER_STATE_").size());
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

/// Sets the state of the one instance that the options name, and prints the result.
Status set_state(const Options& options, m3::admin::MemberState state) {
  auto session = Session::open(options.words[0], options);
  if (!session.is_ok()) return std::move(session).status();
  const Target& target = (*session)->target();
  if (target.is_service()) {
    std::string ids;
    for (const m3::Member& member : (*session)->members()) ids += " " + member.id.to_string();
    return Status(Errc::invalid_argument,
                  target.text + " is a service: name one of its instances:" + ids);
  }
  m3::admin::SetStateReq request;
  request.set_state(state);
  m3::admin::SetStateRsp response;
  Outcome outcome = (*session)->call(m3::admin::ControlService::kSetState, request, response,
                                     m3::to::app(target.key), options);
  if (!outcome.status.is_ok()) return std::move(outcome.status);
  const std::string now = name_of(state), before = name_of(response.before());
  std::fputs((options.json ? fmt::format("{{\"id\":{},\"state\":\"{}\",\"was\":\"{}\"}}\n",
                                         json_string(target.text), now, before)
                           : fmt::format("{}: {} (was {})\n", target.text, now, before))
                 .c_str(),
             stdout);
  return m3::ok;
}

template <m3::admin::MemberState State>
Status run(const Options& options) {
  return set_state(options, State);
}

constexpr auto kOptions =
    std::to_array<std::string_view>({"config", "cluster", "token", "deadline", "json"});

constexpr Command command(std::string_view name, std::string_view usage, std::string_view line,
                          std::string_view help, Status (*runs)(const Options&)) {
  return {.name = name,
          .usage = usage,
          .line = line,
          .help = help,
          .options = kOptions,
          .least_words = 1,
          .most_words = 1,
          .run = runs};
}

constexpr std::string_view kDrainText = R"(
  m3ctl drain local.world1.multi.2                 no new calls; callers use other instances; running calls are finished
  m3ctl uncordon local.world1.multi.2              receives calls again

  m3ctl drain local.world1.multi.2 --json          {"id":…,"state":"draining","was":"serving"}

It stays up: stop it when m3ctl routes shows draining and its work is done. A P2P call still reaches it.
)";

constexpr std::string_view kCordonText = R"(
  m3ctl cordon local.world1.multi.2                no new calls except those that name it (P2P)
  m3ctl uncordon local.world1.multi.2              receives calls again

Needs a router that publishes the state (consul): with a static list no other app would learn of it; use drain instead.
)";

constexpr std::string_view kUncordonText = R"(
  m3ctl uncordon local.world1.multi.2              a drained or cordoned instance receives calls again
)";

}  // namespace

const Command kDrain =
    command("drain", "drain TARGET", "moves the callers of an instance to other instances",
            kDrainText, &run<m3::admin::MEMBER_STATE_DRAINING>);
const Command kCordon = command("cordon", "cordon TARGET",
                                "stops routed calls to an instance; P2P calls still reach it",
                                kCordonText, &run<m3::admin::MEMBER_STATE_CORDONED>);
const Command kUncordon = command("uncordon", "uncordon TARGET",
                                  "lets a drained or cordoned instance receive calls again",
                                  kUncordonText, &run<m3::admin::MEMBER_STATE_SERVING>);

}  // namespace m3ctl
