// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>

#include "m3/admin/admin_pages.h"
#include "m3/app/app_config.h"
#include "m3/http/http_server.h"
#include "m3/plugin/steps.h"

namespace m3::app_detail {

/// The admin port: opened before anything starts, and listening until everything has stopped. Core
/// 0.
class AdminPort final : public Part {
 public:
  /// `config` and everything that `view` refers to must outlive it.
  AdminPort(Core& core, const AppConfig::Admin& config, AdminView view, MetricRegistry& metrics,
            Host* host);

  /// Before steps(). invalid_argument: the configuration's address is wrong.
  Status open();
  void steps(Steps& steps) override;

  AdminPages& pages() noexcept { return pages_; }
  /// Port 0: there is none.
  const HostPort& address() const noexcept { return address_; }
  bool is_open() const noexcept { return server_ != nullptr; }

 private:
  Task<> listen(Ctx& ctx);

  Core& core_;
  const AppConfig::Admin& config_;
  MetricRegistry& metrics_;
  Host* const host_;
  AdminPages pages_;
  HostPort address_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace m3::app_detail
