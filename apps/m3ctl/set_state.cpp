// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/set_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "apps/m3ctl/json.h"
#include "apps/m3ctl/session.h"
#include "m3/admin.m3.h"

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

}  // namespace

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

}  // namespace m3ctl
