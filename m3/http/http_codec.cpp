// SPDX-License-Identifier: BSL-1.0
#include "m3/http/http_codec.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <ctime>
#include <optional>

namespace m3 {

namespace http = boost::beast::http;

namespace {

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

HttpResponse refusal(int status, std::string_view why) {
  return HttpResponse(status, std::string(why) + "\n");
}

HttpResponse refusal_of(const boost::system::error_code& error) {
  if (error == http::error::header_limit)
    return refusal(431, "the request line and header fields are too long");
  if (error == http::error::body_limit) return refusal(413, "the body is too large");
  if (error == http::error::bad_version) return refusal(505, "this is an HTTP/1.1 server");
  return refusal(400, "this is not an HTTP request: " + error.message());
}

/// Whether the first line is whole and ends within a quoted text.
bool ends_in_quotes(std::string_view bytes) {
  if (bytes.starts_with("\r\n")) bytes.remove_prefix(2);
  const std::size_t end = bytes.find("\r\n");
  if (end == std::string_view::npos) return false;
  bool quoted = false;
  for (std::size_t i = 0; i < end; ++i) {
    if (bytes[i] == '"')
      quoted = !quoted;
    else if (quoted && bytes[i] == '\\')
      ++i;
  }
  return quoted;
}

}  // namespace

struct HttpRequestReader::Impl {
  explicit Impl(HttpSizes given) : sizes(given) {
    parser.header_limit(line_limit());
    parser.body_limit(sizes.max_body_bytes);
  }

  std::uint32_t line_limit() const { return std::max(64u, sizes.max_header_bytes); }
  void fail(HttpResponse why) {
    state = State::failed;
    error = std::move(why);
  }
  /// Parses one more piece; false when it takes none of `bytes` now.
  bool put(std::string_view bytes, std::size_t& taken);
  void on_header();
  bool good_host();
  bool good_coding();
  bool good_target();

  const HttpSizes sizes;
  http::request_parser<http::string_body> parser;
  State state = State::reading;
  bool header_done = false;
  std::size_t header_bytes = 0;
  bool told_to_continue = false;
  HttpRequest request;
  HttpResponse error;
};

bool HttpRequestReader::Impl::put(std::string_view bytes, std::size_t& taken) {
  // Beast asserts that a last chunk comes with five bytes; a chunked message never ends in fewer.
  if (header_done && parser.chunked() && bytes.size() - taken < 5) return false;
  // Never more at once, so that the limit on a line does not depend on how it was cut.
  const std::size_t window = line_limit() - (header_done ? 0 : header_bytes);
  if (window == 0) return fail(refusal(431, "the header is too long")), false;
  const std::string_view look = bytes.substr(taken, window);
  boost::system::error_code problem;
  const std::size_t used = parser.put(boost::asio::const_buffer(look.data(), look.size()), problem);
  taken += used;
  if (!header_done) header_bytes += used;
  if (problem && problem != http::error::need_more) return fail(refusal_of(problem)), false;
  if (!header_done && parser.is_header_done()) on_header();
  if (state == State::failed) return false;
  if (parser.is_done()) {
    request.body = std::move(parser.get().body());
    state = State::complete;
    return false;
  }
  // Beast looks for the end of the quotes in what follows, and takes the chunk's size off the limit
  // each time.
  if (used == 0 && header_done && ends_in_quotes(look))
    return fail(refusal(400, "a quote in a chunk's extension is not closed")), false;
  // Lines of a chunked body are kept until they are whole; Beast would wait for their end for ever.
  if (used == 0 && look.size() == window)
    return fail(refusal(header_done ? 400 : 431, "a line is too long")), false;
  return used > 0 && taken < bytes.size();
}

/// The fields are taken now, so that those behind a chunked body change nothing.
void HttpRequestReader::Impl::on_header() {
  header_done = true;
  const auto& message = parser.get();
  request.method = std::string(view(message.method_string()));
  for (const auto& field : message)
    request.headers.add(view(field.name_string()), view(field.value()));
  if (good_host() && good_coding()) good_target();
}

bool HttpRequestReader::Impl::good_host() {
  const auto hosts = parser.get().count(http::field::host);
  if (hosts == 1 || (hosts == 0 && parser.get().version() == 10)) return true;
  fail(refusal(400,
               hosts == 0 ? "the Host header is missing" : "there is more than one Host header"));
  return false;
}

/// Beast ignores unknown codings, and then reads the body as the next request.
bool HttpRequestReader::Impl::good_coding() {
  if (parser.get().count(http::field::transfer_encoding) == 0) return true;
  const bool old = parser.get().version() == 10;
  if (parser.chunked() && !old &&
      boost::beast::iequals(parser.get()[http::field::transfer_encoding], "chunked"))
    return true;
  fail(refusal(old ? 400 : 501, "the only supported transfer coding is chunked"));
  return false;
}

bool HttpRequestReader::Impl::good_target() {
  std::string_view target = view(parser.get().target());
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!boost::beast::iequals(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    break;
  }
  if (target.empty()) target = "/";
  Status parsed = parse_target(target, request.path, request.query);
  if (!parsed) fail(refusal(400, parsed.text()));
  return parsed.is_ok();
}

HttpRequestReader::HttpRequestReader(HttpSizes sizes) : impl_(std::make_unique<Impl>(sizes)) {}
HttpRequestReader::HttpRequestReader(HttpRequestReader&&) noexcept = default;
HttpRequestReader& HttpRequestReader::operator=(HttpRequestReader&&) noexcept = default;
HttpRequestReader::~HttpRequestReader() = default;

std::size_t HttpRequestReader::feed(std::string_view bytes) {
  std::size_t taken = 0;
  if (impl_->state == State::reading && !bytes.empty())
    while (impl_->put(bytes, taken)) {
    }
  return taken;
}

HttpRequestReader::State HttpRequestReader::state() const noexcept { return impl_->state; }

bool HttpRequestReader::wants_continue() noexcept {
  Impl& self = *impl_;
  if (self.state != State::reading || !self.header_done || version() < 11) return false;
  if (!boost::beast::iequals(self.request.headers.get("Expect"), "100-continue")) return false;
  return !std::exchange(self.told_to_continue, true);
}

HttpRequest HttpRequestReader::take() { return std::move(impl_->request); }
bool HttpRequestReader::keep_alive() const noexcept { return impl_->parser.keep_alive(); }
int HttpRequestReader::version() const noexcept {
  return impl_->header_done ? static_cast<int>(impl_->parser.get().version()) : 11;
}
const HttpResponse& HttpRequestReader::error() const noexcept { return impl_->error; }

namespace {

/// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  static constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s, %02d %s %d %02d:%02d:%02d GMT",
                kDays[static_cast<std::size_t>(parts.tm_wday)], parts.tm_mday,
                kMonths[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900,
                parts.tm_hour, parts.tm_min, parts.tm_sec);
  return text.data();
}

bool is_ours(std::string_view name) {
  for (const std::string_view ours : {"Content-Length", "Connection", "Date", "Transfer-Encoding"})
    if (boost::beast::iequals(name, ours)) return true;
  return false;
}

}  // namespace

std::string encode_http_response(const HttpResponse& response, HttpAnswerTo to) {
  const int status = response.status >= 200 && response.status <= 599 ? response.status : 500;
  const bool has_body = status != 204 && status != 304;
  std::string out = "HTTP/1.1 " + std::to_string(status) + " ";
  out.append(http_reason(status)).append("\r\nDate: ").append(http_date()).append("\r\n");
  for (const auto& [name, value] : response.headers)
    if (!is_ours(name)) out.append(name).append(": ").append(value).append("\r\n");
  if (has_body) out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
  if (!to.keep_alive)
    out += "Connection: close\r\n";
  else if (to.version < 11)
    out += "Connection: keep-alive\r\n";
  out += "\r\n";
  if (has_body && !to.head) out += response.body;
  return out;
}

}  // namespace m3
