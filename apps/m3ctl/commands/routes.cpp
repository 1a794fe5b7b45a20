// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>
#include <array>

#include <chrono>
#include <cstdio>

#include "apps/m3ctl/cluster/entry_state.h"
#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/json.h"
#include "apps/m3ctl/print.h"
#include "apps/m3ctl/session.h"

namespace m3ctl {
namespace {

using m3::Member;
using m3::Status;

/// An instance as listed by the router, and the answer at its address.
struct Row {
  const Member* member;
  Session::Reached there;

  /// Generations are the nanoseconds since 1970 of the start.
  std::uint64_t generation() const {
    return member->generation ? member->generation : there.says.generation;
  }
  std::string_view answers() const {
    if (!there.answers) return "no";
    const bool other = member->generation != 0 && there.says.generation != 0 &&
                       member->generation != there.says.generation;
    return other ? "another start" : "yes";
  }
  /// A static list does not have the state of an instance; the instance itself does.
  std::string_view state() const {
    if (member->state != m3::MemberState::serving) return m3::member_state_name(member->state);
    if (there.says.leaving) return m3::member_state_name(m3::MemberState::draining);
    if (there.says.sick || !member->healthy) return "sick";
    return m3::member_state_name(member->state);
  }
};

std::string uptime(std::uint64_t generation) {
  if (generation == 0) return "-";
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto up = now - std::chrono::nanoseconds(static_cast<std::int64_t>(generation));
  return show_uptime(std::max(up, std::chrono::nanoseconds::zero()));
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

/// A draining instance asks dialers to use others, but serves calls that arrive nevertheless.
bool serves(const std::string& id, const Options& options) {
  auto session = Session::open(id, options);
  return session.is_ok() &&
         (*session)->describe(m3::to::app(id), true, std::chrono::seconds(1)).is_ok();
}

std::string as_text(const std::vector<Row>& rows, const std::string& source) {
  std::vector<std::vector<std::string>> cells{{"INSTANCE", "ADDRESS", "STATE", "ANSWERS", "UPTIME",
                                               "WEIGHT", "VERSION", "LANE", "PLACEMENT"}};
  for (const Row& row : rows)
    cells.push_back({row.member->id.to_string(), row.member->address.to_string(),
                     std::string(row.state()), std::string(row.answers()), uptime(row.generation()),
                     std::to_string(row.member->weight), or_dash(row.member->version),
                     or_dash(row.member->lane), or_dash(row.member->placement)});
  return fmt::format("{} instance{}, from {}\n\n{}", rows.size(), rows.size() == 1 ? "" : "s",
                     source, table(cells));
}

std::string as_json(const std::vector<Row>& rows, const std::string& source) {
  std::string out = R"({"source":)" + json_string(source) + R"(,"instances":[)";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Member& member = *rows[i].member;
    out += fmt::format(
        R"({}{{"id":{},"address":{},"state":{},"answers":{},"generation":{},"weight":{},)"
        R"("version":{},"lane":{},"placement":{}}})",
        i ? "," : "", json_string(member.id.to_string()), json_string(member.address.to_string()),
        json_string(rows[i].state()), json_string(rows[i].answers()), rows[i].generation(),
        member.weight, json_string(member.version), json_string(member.lane),
        json_string(member.placement));
  }
  return out + "]}\n";
}

Status run(const Options& options) {
  const std::string target = options.words.empty() ? "" : options.words[0];
  auto session = Session::open(target, options);
  if (!session.is_ok()) return std::move(session).status();
  if ((*session)->members().front().id.empty())
    return Status(m3::Errc::invalid_argument,
                  target + " is an address, but routes works with ids: m3ctl ping " + target +
                      " shows which app answers there");
  const std::vector<Session::Reached> reached = (*session)->reach();
  std::vector<Row> rows;
  for (std::size_t i = 0; i < reached.size(); ++i) {
    rows.push_back({&(*session)->members()[i], reached[i]});
    if (!reached[i].answers && rows[i].member->state == m3::MemberState::draining)
      rows[i].there.answers = serves(rows[i].member->id.to_string(), options);
  }
  const std::string& source = (*session)->source();
  std::fputs((options.json ? as_json(rows, source) : as_text(rows, source)).c_str(), stdout);
  return m3::ok;
}

constexpr std::string_view kText = R"(
  m3ctl routes                                     all instances known to the cluster that runs here
  m3ctl routes local.world1.multi                  the instances of a service, or one by its id
  m3ctl routes --config configs/my.toml            as the app of that file finds others

STATE     as reported by the instance: serving, cordoned (only calls that name it), draining (no new calls),
          sick (its health check fails: no new calls while others are healthy)
ANSWERS   whether it can be reached now; "another start": the list still has the process before its restart
UPTIME    time since its start    WEIGHT   its share of random calls      VERSION   as set by the app

The exit code is 3 when no instance is known, 4 when the router does not know the id, 2 when the id is not in a
static list.
)";

constexpr auto kOptions =
    std::to_array<std::string_view>({"config", "cluster", "token", "deadline", "json"});

}  // namespace

const Command kRoutes{
    .name = "routes",
    .usage = "routes [TARGET]",
    .line = "shows the known instances, and whether they answer",
    .help = kText,
    .options = kOptions,
    .most_words = 1,
    .run = &run,
};

}  // namespace m3ctl
