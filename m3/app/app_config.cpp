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
  return good ? Status() : Status(Errc::invalid_argument, "use only visible ASCII, without spaces");
}

/// Anyone who reaches the port could read every page.
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
      return Status(
          Errc::invalid_argument,
          std::string(name) + " is accepted in addition to token, but token is empty: set it, too");
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
  return Status(Errc::invalid_argument,
                text + " means every address: write one that others can reach");
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
          "the cluster's credential, the same in every app: \"${M3_TOKEN}\"; empty: anyone can "
          "connect")
      .secret();
  s.add("second_token", &Rpc::second_token)
      .doc(
          "accepted in addition to token, to change it without downtime: set the new one here in "
          "every app, then make it token and set the old one here, then remove that")
      .secret();
  s.add("operator_token", &Rpc::operator_token)
      .doc(
          "the credential of operators and their tools (m3ctl: M3_OPERATOR_TOKEN), required to "
          "change the state of an app (drain, cordon); empty: token is enough")
      .secret();
  s.add("default_timeout", &Rpc::default_timeout)
      .doc("deadline of a call for which neither the method nor the caller sets one")
      .range(1ms, 1h);
  s.add("connect_timeout", &Rpc::connect_timeout)
      .doc("time limit for connecting to an instance")
      .range(1ms, 1min);
  s.add("idle_close", &Rpc::idle_close)
      .doc("a connection without calls is closed after this time")
      .range(1s, 24h);
  s.add("max_frame", &Rpc::max_frame)
      .doc("largest message, including its metadata")
      .range(ByteSize{kLeastMaxFrameBytes}, ByteSize{kMostMaxFrameBytes});
  s.add("max_metadata", &Rpc::max_metadata)
      .doc("largest metadata of one call")
      .range(ByteSize{kLeastMaxMetadataBytes}, ByteSize{kMostMaxMetadataBytes});
  s.add("max_calls", &Rpc::max_calls).doc("calls in flight on one connection").range(1, 1000000);
  s.add("connection_memory", &Rpc::connection_memory)
      .doc(
          "memory for one connection's requests in progress and for answers that the caller has "
          "not read yet; above it, calls are refused and answers are dropped (resource_exhausted)")
      .range(ByteSize{1u << 20}, ByteSize{1ull << 40});
  s.add("core_memory", &Rpc::core_memory)
      .doc("the same limit for all connections of one core together")
      .range(ByteSize{16u << 20}, ByteSize{1ull << 40});
  s.add("overload_wait", &Rpc::overload_wait)
      .doc(
          "how long a request may wait on an overloaded core before it is refused; 0s: until its "
          "deadline")
      .range(0ms, 10s);
  s.add("max_connections", &Rpc::max_connections)
      .doc("accepted connections per core")
      .range(1, 1000000);
  s.add("max_attempts", &Rpc::max_attempts)
      .doc("number of instances on which one call may be tried")
      .range(1, 10);
  s.add("max_sick_percent", &Rpc::max_sick_percent)
      .doc(
          "sick instances (reported by a registry's check or by themselves) get no routed calls, "
          "unless more than this share of a service is sick")
      .range(0, 100);
  s.add("wait_for_route", &Rpc::wait_for_route)
      .doc("how long a call waits, within its deadline, when no instance is known; 0s: not at all")
      .range(0s, 1h);
  s.check(good_tokens);
}

void AppConfig::Serial::describe(Schema<Serial>& s) {
  s.add("max_waiting", &Serial::max_waiting)
      .doc("calls that may wait for one serial service; more are refused")
      .range(1, 10'000'000);
  s.add("max_wait", &Serial::max_wait)
      .doc("longest wait of a call for its serial service; it is refused then")
      .range(1ms, 1h);
}

void AppConfig::Admin::describe(Schema<Admin>& s) {
  s.add("listen", &Admin::listen)
      .doc(
          "IP:port of the pages for health checks, metrics and people; port 0: a free one; empty: "
          "no pages")
      .check(good_admin_listen);
  s.add("token", &Admin::token)
      .doc(
          "bearer token required on all pages except /health/…: \"${M3_ADMIN_TOKEN}\", without "
          "spaces; required unless listen is 127.0.0.1 or ::1")
      .secret()
      .check(good_header_word);
  s.add("health_timeout", &Admin::health_timeout)
      .doc("time limit for health(); without an answer by then the app is not healthy")
      .range(1ms, 1min);
  s.add("health_interval", &Admin::health_interval)
      .doc(
          "how often the app runs health() itself: after two failures in a row its callers learn "
          "that it is sick")
      .range(10ms, 1h);
  s.check(good_admin);
}

void AppConfig::describe(Schema<AppConfig>& s) {
  s.add("id", &AppConfig::id).doc("env.world.func.ins; --id overrides it");
  s.add("listen", &AppConfig::listen)
      .doc(
          "IP:port where other apps connect: an address of this machine, or 0.0.0.0 for all of "
          "them; port 0: a free one; empty: no other app can connect")
      .check(good_address);
  s.add("advertise", &AppConfig::advertise)
      .doc("host:port published to other apps; port 0: same port as listen; empty: same as listen")
      .check(good_advertise);
  s.add("weight", &AppConfig::weight)
      .doc("this instance's share of random calls, relative to the weights of the others; 0: none")
      .at_most(Member::kMostWeight)
      .reloadable();
  s.add("lane", &AppConfig::lane)
      .doc(
          "the release that this instance belongs to, when several run side by side; visible to "
          "other apps")
      .check(good_lane);
  s.add("cores", &AppConfig::cores)
      .doc(
          "threads that run handlers; 0: one for each CPU of the affinity mask, but no more than "
          "the cgroup's quota rounded up")
      .at_most(1024);
  s.add("pin", &AppConfig::pin).doc("bind each core to a CPU");
  s.add("spin", &AppConfig::spin)
      .doc("poll this long before sleeping: lower latency at the cost of a busy CPU")
      .range(0s, 1s);
  s.add("stall_warning", &AppConfig::stall_warning)
      .doc("log any task that keeps a core busy for this long; 0s: never")
      .range(0s, 1h);
  s.add("blocking_threads", &AppConfig::blocking_threads)
      .doc("helper threads for calls that block")
      .range(1, 256);
  s.add("log_level", &AppConfig::log_level).doc("events below it are dropped").reloadable();
  s.add("fatal_exits", &AppConfig::fatal_exits)
      .doc("a FATAL event ends the process after it is written")
      .reloadable();
  s.add("start_timeout", &AppConfig::start_timeout)
      .doc("time limit for each start-up step")
      .range(10ms, 1h);
  s.add("stop_timeout", &AppConfig::stop_timeout)
      .doc("time limit for each shutdown step; work that is still running then is cancelled")
      .range(10ms, 1h)
      .reloadable();
  s.add("drain_wait", &AppConfig::drain_wait)
      .doc("pause between deregistering and refusing calls, so that callers notice")
      .range(0s, 10min)
      .reloadable();
  s.add("broadcast_timeout", &AppConfig::broadcast_timeout)
      .doc("deadline of a handler for a notify from a broker")
      .range(1ms, 1h);
  s.add("rpc", &AppConfig::rpc);
  s.add("serial", &AppConfig::serial);
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
                      "\"HOST:0\" with an address that others can reach");
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
