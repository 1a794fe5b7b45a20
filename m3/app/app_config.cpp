// SPDX-License-Identifier: BSL-1.0
#include "m3/app/app_config.h"

#include <algorithm>

#include "m3/base/member.h"
#include "m3/net/tcp.h"

namespace m3 {

using namespace std::chrono_literals;

namespace {

Status good_lane(const std::string& name) {
  if (name.empty() || is_id_part(name)) return ok;
  return Status(Errc::invalid_argument, "a lane is 1 to 63 letters, digits, '-' and '_'");
}

Status good_address(const std::string& text) {
  return text.empty() ? Status() : HostPort::parse(text).status();
}

Status good_admin_listen(const std::string& text) {
  if (text.empty()) return ok;
  auto address = HostPort::parse(text);
  return address.is_ok() ? check_listen_address(*address) : std::move(address).status();
}

bool is_any_host(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

Status good_header_word(const std::string& text) {
  const bool good =
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
  return good ? Status() : Status(Errc::invalid_argument, "only visible ASCII, without blanks");
}

/// Whoever reaches the port can read all but the health pages.
Status good_admin(const AppConfig::Admin& admin) {
  if (admin.listen.empty() || !admin.token.empty()) return ok;
  auto address = HostPort::parse(admin.listen);
  if (!address.is_ok() || is_loopback(address->host)) return ok;
  return Status(Errc::invalid_argument,
                "listen = \"" + admin.listen +
                    "\" can be reached from other machines: write token = "
                    "\"${M3_ADMIN_TOKEN}\" beside it, or listen on 127.0.0.1");
}

Status good_tokens(const AppConfig::Rpc& rpc) {
  for (const auto& [name, token] : {std::pair("second_token", &rpc.second_token),
                                    std::pair("operator_token", &rpc.operator_token)}) {
    if (token->empty()) continue;
    if (rpc.token.empty())
      return Status(Errc::invalid_argument, std::string(name) +
                                                " is accepted beside token, and there is none: "
                                                "write token, too");
    if (*token == rpc.token)
      return Status(Errc::invalid_argument, std::string(name) + " is the same as token");
  }
  return ok;
}

Status good_advertise(const std::string& text) {
  if (text.empty()) return ok;
  auto parsed = HostPort::parse(text);
  if (!parsed.is_ok()) return std::move(parsed).status();
  if (!is_any_host(parsed->host)) return ok;
  return Status(Errc::invalid_argument, text + " is every address: say one that others can reach");
}

}  // namespace

Status AppConfig::check_access() const {
  if (listen.empty() || !rpc.token.empty()) return ok;
  auto address = HostPort::parse(listen);
  if (!address.is_ok() || is_loopback(address->host)) return ok;
  return Status(Errc::invalid_argument,
                "\"" + listen +
                    "\" can be reached from other machines: write token = \"${M3_TOKEN}\" under "
                    "[rpc] (\"m3ctl token new\" makes one), or listen on 127.0.0.1");
}

void AppConfig::Rpc::describe(Schema<Rpc>& s) {
  s.add("token", &Rpc::token)
      .doc(
          "the cluster's credential, the same in every app: \"${M3_TOKEN}\"; empty: anyone may "
          "connect")
      .secret();
  s.add("second_token", &Rpc::second_token)
      .doc(
          "accepted beside token while it is changed: first the new one here in every app, then "
          "the new one as token and the old one here, at last none here")
      .secret();
  s.add("operator_token", &Rpc::operator_token)
      .doc(
          "the credential of people and their tools (m3ctl: M3_OPERATOR_TOKEN): only with it the "
          "state of an app is changed (drain, cordon); empty: token is enough")
      .secret();
  s.add("default_timeout", &Rpc::default_timeout)
      .doc("of a call whose method and caller set no deadline")
      .range(1ms, 1h);
  s.add("connect_timeout", &Rpc::connect_timeout).doc("to reach an instance").range(1ms, 1min);
  s.add("idle_close", &Rpc::idle_close)
      .doc("a connection without calls is closed after that long")
      .range(1s, 24h);
  s.add("max_frame", &Rpc::max_frame)
      .doc("the largest message with its metadata")
      .range(ByteSize{kLeastMaxFrameBytes}, ByteSize{kMostMaxFrameBytes});
  s.add("max_metadata", &Rpc::max_metadata)
      .doc("the most metadata of one call")
      .range(ByteSize{kLeastMaxMetadataBytes}, ByteSize{kMostMaxMetadataBytes});
  s.add("max_calls", &Rpc::max_calls)
      .doc("calls that one connection may have under way")
      .range(1, 1000000);
  s.add("connection_memory", &Rpc::connection_memory)
      .doc(
          "bytes that the requests under way on one connection may hold here, and answers until "
          "the caller reads them; over it calls are refused and answers are dropped "
          "(resource_exhausted)")
      .range(ByteSize{1u << 20}, ByteSize{1ull << 40});
  s.add("core_memory", &Rpc::core_memory)
      .doc("the same for all connections of one core together")
      .range(ByteSize{16u << 20}, ByteSize{1ull << 40});
  s.add("overload_wait", &Rpc::overload_wait)
      .doc(
          "how long a request may wait in a core that has no time to spare, before it is refused; "
          "0s: until "
          "its deadline")
      .range(0ms, 10s);
  s.add("max_connections", &Rpc::max_connections)
      .doc("accepted at once, for each core")
      .range(1, 1000000);
  s.add("max_attempts", &Rpc::max_attempts)
      .doc("instances that one call may be tried on")
      .range(1, 10);
  s.add("max_sick_percent", &Rpc::max_sick_percent)
      .doc(
          "instances that are sick, by a registry's check or their own word, get no calls by "
          "choice, unless more than this share of a service is")
      .range(0, 100);
  s.add("wait_for_route", &Rpc::wait_for_route)
      .doc("how long a call waits, within its deadline, when no instance is known; 0s: not at all")
      .range(0s, 1h);
  s.check(good_tokens);
}

void AppConfig::Admin::describe(Schema<Admin>& s) {
  s.add("listen", &Admin::listen)
      .doc(
          "IP:port of the pages for health checks, metrics and people; port 0 takes a free one; "
          "empty: none")
      .check(good_admin_listen);
  s.add("token", &Admin::token)
      .doc(
          "what Authorization: Bearer must say, but for /health/…: \"${M3_ADMIN_TOKEN}\", without "
          "blanks; "
          "needed when listen is not this machine's own 127.0.0.1 or ::1")
      .secret()
      .check(good_header_word);
  s.add("health_timeout", &Admin::health_timeout)
      .doc("what health() may take, before the app counts as not healthy")
      .range(1ms, 1min);
  s.add("health_interval", &Admin::health_interval)
      .doc(
          "how often the app asks its health() itself: after two failures in a row its callers "
          "hear that it is sick")
      .range(10ms, 1h);
  s.check(good_admin);
}

void AppConfig::describe(Schema<AppConfig>& s) {
  s.add("id", &AppConfig::id).doc("env.world.func.ins, unless --id says it");
  s.add("listen", &AppConfig::listen)
      .doc(
          "IP:port where other apps connect, of this machine, 0.0.0.0 for all of its addresses; "
          "port 0 takes a free one; empty: nobody can")
      .check(good_address);
  s.add("advertise", &AppConfig::advertise)
      .doc("host:port that others are told, port 0: that of listen; empty: listen itself")
      .check(good_advertise);
  s.add("weight", &AppConfig::weight)
      .doc("this instance's share of random calls, beside the weights of the others; 0: none")
      .at_most(Member::kMostWeight)
      .reloadable();
  s.add("lane", &AppConfig::lane)
      .doc(
          "the release that this instance belongs to, where several run side by side; others see "
          "it")
      .check(good_lane);
  s.add("cores", &AppConfig::cores)
      .doc(
          "threads that run handlers; 0: one for each CPU of the affinity mask, no more than the "
          "cgroup's quota rounded up")
      .at_most(1024);
  s.add("pin", &AppConfig::pin).doc("bind each core to a CPU");
  s.add("spin", &AppConfig::spin)
      .doc("poll that long before sleeping: lower latency for a busy CPU")
      .range(0s, 1s);
  s.add("stall_warning", &AppConfig::stall_warning)
      .doc("log the task that keeps a core busy that long; 0s: never")
      .range(0s, 1h);
  s.add("blocking_threads", &AppConfig::blocking_threads)
      .doc("helper threads for calls that block")
      .range(1, 256);
  s.add("log_level", &AppConfig::log_level).doc("events below it are dropped").reloadable();
  s.add("fatal_exits", &AppConfig::fatal_exits)
      .doc("a FATAL event ends the process, after it is written")
      .reloadable();
  s.add("start_timeout", &AppConfig::start_timeout).doc("of each step of starting").range(10ms, 1h);
  s.add("stop_timeout", &AppConfig::stop_timeout)
      .doc("of each step of stopping; what still runs then is cancelled")
      .range(10ms, 1h)
      .reloadable();
  s.add("drain_wait", &AppConfig::drain_wait)
      .doc("between leaving the list of instances and refusing calls, so that callers notice")
      .range(0s, 10min)
      .reloadable();
  s.add("broadcast_timeout", &AppConfig::broadcast_timeout)
      .doc("how long a handler may take for a notify that a broker brought")
      .range(1ms, 1h);
  s.add("rpc", &AppConfig::rpc);
  s.add("admin", &AppConfig::admin);
}

Result<HostPort> AppConfig::advertised(std::uint16_t port) const {
  const std::string& text = advertise.empty() ? listen : advertise;
  auto address = HostPort::parse(text);
  if (!address.is_ok()) return address;
  if (is_any_host(address->host))
    return Status(Errc::invalid_argument,
                  "listen = \"" + listen +
                      "\" does not say where others find this app: write advertise = "
                      "\"HOST:0\" with an address that they can reach");
  if (address->port == 0) address->port = port;
  return address;
}

bool AppConfig::admin_is_beside(const HostPort& address) const {
  auto where = HostPort::parse(admin.listen);
  if (!where.is_ok()) return false;
  return !is_loopback(where->host) || is_loopback(address.host);
}

RuntimeConfig AppConfig::runtime_config() const {
  RuntimeConfig out;
  out.cores = cores;
  out.pin = pin;
  out.spin = spin;
  out.stall_warning = stall_warning;
  out.blocking_threads = blocking_threads;
  return out;
}

RpcConfig AppConfig::rpc_config() const {
  RpcConfig out;
  out.limits.max_frame_bytes = static_cast<std::uint32_t>(rpc.max_frame.bytes);
  out.limits.max_metadata_bytes = static_cast<std::uint32_t>(rpc.max_metadata.bytes);
  out.limits.max_calls = rpc.max_calls;
  out.connection_memory = rpc.connection_memory.bytes;
  out.core_memory = rpc.core_memory.bytes;
  out.overload_wait = rpc.overload_wait;
  out.token = rpc.token;
  out.second_token = rpc.second_token;
  out.operator_token = rpc.operator_token;
  out.default_timeout = rpc.default_timeout;
  out.connect_timeout = rpc.connect_timeout;
  out.idle_close = rpc.idle_close;
  out.max_connections = rpc.max_connections;
  out.max_attempts = rpc.max_attempts;
  return out;
}

AppConfig AppConfig::reloaded(const AppConfig& fresh) const {
  AppConfig out = *this;
  out.log_level = fresh.log_level;
  out.fatal_exits = fresh.fatal_exits;
  out.stop_timeout = fresh.stop_timeout;
  out.drain_wait = fresh.drain_wait;
  out.weight = fresh.weight;
  return out;
}

}  // namespace m3
