// SPDX-License-Identifier: BSL-1.0
#include "m3/app/detail/admin_port.h"

#include <chrono>
#include <utility>

#include "m3/obs/log.h"

namespace m3::app_detail {

AdminPort::AdminPort(Core& core, const AppConfig::Admin& config, AdminView view,
                     MetricRegistry& metrics, Host* host)
    : core_(core),
      config_(config),
      metrics_(metrics),
      host_(host),
      pages_(std::move(view), config.token, core.now()) {}

Status AdminPort::open() {
  if (config_.listen.empty()) return ok;
  auto parsed = HostPort::parse(config_.listen);
  if (!parsed.is_ok()) return std::move(parsed).status().add_context("admin.listen");
  address_ = *std::move(parsed);
  HttpServerConfig server;
  server.name = "admin";
  server.handler_timeout = config_.health_timeout + std::chrono::seconds(5);
  server_ = std::make_unique<HttpServer>(
      core_,
      [this](Ctx& ctx, HttpRequest request) { return pages_.answer(ctx, std::move(request)); },
      std::move(server), metrics_, host_);
  return ok;
}

void AdminPort::steps(Steps& steps) {
  if (!server_) return;
  steps.add([this](Ctx& ctx) { return listen(ctx); },
            [this](Ctx& ctx) { return server_->stop(ctx); });
}

Task<> AdminPort::listen(Ctx&) {
  Status listening = server_->listen(address_);
  if (!listening)
    co_return std::move(listening).add_context("admin.listen = \"" + config_.listen + "\"");
  address_.port = server_->port();
  log::debug("admin pages on http://{}", address_.to_string());
  co_return ok;
}

}  // namespace m3::app_detail
