// SPDX-License-Identifier: BSL-1.0
// The admin port of an app: made before anything starts, listening as long as anything lives.
#include <chrono>

#include "m3/app/detail/app_impl.h"
#include "m3/obs/log.h"

namespace m3 {

Status App::Impl::make_admin() {
  Host* host = &app;
  probe = std::make_unique<HealthProbe>(
      core(), [this](Ctx& ctx) { return run_hooks(ctx, health_hooks); },
      config.admin.health_timeout, host);
  AdminView view;
  view.id = id;
  view.version = version;
  view.lane = config.lane;
  view.services = app.service_names();
  view.address = [this] { return config.listen.empty() ? std::string() : address.to_string(); };
  view.state = [this] { return state_name(); };
  view.ready = [this](Ctx& ctx) { return check_ready(ctx); };
  view.metrics = metrics;
  view.runtime = runtime;
  pages = std::make_unique<AdminPages>(std::move(view), config.admin.token, core().now());
  for (const auto& [path, handler] : extra_pages)
    if (Status added = pages->add(path, handler); !added) return added;
  if (config.admin.listen.empty()) return ok;
  auto parsed = HostPort::parse(config.admin.listen);
  if (!parsed.is_ok()) return std::move(parsed).status().add_context("admin.listen");
  admin_address = *std::move(parsed);
  HttpServerConfig server;
  server.name = "admin";
  server.handler_timeout = config.admin.health_timeout + std::chrono::seconds(5);
  admin = std::make_unique<HttpServer>(
      core(),
      [this](Ctx& ctx, HttpRequest request) { return pages->answer(ctx, std::move(request)); },
      std::move(server), *metrics, host);
  return ok;
}

Task<> App::Impl::listen_admin(Ctx&) {
  Status listening = admin->listen(admin_address);
  if (!listening)
    co_return std::move(listening).add_context("admin.listen = \"" + config.admin.listen + "\"");
  admin_address.port = admin->port();
  log::debug("admin pages on http://{}", admin_address.to_string());
  co_return ok;
}

Task<> App::Impl::check_ready(Ctx& ctx) {
  co_await check_health(ctx);
  if (state == MemberState::draining) co_return Status(Errc::unavailable, "draining");
  co_return ok;
}

std::string App::Impl::state_name() const {
  switch (phase) {
    case Phase::idle:
    case Phase::starting:
      return "starting";
    case Phase::ready:
      return std::string(member_state_name(state));
    default:
      return "stopping";
  }
}

}  // namespace m3
