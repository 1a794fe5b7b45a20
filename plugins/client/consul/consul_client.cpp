// SPDX-License-Identifier: BSL-1.0
#include "plugins/client/consul/consul_client.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "m3/async/timer.h"
#include "m3/base/duration.h"
#include "m3/obs/log.h"

namespace m3 {
namespace {

/// A connection that was not used for this long is closed.
constexpr Nanos kIdle = std::chrono::minutes(1);
/// How much of an answer's text is shown.
constexpr std::size_t kMostText = 300;

/// Consul adds up to wait / 16 to a wait, so that not all queries end at once.
Nanos longest(Nanos wait, Nanos margin) { return wait + wait / 16 + margin; }

bool other_agent_may_know(Errc code) { return code == Errc::unavailable; }

}  // namespace

std::string consul_escape(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= 'a' && byte <= 'z') || byte == '-' || byte == '_' || byte == '.' ||
                       byte == '~';
    if (plain)
      out += c;
    else
      (out += '%') += {kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

/// Listed as busy while an exchange runs.
class ConsulClient::Busy {
 public:
  Busy(Agent& agent, AgentConnection* connection) : agent_(agent), connection_(connection) {
    agent_.busy.push_back(connection_);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() { std::erase(agent_.busy, connection_); }

 private:
  Agent& agent_;
  AgentConnection* connection_;
};

ConsulClient::ConsulClient(Core& core, std::string name, ConsulOptions options)
    : core_(core),
      name_(std::move(name)),
      options_(std::move(options)),
      connector_(core),
      agents_(options_.agents.size()) {
  assert(!agents_.empty());
}

ConsulClient::~ConsulClient() {
  for ([[maybe_unused]] const Agent& agent : agents_)
    assert(agent.busy.empty() && "a ConsulClient was destroyed with a request in progress");
}

std::size_t ConsulClient::connections() const {
  std::size_t out = 0;
  for (const Agent& agent : agents_) out += agent.idle.size() + agent.busy.size();
  return out;
}

Task<ConsulResponse> ConsulClient::send(Ctx& ctx, ConsulRequest request) {
  const std::size_t first = current_;
  std::string reasons;
  for (std::size_t i = 0; i < agents_.size(); ++i) {
    const std::size_t agent = (first + i) % agents_.size();
    auto answer = co_await as_result(attempt(ctx, agent, request));
    if (answer.is_ok()) {
      if (agent != current_ && current_ == first) {
        log::warn_limited("{}: {}; switching to {}", name_, reasons, address(agent).to_string());
        current_ = agent;
      }
      co_return answer;
    }
    Status status = std::move(answer).status();
    if (ctx.cancelled() || !other_agent_may_know(status.code())) co_return status;
    if (!request.repeatable && status.maybe_executed()) co_return status;
    reasons += (reasons.empty() ? "" : "; ") + status.text();
  }
  co_return Status(Errc::unavailable, reasons);
}

Task<ConsulResponse> ConsulClient::send_to(Ctx& ctx, std::size_t agent, ConsulRequest request) {
  co_return co_await attempt(ctx, agent, request);
}

Task<ConsulResponse> ConsulClient::attempt(Ctx& ctx, std::size_t agent,
                                           const ConsulRequest& request) {
  const AgentRequest http = http_of(request);
  const Nanos limit =
      request.index ? longest(request.wait, options_.request_timeout) : options_.request_timeout;
  auto answer = co_await as_result(within(
      ctx, limit, [&](Ctx& soon) { return exchange(soon, agent, http, request.repeatable); }));
  if (!answer.is_ok()) {
    Status status = std::move(answer).status();
    if (status != Errc::deadline_exceeded || ctx.cancelled() || ctx.remaining() <= Nanos(0))
      co_return status;
    Status silent(Errc::unavailable,
                  address(agent).to_string() + " did not answer within " + format_duration(limit));
    give_up(agent, silent);
    co_return silent;
  }
  if (answer->status / 100 != 2 && answer->status != 404) co_return error_of(agent, *answer);
  ConsulResponse out;
  out.status = answer->status;
  out.body = std::move(answer->body);
  out.index = answer->consul_index;
  out.agent = agent;
  co_return out;
}

Task<AgentAnswer> ConsulClient::exchange(Ctx& ctx, std::size_t agent, const AgentRequest& request,
                                         bool repeatable) {
  for (;;) {
    Made connection = take_idle(agents_[agent]);
    const bool reused = connection != nullptr;
    if (!reused) {
      connection = co_await connect(ctx, agent);
    }
    Status status;
    {
      const Busy busy(agents_[agent], connection.get());
      auto answer = co_await as_result(connection->exchange(ctx, request, options_.max_response));
      if (answer.is_ok()) {
        AgentAnswer out = *std::move(answer);
        keep(agents_[agent], std::move(connection));
        co_return out;
      }
      status = std::move(answer).status();
    }
    // The agent may have closed an idle connection just when it was reused.
    const bool again = reused && repeatable && status == Errc::unavailable && !ctx.cancelled();
    if (!again) co_return status;
  }
}

Task<ConsulClient::Made> ConsulClient::connect(Ctx& ctx, std::size_t agent) {
  auto made = co_await as_result(within(ctx, options_.connect_timeout, [&](Ctx& soon) {
    return AgentConnection::connect(soon, connector_, address(agent));
  }));
  if (made.is_ok()) co_return made;
  Status status = std::move(made).status();
  if (status == Errc::deadline_exceeded && !ctx.cancelled() && ctx.remaining() > Nanos(0))
    status =
        Status(Errc::unavailable, address(agent).to_string() + " could not be reached within " +
                                      format_duration(options_.connect_timeout))
            .not_executed();
  co_return status;
}

ConsulClient::Made ConsulClient::take_idle(Agent& agent) {
  while (!agent.idle.empty() && agent.idle.front().since + kIdle < core_.now())
    agent.idle.pop_front();
  while (!agent.idle.empty()) {
    Made connection = std::move(agent.idle.back().connection);
    agent.idle.pop_back();
    if (connection->usable()) return connection;
  }
  return nullptr;
}

void ConsulClient::keep(Agent& agent, Made connection) {
  if (agent.idle.size() < options_.max_idle && connection->usable())
    agent.idle.push_back({std::move(connection), core_.now()});
}

/// A silent agent would keep the blocking queries waiting until they time out.
void ConsulClient::give_up(std::size_t agent, const Status& why) {
  agents_[agent].idle.clear();
  const std::vector<AgentConnection*> busy = agents_[agent].busy;
  for (AgentConnection* connection : busy) connection->close(why);
}

AgentRequest ConsulClient::http_of(const ConsulRequest& request) const {
  AgentRequest out;
  out.method = request.method;
  out.target = request.target;
  if (request.index) {
    const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(request.wait);
    out.target += out.target.find('?') == std::string::npos ? "?" : "&";
    out.target +=
        "index=" + std::to_string(request.index) + "&wait=" + std::to_string(wait.count()) + "ms";
  }
  if (!options_.token.empty()) out.headers.emplace_back("X-Consul-Token", options_.token);
  if (!request.body.empty()) out.headers.emplace_back("Content-Type", "application/json");
  out.body = request.body;
  out.expected_bytes = std::min(request.expected_bytes, options_.max_response);
  return out;
}

Status ConsulClient::error_of(std::size_t agent, const AgentAnswer& response) const {
  std::string said = response.body;
  // Consul never does that, but its text is logged.
  for (std::size_t at = 0; !options_.token.empty();) {
    at = said.find(options_.token, at);
    if (at == std::string::npos) break;
    said.replace(at, options_.token.size(), "***");
    at += 3;
  }
  if (said.size() > kMostText) said = said.substr(0, kMostText) + "…";
  while (!said.empty() && said.back() == '\n') said.pop_back();
  const std::string text = address(agent).to_string() + " answers " +
                           std::to_string(response.status) + (said.empty() ? "" : ": " + said);
  switch (response.status) {
    case 400:
      return Status(Errc::invalid_argument, text);
    case 401:
      return Status(Errc::unauthenticated, text);
    case 403:
      // "ACL not found": there is no such token; "Permission denied": the token lacks the
      // permission.
      return said.find("not found") != std::string::npos
                 ? Status(Errc::unauthenticated, text + " (the token is unknown to Consul)")
                 : Status(Errc::permission_denied, text);
    case 429:
      return Status(Errc::resource_exhausted, text).not_executed();
    default:
      return Status(response.status / 100 == 5 ? Errc::unavailable : Errc::data_loss, text);
  }
}

}  // namespace m3
