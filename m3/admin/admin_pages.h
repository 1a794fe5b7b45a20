// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "m3/async/clock.h"
#include "m3/async/runtime.h"
#include "m3/base/app_id.h"
#include "m3/http/http_message.h"
#include "m3/obs/metric.h"

namespace m3 {

/// What the pages show of an app. Everything the functions refer to outlives the pages.
struct AdminView {
  AppId id;
  std::string version;
  std::string lane;
  std::function<std::vector<std::string>()> services;  ///< their names
  std::function<std::string()> address;                ///< where calls are accepted; empty: nowhere
  std::function<std::string()> state;                  ///< in one word
  std::function<Task<>(Ctx&)> ready;                   ///< an error with the reason why it should
                                                       ///< get no calls
  std::shared_ptr<MetricRegistry> metrics;
  Runtime* runtime = nullptr;
};

/// The pages behind an app's admin port: /health/live and /health/ready without a token; /metrics,
/// the pages that the app adds and an index of them with the token. Core-local, knows no socket;
/// owned by App. Plugins add their pages in their constructors:
/// `env.part<AdminPages>()->add("/redis", …)`.
class AdminPages {
 public:
  /// `token`: empty: none is required.
  AdminPages(AdminView view, std::string token, TimePoint started);

  /// `handler` gets requests of any method. invalid_argument: not a valid path; already_exists: the
  /// path is taken.
  Status add(std::string path, HttpHandler handler);

  Task<HttpResponse> answer(Ctx& ctx, HttpRequest request);

 private:
  struct Page {
    HttpHandler handler;
    bool is_public = false;
    bool any_method = false;
  };
  Task<HttpResponse> live(Ctx& ctx);
  Task<HttpResponse> ready(Ctx& ctx);
  Task<HttpResponse> metrics(Ctx& ctx);
  Task<HttpResponse> index(Ctx& ctx);

  const AdminView view_;
  const std::string token_;
  const TimePoint started_;
  std::map<std::string, Page, std::less<>> pages_;
};

}  // namespace m3
