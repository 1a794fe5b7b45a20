// SPDX-License-Identifier: BSL-1.0
#include "m3/admin/admin_pages.h"

#include <fmt/format.h>

#include <utility>

#include "m3/base/duration.h"
#include "m3/base/host_port.h"
#include "m3/obs/prometheus.h"

namespace m3 {
namespace {

constexpr std::size_t kMostReason = 200;

HttpResponse line(int status, std::string_view text) {
  return HttpResponse(status, std::string(text) + "\n");
}

/// For a registry's list of checks: one short line.
std::string short_reason(const Status& why) {
  std::string out = why.text().empty() ? errc_name(why.code()) : why.text();
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  if (out.size() > kMostReason) out.resize(kMostReason);
  return out;
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string join(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out;
}

/// "localhost:9101" -> "localhost".
std::string host_of(std::string_view authority) {
  auto whole = HostPort::parse(std::string(authority));
  if (whole.is_ok()) return whole->host;
  if (authority.starts_with('[') && authority.ends_with(']'))
    authority = authority.substr(1, authority.size() - 2);
  return std::string(authority);
}

/// A foreign page in a browser that can reach this port must not make requests: neither across
/// origins nor under its own name that resolves to this address (DNS rebinding). With a token the
/// host need not be checked: no such page has the token.
std::string_view foreign(const HttpRequest& request, bool has_token) {
  const std::string_view host = request.headers.get("Host");
  const std::string_view origin = request.headers.get("Origin");
  if (!origin.empty() && origin != "http://" + std::string(host) &&
      origin != "https://" + std::string(host))
    return "requests from pages of another origin are refused";
  // Without the header it is an HTTP/1.0 request, as sent by probes but not by browsers.
  if (!has_token && request.headers.has("Host") && !is_loopback(host_of(host)))
    return "without a token under [admin] this port answers only to localhost and 127.0.0.1";
  return "";
}

}  // namespace

AdminPages::AdminPages(AdminView view, std::string token, TimePoint started)
    : view_(std::move(view)), token_(std::move(token)), started_(started) {
  const auto own = [this](Task<HttpResponse> (AdminPages::*page)(Ctx&)) -> HttpHandler {
    return [this, page](Ctx& ctx, HttpRequest) { return (this->*page)(ctx); };
  };
  pages_["/"] = {own(&AdminPages::index)};
  pages_["/health/live"] = {own(&AdminPages::live), true};
  pages_["/health/ready"] = {own(&AdminPages::ready), true};
  pages_["/metrics"] = {own(&AdminPages::metrics)};
}

Status AdminPages::add(std::string path, HttpHandler handler) {
  if (!path.starts_with('/'))
    return Status(Errc::invalid_argument,
                  "admin page \"" + path + "\": a path must begin with /, like \"/players\"");
  if (pages_.contains(path))
    return Status(Errc::already_exists, "admin page \"" + path + "\" already exists");
  pages_[std::move(path)] = {std::move(handler), false, true};
  return ok;
}

Task<HttpResponse> AdminPages::answer(Ctx& ctx, HttpRequest request) {
  const auto found = pages_.find(request.path);
  const bool is_public = found != pages_.end() && found->second.is_public;
  if (const auto why = foreign(request, !token_.empty()); !is_public && !why.empty())
    co_return line(403, why);
  if (!is_public && !token_.empty() && !has_bearer_token(request, token_)) {
    HttpResponse refused = line(401, "send Authorization: Bearer, with the token of [admin]");
    refused.headers.set("WWW-Authenticate", "Bearer");
    co_return refused;
  }
  if (found == pages_.end()) co_return line(404, "there is no such page; / lists them");
  if (!found->second.any_method && request.method != "GET" && request.method != "HEAD") {
    HttpResponse refused = line(405, "this page can only be read with GET");
    refused.headers.set("Allow", "GET, HEAD");
    co_return refused;
  }
  HttpResponse response = co_await found->second.handler(ctx, std::move(request));
  if (!response.headers.has("Cache-Control")) response.headers.set("Cache-Control", "no-store");
  response.headers.set("X-Content-Type-Options", "nosniff");
  co_return response;
}

Task<HttpResponse> AdminPages::live(Ctx&) { co_return line(200, "ok"); }

Task<HttpResponse> AdminPages::ready(Ctx& ctx) {
  const Status ready = (co_await as_result(view_.ready(ctx))).status();
  if (ready) co_return line(200, "ok");
  co_return line(503, short_reason(ready));
}

/// On a helper thread: a large app has thousands of series, and the core has calls to answer.
Task<HttpResponse> AdminPages::metrics(Ctx& ctx) {
  const std::shared_ptr<MetricRegistry> registry = view_.metrics;
  std::string text = co_await run_blocking(
      ctx, *view_.runtime, [registry] { return render_prometheus(registry->collect()); });
  co_return HttpResponse(200, std::move(text), kPrometheusContentType);
}

Task<HttpResponse> AdminPages::index(Ctx& ctx) {
  const auto up = std::chrono::duration_cast<std::chrono::seconds>(ctx.core().now() - started_);
  std::string facts;
  const auto fact = [&](std::string_view name, std::string_view value) {
    if (!value.empty())
      facts += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", name, escape(value));
  };
  fact("state", view_.state());
  fact("up for", format_duration(up));
  fact("version", view_.version);
  fact("lane", view_.lane);
  fact("listens on", view_.address());
  fact("services", join(view_.services()));
  std::string links;
  for (const auto& [path, page] : pages_) {
    const std::string href = percent_encode(path, true);
    if (path != "/") links += fmt::format("<li><a href=\"{}\">{}</a></li>\n", href, escape(path));
  }
  const std::string id = escape(view_.id.to_string());
  co_return HttpResponse(
      200,
      fmt::format("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                  "<title>{0}</title>\n<style>body{{font-family:sans-serif}}"
                  "th{{text-align:left;padding-right:1em}}</style></head>\n<body><h1>{0}</h1>\n"
                  "<table>\n{1}</table>\n<ul>\n{2}</ul>\n</body></html>\n",
                  id, facts, links),
      "text/html; charset=utf-8");
}

}  // namespace m3
