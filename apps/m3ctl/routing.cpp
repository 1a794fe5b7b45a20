// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/routing.h"

#include <algorithm>
#include <utility>

#include "m3/base/near_names.h"
#include "m3/config/errors.h"
#include "m3/plugin/builtin.h"

namespace m3ctl {

using m3::Ctx;
using m3::Member;
using m3::Result;
using m3::Status;
using m3::Task;

namespace {

/// An error, with its file and line, for a router that is none of the registry's.
Status find_own_router(const m3::Document& document, const m3::Registry& registry) {
  std::vector<std::string_view> known;
  for (const auto& type : registry.types()) known.push_back(type->name);
  m3::ErrorList reported, unknown;
  for (const m3::Section& section : document.sections(m3::Router::kKind, reported)) {
    if (std::find(known.begin(), known.end(), section.name()) != known.end()) continue;
    std::string text = "m3ctl does not contain this router";
    if (const std::string near = m3::did_you_mean(section.name(), known); !near.empty())
      text += " (" + near + ")";
    text +=
        ", so it finds no apps by their ids here: give an address, as 127.0.0.1:20051, or "
        "--config FILE of an app with one of";
    for (std::size_t i = 0; i < known.size(); ++i) text.append(i ? ", " : " ").append(known[i]);
    section.report(unknown, text);
  }
  return unknown.to_status();
}

}  // namespace

bool Routing::knows(std::string_view router) {
  m3::Registry all;
  m3::add_builtin(all);
  const auto& types = all.types();
  return std::any_of(types.begin(), types.end(), [&](const auto& type) {
    return type->kind == m3::Router::kKind && type->name == router;
  });
}

Result<std::unique_ptr<Routing>> Routing::make(const RouteSource& source, m3::AppId self,
                                               m3::Runtime& runtime, m3::MetricRegistry& metrics) {
  std::unique_ptr<Routing> out(new Routing(source, std::move(self)));
  m3::Registry all;
  m3::add_builtin(all);
  for (const auto& type : all.types())
    if (type->kind == m3::Router::kKind) out->registry_.add(*type);
  out->registry_.set_default(m3::Router::kKind, "local");
  out->own_router_ = find_own_router(source.document, out->registry_);
  // Without a router that it contains, m3ctl knows of the app itself alone.
  const m3::Document document = out->own_router_ ? source.document : m3::Document();
  m3::ErrorList errors;
  const std::vector<m3::PluginChoice> choices = out->registry_.choose(document, errors);
  if (!errors.empty()) return errors.to_status();
  out->title_ =
      out->own_router_ ? choices.front().type->title() + " of " + source.title : source.title;
  out->env_.emplace(
      m3::Env::App{out->self_, runtime, metrics, std::make_shared<m3::SharedParts>()});
  if (Status made = out->plugins_.make(*out->env_, choices); !made) return made;
  out->router_ = dynamic_cast<m3::Router*>(out->plugins_.find(m3::Router::kKind));
  out->mesh_.emplace(runtime, *out->router_, m3::MeshConfig(), metrics);
  return out;
}

bool Routing::is_discovery() const {
  return router_->reaches_other_processes() && router_->tells_others();
}

Task<> Routing::start(Ctx& ctx, m3::RpcNode& node) {
  mesh_->start(node);
  co_await router_->start(ctx);
  started_ = true;
  // The file of an app in a static list: the app itself is also one of those that can be called.
  if (is_discovery() || !config_.id || config_.listen.empty()) co_return m3::ok;
  auto address =
      m3::HostPort::parse(config_.advertise.empty() ? config_.listen : config_.advertise);
  if (!address.is_ok()) co_return std::move(address).status();
  Member app;
  app.id = *config_.id;
  app.address = *std::move(address);
  co_await router_->announce(ctx, std::move(app));
  co_return m3::ok;
}

Task<> Routing::stop_mesh(Ctx& ctx) { return mesh_->stop(ctx); }

Task<> Routing::stop_router(Ctx& ctx) {
  if (!std::exchange(started_, false)) co_return m3::ok;
  co_await router_->stop(ctx);
  co_return m3::ok;
}

Task<std::vector<Member>> Routing::members(Ctx& ctx, m3::ServiceId service) {
  std::vector<Member> out = co_await router_->members(ctx, std::move(service));
  std::sort(out.begin(), out.end(),
            [](const Member& a, const Member& b) { return m3::instance_less(a.id, b.id); });
  co_return out;
}

}  // namespace m3ctl
