// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/target.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "apps/m3ctl/cluster/running.h"
#include "m3/base/host_port.h"
#include "m3/config/errors.h"
#include "m3/plugin/router.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Result;
using m3::Status;

Status wrong(std::string text) { return Status(Errc::invalid_argument, std::move(text)); }

Result<Target> address_target(Target target) {
  std::string text = target.text;
  if (text.starts_with(":")) text = "127.0.0.1" + text;
  auto address = m3::HostPort::parse_remote(text);
  if (!address.is_ok()) return std::move(address).status();
  target.key = address->to_string();
  return target;
}

/// The errors of an app's file that matter to m3ctl: of its syntax, of the tokens (unless another
/// one is given) and of the router. Other keys are the app's own.
m3::ErrorList needed(const m3::ErrorList& found, bool is_parsed, const Options& options) {
  m3::ErrorList out;
  for (m3::ConfigError error : found.sorted()) {
    const bool of_token = error.key == "rpc.token" || error.key == "rpc.second_token" ||
                          error.key == "rpc.operator_token";
    const bool of_router = error.key == "router" || error.key.starts_with("router.");
    if (is_parsed && !of_router && !of_token && error.key != "rpc") continue;
    if (is_parsed && of_token && !options.token.empty()) continue;
    if (is_parsed && of_token) error.what += "; or give m3ctl a token: --token T";
    out.add(std::move(error));
  }
  return out;
}

constexpr auto kRouter = std::to_array<std::string_view>({m3::Router::kKind});

Result<RouteSource> load(const std::string& path, std::string title, const Options& options) {
  RouteSource out;
  m3::ErrorList errors;
  out.document = m3::Document::load(path, errors);
  const bool is_parsed = out.document.value().kind == m3::ConfigValue::Kind::table;
  out.config = out.document.root().decode_the_good<m3::AppConfig>(errors, kRouter);
  errors = needed(errors, is_parsed, options);
  if (!errors.empty()) return errors.to_status();
  out.title = std::move(title);
  return out;
}

Result<RouteSource> of_cluster(Result<RunningCluster> cluster, const Options& options) {
  if (!cluster.is_ok()) return std::move(cluster).status();
  auto out = load(cluster->config, "cluster " + cluster->name, options);
  if (!out.is_ok()) return out;
  for (const RunningEntry& entry : cluster->entries) {
    auto id = m3::AppId::parse(entry.id);
    auto address = m3::HostPort::parse_remote(entry.address);
    if (!entry.is_app || !id.is_ok() || !address.is_ok()) continue;
    out->local.emplace_back();
    out->local.back().id = *std::move(id);
    out->local.back().address = *std::move(address);
  }
  return out;
}

}  // namespace

Result<Target> Target::parse(const std::string& text) {
  Target target;
  target.text = text;
  if (text.find(':') != std::string::npos) return address_target(std::move(target));
  auto app = m3::AppId::parse(text);
  auto service =
      app.is_ok() ? Result<m3::ServiceId>(app->service_id()) : m3::ServiceId::parse(text);
  if (!service.is_ok())
    return wrong("\"" + text +
                 "\" is neither an address (127.0.0.1:20051) nor the id of an app "
                 "(dev.world1.hello.1) or of a service (dev.world1.hello)");
  target.service = *service;
  if (app.is_ok()) target.key = text;
  return target;
}

Result<RouteSource> RouteSource::find(const Options& options) {
  if (!options.config.empty() && !options.cluster.empty())
    return wrong(
        "--config and --cluster both set where instances are found: give only one of them");
  if (!options.config.empty()) return load(options.config, options.config, options);
  if (!options.cluster.empty()) return of_cluster(find_running(options.cluster), options);
  auto only = only_running();
  if (only.status().code() == Errc::not_found) return RouteSource();
  return of_cluster(std::move(only), options);
}

void RouteSource::choose_token(const Options& options) {
  m3::AppConfig::Rpc& rpc = config.rpc;
  // A user who can read the operator's token in a configuration is an operator.
  const char* key = rpc.operator_token.empty() ? "token" : "operator_token";
  if (!rpc.operator_token.empty()) rpc.token = std::exchange(rpc.operator_token, "");
  if (!options.token.empty()) {
    rpc.token = options.token;
    token_from = options.token_from;
  } else if (!rpc.token.empty()) {
    const m3::ConfigValue* section = document.value().find("rpc");
    const m3::ConfigValue* value = section ? section->find(key) : nullptr;
    token_from = fmt::format("rpc.{} of {}:{}", key, document.file(), value ? value->line : 0);
  }
}

}  // namespace m3ctl
