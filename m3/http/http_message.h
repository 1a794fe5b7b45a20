// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/base/result.h"

namespace m3 {

/// The header fields of a message, in their order. Names are case-insensitive; a value contains no
/// line break (set() and add() turn those into spaces, so no value can add a field).
class HttpHeaders {
 public:
  using Field = std::pair<std::string, std::string>;

  /// The first of that name; "" when absent. Valid until the headers change.
  std::string_view get(std::string_view name) const noexcept;
  bool has(std::string_view name) const noexcept;
  /// Replaces every field of that name.
  void set(std::string_view name, std::string_view value);
  void add(std::string_view name, std::string_view value);
  void remove(std::string_view name);

  bool empty() const noexcept { return fields_.empty(); }
  std::size_t size() const noexcept { return fields_.size(); }
  auto begin() const noexcept { return fields_.begin(); }
  auto end() const noexcept { return fields_.end(); }

 private:
  std::vector<Field> fields_;
};

/// Names and values behind the "?" of a target, decoded, in their order.
using HttpQuery = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  HttpRequest() = default;
  explicit HttpRequest(std::string verb, std::string where = "/")
      : method(std::move(verb)), path(std::move(where)) {}

  std::string method;  ///< "GET"
  std::string path;    ///< decoded, begins with "/"
  HttpQuery query;
  HttpHeaders headers;
  std::string body;

  /// The first value of that name; null when absent.
  const std::string* param(std::string_view name) const noexcept;
  /// The target of the request line: path and query, encoded.
  std::string target() const;
};

struct HttpResponse {
  HttpResponse() = default;
  explicit HttpResponse(int code) : status(code) {}
  HttpResponse(int code, std::string text, std::string_view type = "text/plain; charset=utf-8");

  int status = 200;
  HttpHeaders headers;
  std::string body;
};

/// The handler of a server's requests. `ctx` has the request's deadline. An error is answered with
/// http_error().
using HttpHandler = std::function<Task<HttpResponse>(Ctx&, HttpRequest)>;

/// "Not Found"; "" for a number without a name.
std::string_view http_reason(int status) noexcept;
/// The equivalent HTTP status: not_found is 404, unavailable 503, …
int http_status(Errc code) noexcept;
/// The same as a page of one line. The text of Errc::internal and Errc::unknown is not included.
HttpResponse http_error(const Status& why);

/// "%2F" is "/". invalid_argument: a "%" without two hex digits. Only in a query is "+" a space.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
/// Everything but letters, digits and "-._~" (and, with `keep_slash`, "/") becomes "%XX".
std::string percent_encode(std::string_view text, bool keep_slash = false);
/// Splits and decodes "/path?name=value&…", as of a request line, into `path` and `query`.
/// invalid_argument: not of that form, or with control characters.
Status parse_target(std::string_view target, std::string& path, HttpQuery& query);

/// Whether the request has `Authorization: Bearer TOKEN`; compares in constant time.
bool has_bearer_token(const HttpRequest& request, std::string_view token);

}  // namespace m3
