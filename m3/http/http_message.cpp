// SPDX-License-Identifier: BSL-1.0
#include "m3/http/http_message.h"

#include <openssl/crypto.h>

#include <algorithm>

namespace m3 {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c == '\r' || c == '\n' || c == '\0') c = ' ';
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

Status parse_query(std::string_view text, HttpQuery& query) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (part.empty()) continue;
    const std::size_t equals = std::min(part.find('='), part.size());
    auto name = percent_decode(part.substr(0, equals), true);
    auto value = percent_decode(part.substr(std::min(equals + 1, part.size())), true);
    if (!name.is_ok()) return std::move(name).status();
    if (!value.is_ok()) return std::move(value).status();
    query.emplace_back(*std::move(name), *std::move(value));
  }
  return ok;
}

}  // namespace

std::string_view HttpHeaders::get(std::string_view name) const noexcept {
  for (const Field& field : fields_)
    if (same_name(field.first, name)) return field.second;
  return {};
}

bool HttpHeaders::has(std::string_view name) const noexcept {
  return std::any_of(fields_.begin(), fields_.end(),
                     [&](const Field& field) { return same_name(field.first, name); });
}

void HttpHeaders::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

void HttpHeaders::add(std::string_view name, std::string_view value) {
  fields_.emplace_back(one_line(name), one_line(value));
}

void HttpHeaders::remove(std::string_view name) {
  std::erase_if(fields_, [&](const Field& field) { return same_name(field.first, name); });
}

const std::string* HttpRequest::param(std::string_view name) const noexcept {
  for (const auto& [key, value] : query)
    if (key == name) return &value;
  return nullptr;
}

std::string HttpRequest::target() const {
  std::string out = percent_encode(path, true);
  char separator = '?';
  for (const auto& [name, value] : query) {
    out += std::exchange(separator, '&');
    out += percent_encode(name);
    if (!value.empty() || name.empty()) out += "=" + percent_encode(value);
  }
  return out;
}

HttpResponse::HttpResponse(int code, std::string text, std::string_view type)
    : status(code), body(std::move(text)) {
  headers.add("Content-Type", type);
}

std::string_view http_reason(int status) noexcept {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 421:
      return "Misdirected Request";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

int http_status(Errc code) noexcept {
  switch (code) {
    case Errc::ok:
      return 200;
    case Errc::invalid_argument:
      return 400;
    case Errc::unauthenticated:
      return 401;
    case Errc::permission_denied:
      return 403;
    case Errc::not_found:
      return 404;
    case Errc::already_exists:
    case Errc::aborted:
      return 409;
    case Errc::failed_precondition:
      return 412;
    case Errc::moved:
      return 421;
    case Errc::resource_exhausted:
      return 429;
    case Errc::unimplemented:
      return 501;
    case Errc::unavailable:
    case Errc::cancelled:
      return 503;
    case Errc::deadline_exceeded:
      return 504;
    default:
      return 500;
  }
}

HttpResponse http_error(const Status& why) {
  const int status = http_status(why.code());
  const bool secret = status == 500 || why.text().empty();
  return HttpResponse(status, (secret ? std::string(http_reason(status)) : why.text()) + "\n");
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return Status(Errc::invalid_argument, "a % without two hex digits after it");
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

std::string percent_encode(std::string_view text, bool keep_slash) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_plain(c) || (keep_slash && c == '/')) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Status parse_target(std::string_view target, std::string& path, HttpQuery& query) {
  if (target.empty() || target.front() != '/')
    return Status(Errc::invalid_argument, "the target does not begin with /");
  if (std::any_of(target.begin(), target.end(), is_control))
    return Status(Errc::invalid_argument, "control characters in the target");
  target = target.substr(0, target.find('#'));
  const std::size_t mark = std::min(target.find('?'), target.size());
  auto decoded = percent_decode(target.substr(0, mark));
  if (!decoded.is_ok()) return std::move(decoded).status();
  if (std::any_of(decoded->begin(), decoded->end(), is_control))
    return Status(Errc::invalid_argument, "control characters in the path");
  path = *std::move(decoded);
  query.clear();
  return parse_query(target.substr(std::min(mark + 1, target.size())), query);
}

bool has_bearer_token(const HttpRequest& request, std::string_view token) {
  static constexpr std::string_view kScheme = "bearer ";
  const std::string_view given = request.headers.get("Authorization");
  if (!same_name(given.substr(0, kScheme.size()), kScheme)) return false;
  const std::string_view word = given.substr(kScheme.size());
  return word.size() == token.size() && CRYPTO_memcmp(word.data(), token.data(), word.size()) == 0;
}

}  // namespace m3
