// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/target.h"

#include <algorithm>
#include <array>

#include "m3/app/app_config.h"
#include "m3/base/near_names.h"
#include "m3/config/document.h"
#include "m3/config/errors.h"
#include "plugins/router/static/static_router.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Result;
using m3::Status;

/// An app's own file: its peers and itself, and how it connects.
Status read_config(const std::string& path, Target& target) {
  static constexpr std::array<std::string_view, 11> kOthers{"app",   "router", "broker", "database",
                                                            "lease", "log",    "metric", "trace",
                                                            "shape", "gate",   "admin"};
  m3::ErrorList errors;
  const m3::Document document = m3::Document::load(path, errors);
  auto config = document.root().decode<m3::AppConfig>(errors, kOthers);
  if (!errors.empty()) return errors.to_status();
  if (!config.is_ok()) return std::move(config).status();
  for (const m3::Section& section : document.sections("router", errors)) {
    if (section.name() != m3::StaticRouter::kName) continue;
    auto listed = section.decode<m3::StaticRouter::Config>(errors);
    if (!errors.empty()) return errors.to_status();
    target.peers = listed->peers;
  }
  target.rpc = config->rpc_config();
  if (!config->id || config->listen.empty()) return m3::ok;
  const std::string own = config->id->to_string() + "@";
  const auto listed = [&](const std::string& peer) { return peer.starts_with(own); };
  if (std::none_of(target.peers.begin(), target.peers.end(), listed))
    target.peers.push_back(own + config->listen);
  return m3::ok;
}

Status nowhere(const Target& target, const std::string& config) {
  std::vector<std::string> ids;
  for (const std::string& peer : target.peers) ids.push_back(peer.substr(0, peer.find('@')));
  std::string text =
      target.text + " is not among the " + std::to_string(ids.size()) + " instances of " + config;
  const std::vector<std::string_view> views(ids.begin(), ids.end());
  const std::string hint = m3::did_you_mean(target.text, views);
  if (!hint.empty()) return Status(Errc::invalid_argument, text + ", " + hint);
  for (std::size_t i = 0; i < ids.size() && i < 8; ++i) text += (i ? ", " : ": ") + ids[i];
  return Status(Errc::invalid_argument, text);
}

Result<Target> address_target(Target target) {
  std::string text = target.text;
  if (text.starts_with(":")) text = "127.0.0.1" + text;
  auto address = m3::HostPort::parse(text);
  if (!address.is_ok()) return std::move(address).status();
  target.key = address->to_string();
  return target;
}

}  // namespace

Result<Target> find_target(const std::string& text, const Options& options) {
  Target target;
  target.text = text;
  if (!options.config.empty())
    if (Status status = read_config(options.config, target); !status) return status;
  if (!options.token.empty()) target.rpc.token = options.token;
  if (text.find(':') != std::string::npos) return address_target(std::move(target));
  auto app = m3::AppId::parse(text);
  auto service =
      app.is_ok() ? Result<m3::ServiceId>(app->service_id()) : m3::ServiceId::parse(text);
  if (!service.is_ok())
    return Status(Errc::invalid_argument,
                  "\"" + text +
                      "\" is neither an address (127.0.0.1:20051) nor the id of an app "
                      "(dev.world1.hello.1) or of a service (dev.world1.hello)");
  if (options.config.empty())
    return Status(Errc::invalid_argument,
                  text +
                      " is an id, and no list says where it runs: add --config FILE with an app's "
                      "configuration, or give the address, as 127.0.0.1:20051");
  target.service = *service;
  if (app.is_ok()) target.key = text;
  if (Directory(target).targets().empty()) return nowhere(target, options.config);
  return target;
}

Directory::Directory(const Target& target) {
  for (const std::string& peer : target.peers)
    (void)list_.add(peer).is_ok();  // good: the configuration was checked
  if (target.service.empty()) {
    auto address = m3::HostPort::parse(target.key);
    if (address.is_ok()) (void)list_.add_address(*address).is_ok();
    targets_.push_back(list_.instances().back().get());
    return;
  }
  for (const auto& instance : list_.instances())
    if (target.is_service() ? instance->id.service_id() == target.service
                            : instance->id.to_string() == target.key)
      targets_.push_back(instance.get());
}

m3::Pick Directory::pick(const m3::RouteQuery& query) {
  m3::Pick picked = list_.pick(query);
  if (picked.instance) last_ = picked.instance;
  return picked;
}

std::string key_of(const m3::Instance& instance) {
  return instance.id.empty() ? instance.address.to_string() : instance.id.to_string();
}

}  // namespace m3ctl
