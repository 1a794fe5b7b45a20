// SPDX-License-Identifier: BSL-1.0
#include "m3/base/duration.h"

#include <array>
#include <cstdint>
#include <limits>

namespace m3 {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t nanoseconds;
};
constexpr std::array<Unit, 7> kUnits{{{"d", 86'400'000'000'000},
                                      {"h", 3'600'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"s", 1'000'000'000},
                                      {"ms", 1'000'000},
                                      {"us", 1'000},
                                      {"ns", 1}}};
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Status refuse(std::string_view text, const std::string& why) {
  return Status(Errc::invalid_argument,
                "\"" + std::string(text.substr(0, 40)) + "\" is not a duration: " + why);
}

std::string_view take_while(std::string_view& rest, bool digits) {
  std::size_t end = 0;
  while (end < rest.size() && rest[end] != '.' && is_digit(rest[end]) == digits) ++end;
  std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(end);
  return taken;
}

/// -1 when it does not fit.
std::int64_t scaled(std::string_view whole, std::string_view fraction, std::int64_t unit) {
  __int128 total = 0;
  for (char c : whole) {
    total = total * 10 + (c - '0');
    if (total > kMax) return -1;
  }
  total *= unit;
  __int128 part = unit;
  for (char c : fraction) {
    part /= 10;
    total += part * (c - '0');
  }
  return total > kMax ? -1 : static_cast<std::int64_t>(total);
}

std::size_t unit_index(std::string_view name) {
  for (std::size_t i = 0; i < kUnits.size(); ++i)
    if (kUnits[i].name == name) return i;
  return kUnits.size();
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  if (text == "0") return Duration(0);
  if (text.empty())
    return refuse(text, "it is empty; write a number and a unit, like 10s or 250ms");
  if (text.front() == '-') return refuse(text, "it is negative");
  std::int64_t total = 0;
  std::size_t next_unit = 0;
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view whole = take_while(rest, true);
    std::string_view fraction;
    if (whole.empty()) return refuse(text, "it needs a number before each unit, like 10s or 1m30s");
    if (!rest.empty() && rest.front() == '.') {
      rest.remove_prefix(1);
      fraction = take_while(rest, true);
      if (fraction.empty()) return refuse(text, "digits are missing after the point");
    }
    std::string_view name = take_while(rest, false);
    if (name.empty())
      return refuse(text, "the unit is missing; write " + std::string(whole) + "s or " +
                              std::string(whole) + "ms");
    std::size_t unit = unit_index(name);
    if (unit == kUnits.size())
      return refuse(text, "\"" + std::string(name.substr(0, 20)) +
                              "\" is not a unit; use ns, us, ms, s, m, h or d");
    if (unit < next_unit)
      return refuse(text, "write larger units first and each unit once, like 1m30s");
    next_unit = unit + 1;
    std::int64_t value = scaled(whole, fraction, kUnits[unit].nanoseconds);
    if (value < 0 || total > kMax - value)
      return refuse(text, "it is too long; the maximum is about 292 years");
    total += value;
  }
  return Duration(total);
}

std::string format_duration(Duration duration) {
  if (duration.count() == 0) return "0s";
  std::string out = duration.count() < 0 ? "-" : "";
  std::uint64_t rest = duration.count() < 0 ? 0 - static_cast<std::uint64_t>(duration.count())
                                            : static_cast<std::uint64_t>(duration.count());
  for (const Unit& unit : kUnits) {
    std::uint64_t size = static_cast<std::uint64_t>(unit.nanoseconds);
    if (rest < size) continue;
    out += std::to_string(rest / size);
    out += unit.name;
    rest %= size;
  }
  return out;
}

}  // namespace m3
