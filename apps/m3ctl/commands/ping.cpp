// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>
#include <array>

#include <algorithm>
#include <cstdio>

#include "apps/m3ctl/commands/commands.h"
#include "apps/m3ctl/json.h"
#include "apps/m3ctl/print.h"
#include "apps/m3ctl/session.h"

namespace m3ctl {
namespace {

using m3::Nanos;
using m3::Status;

struct Pings {
  std::string app;
  std::string address;
  Nanos connect{0};  // the first: connection, hello and one round trip
  std::vector<Nanos> times;
  Status failure;
};

Pings ping_one(Session& session, const m3::Member& member, const Options& options) {
  Pings out;
  out.address = member.address.to_string();
  out.app = member.id.to_string();
  for (int i = 0; i <= options.count; ++i) {  // the first connects
    Nanos took{0};
    auto answer = session.describe(m3::to::app(key_of(member)), true, options.deadline, &took);
    if (!answer.is_ok()) {
      out.failure = std::move(answer).status();
      return out;
    }
    out.app = answer->app_id();
    if (i == 0)
      out.connect = took;
    else
      out.times.push_back(took);
  }
  return out;
}

Nanos average(const std::vector<Nanos>& times) {
  Nanos sum{0};
  for (Nanos time : times) sum += time;
  return times.empty() ? sum : sum / static_cast<long>(times.size());
}

std::string as_text(const std::vector<Pings>& all, int count) {
  std::vector<std::vector<std::string>> rows{
      {"APP", "ADDRESS", "ANSWERED", "CONNECT", "MIN", "AVG", "MAX"}};
  for (const Pings& pings : all) {
    std::vector<std::string> row{pings.app.empty() ? "-" : pings.app, pings.address,
                                 fmt::format("{}/{}", pings.times.size(), count)};
    if (!pings.times.empty()) {
      const auto [least, most] = std::minmax_element(pings.times.begin(), pings.times.end());
      for (Nanos time : {pings.connect, *least, average(pings.times), *most})
        row.push_back(show_time(time));
    }
    rows.push_back(std::move(row));
  }
  return table(rows);
}

std::string as_json(const std::vector<Pings>& all, int count) {
  std::string out = "[";
  for (const Pings& pings : all) {
    const auto us = [](Nanos time) {
      return std::chrono::duration<double, std::micro>(time).count();
    };
    out += fmt::format(R"({}{{"app":{},"address":{},"sent":{},"answered":{})",
                       out.size() > 1 ? "," : "", json_string(pings.app),
                       json_string(pings.address), count, pings.times.size());
    if (!pings.times.empty()) {
      const auto [least, most] = std::minmax_element(pings.times.begin(), pings.times.end());
      out += fmt::format(R"(,"connect_us":{:.1f},"min_us":{:.1f},"avg_us":{:.1f},"max_us":{:.1f})",
                         us(pings.connect), us(*least), us(average(pings.times)), us(*most));
    }
    if (!pings.failure.is_ok()) out += R"(,"error":)" + error_json(pings.failure);
    out += "}";
  }
  return out + "]\n";
}

Status run(const Options& options) {
  auto opened = Session::open(options.words[0], options);
  if (!opened.is_ok()) {
    if (options.json) std::fputs(error_line(opened.status()).c_str(), stdout);
    return std::move(opened).status();
  }
  Session& session = **opened;
  std::vector<Pings> all;
  for (const m3::Member& member : session.members())
    all.push_back(ping_one(session, member, options));
  const std::string out = options.json ? as_json(all, options.count) : as_text(all, options.count);
  std::fputs(out.c_str(), stdout);
  std::fflush(stdout);
  for (Pings& pings : all)
    if (!pings.failure.is_ok()) return std::move(pings.failure);
  return m3::ok;
}

constexpr std::string_view kText = R"(
  m3ctl ping 127.0.0.1:20051                       five round trips through the whole stack
  m3ctl ping dev.world1.simple --config configs/simple.toml -n 100       every instance of the service

CONNECT is the first one: TCP, the hello and one round trip. The exit code is 4 when an instance does not answer, so
  until m3ctl ping :20051 -n 1 >/dev/null 2>&1; do sleep 0.1; done       waits for an app to be ready
)";

constexpr auto kOptions =
    std::to_array<std::string_view>({"config", "cluster", "token", "deadline", "count", "json"});

}  // namespace

const Command kPing{
    .name = "ping",
    .usage = "ping TARGET [-n N]",
    .line = "checks whether an app answers, and how fast",
    .help = kText,
    .options = kOptions,
    .least_words = 1,
    .most_words = 1,
    .tells_errors = true,
    .run = &run,
};

}  // namespace m3ctl
