// SPDX-License-Identifier: BSL-1.0
#include "m3/base/app_id.h"

#include <ostream>

namespace m3 {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_id_char(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

struct Shape {
  std::size_t parts;
  const char* what;
  const char* names[4];
  const char* form;
  const char* example;
};
constexpr Shape kWorld{2, "a world id", {"env", "world"}, "env.world", "dev.world1"};
constexpr Shape kService{
    3, "a service id", {"env", "world", "func"}, "env.world.func", "dev.world1.hello"};
constexpr Shape kApp{
    4, "an app id", {"env", "world", "func", "ins"}, "env.world.func.ins", "dev.world1.hello.1"};

/// Printable and short, however hostile the text is.
std::string shown(std::string_view text) {
  std::string out = "\"";
  for (char c : text.substr(0, 80)) {
    if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
      out += c;
    } else {
      constexpr char kHex[] = "0123456789abcdef";
      auto byte = static_cast<unsigned char>(c);
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out + (text.size() > 80 ? "…\"" : "\"");
}

Status refuse(std::string_view text, const Shape& shape, const std::string& why) {
  return Status(Errc::invalid_argument, shown(text) + " is not " + shape.what + ": " + why +
                                            "; write " + shape.form + ", for example " +
                                            shape.example);
}

std::string wrong_part(std::string_view part, const char* name) {
  std::string where = std::string("its ") + name;
  if (part.empty()) return where + " is empty";
  if (part.size() > kMaxIdPart)
    return where + " has " + std::to_string(part.size()) + " characters, at most 63 are allowed";
  return where + " " + shown(part) + " has a character other than letters, digits, '-' and '_'";
}

Status check(std::string_view text, const Shape& shape) {
  std::size_t parts = 1;
  for (char c : text) parts += c == '.' ? 1 : 0;
  if (text.empty()) return refuse(text, shape, "it is empty");
  if (parts != shape.parts)
    return refuse(text, shape,
                  "it has " + std::to_string(parts) + (parts == 1 ? " part" : " parts") +
                      " instead of " + std::to_string(shape.parts));
  for (std::size_t i = 0, begin = 0; i < parts; ++i) {
    std::size_t end = std::min(text.find('.', begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    if (!is_id_part(part)) return refuse(text, shape, wrong_part(part, shape.names[i]));
    begin = end + 1;
  }
  return m3::ok;
}

/// The digits at the front of `text`, without leading zeros; `text` loses them.
std::string_view take_number(std::string_view& text) noexcept {
  std::size_t end = 0;
  while (end < text.size() && is_digit(text[end])) ++end;
  std::string_view number = text.substr(0, end);
  text.remove_prefix(end);
  while (number.size() > 1 && number.front() == '0') number.remove_prefix(1);
  return number;
}

/// <0, 0, >0; runs of digits compare as numbers of any size.
int natural_compare(std::string_view a, std::string_view b) noexcept {
  while (!a.empty() && !b.empty()) {
    if (is_digit(a.front()) && is_digit(b.front())) {
      std::string_view x = take_number(a);
      std::string_view y = take_number(b);
      if (x.size() != y.size()) return x.size() < y.size() ? -1 : 1;
      if (int order = x.compare(y)) return order;
      continue;
    }
    if (a.front() != b.front()) return a.front() < b.front() ? -1 : 1;
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return static_cast<int>(!a.empty()) - static_cast<int>(!b.empty());
}

}  // namespace

bool is_id_part(std::string_view part) noexcept {
  if (part.empty() || part.size() > kMaxIdPart) return false;
  for (char c : part)
    if (!is_id_char(c)) return false;
  return true;
}

Result<WorldId> WorldId::parse(std::string_view text) {
  if (Status status = check(text, kWorld); !status) return status;
  return WorldId(std::string(text));
}

Result<ServiceId> ServiceId::parse(std::string_view text) {
  if (Status status = check(text, kService); !status) return status;
  return ServiceId(std::string(text));
}

Result<AppId> AppId::parse(std::string_view text) {
  if (Status status = check(text, kApp); !status) return status;
  return AppId(std::string(text));
}

bool instance_less(const AppId& a, const AppId& b) noexcept {
  if (int order = natural_compare(a.env(), b.env())) return order < 0;
  if (int order = natural_compare(a.world(), b.world())) return order < 0;
  if (int order = natural_compare(a.func(), b.func())) return order < 0;
  if (int order = natural_compare(a.ins(), b.ins())) return order < 0;
  return a < b;  // "1" and "01" are different instances
}

std::ostream& operator<<(std::ostream& out, const AppId& id) { return out << id.to_string(); }
std::ostream& operator<<(std::ostream& out, const ServiceId& id) { return out << id.to_string(); }
std::ostream& operator<<(std::ostream& out, const WorldId& id) { return out << id.to_string(); }

}  // namespace m3
