// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <string>

#include "m3/base/cut_text.h"
#include "m3/base/trace_context.h"
#include "m3/obs/log.h"

namespace m3 {
namespace {

constexpr std::array<std::string_view, 6> kNames{"", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
bool is_blank(char c) { return c == ' ' || c == '\t'; }

void append_time(std::string& out, std::chrono::system_clock::time_point time) {
  auto micros = std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch());
  auto seconds = std::chrono::floor<std::chrono::seconds>(micros);
  std::time_t clock = static_cast<std::time_t>(seconds.count());
  std::tm utc{};
  gmtime_r(&clock, &utc);
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
                 utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                 utc.tm_sec, (micros - seconds).count());
}

constexpr std::size_t kFullLine = kMaxLogLine - 80;  // room for the mark of a cut and the trace

/// Length of the UTF-8 character at the front of `text`; 0 when there is none.
std::size_t character_length(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = byte(0) < 0x80   ? 1
                             : byte(0) < 0xc2 ? 0
                             : byte(0) < 0xe0 ? 2
                             : byte(0) < 0xf0 ? 3
                             : byte(0) < 0xf5 ? 4
                                              : 0;
  if (length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Overlong forms, surrogates, and what is above U+10FFFF.
  if ((byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xed && byte(1) > 0x9f) ||
      (byte(0) == 0xf0 && byte(1) < 0x90) || (byte(0) == 0xf4 && byte(1) > 0x8f))
    return 0;
  return length;
}

/// Whether a terminal or a viewer would interpret this character instead of showing it: control
/// characters, also those of two bytes (U+0080 to U+009F), line separators, changes of direction.
bool is_control(std::string_view character) {
  const auto byte = [character](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7f;
  if (character.size() == 2) return byte(0) == 0xc2 && byte(1) < 0xa0;
  if (character.size() != 3 || byte(0) != 0xe2) return false;
  return (byte(1) == 0x80 && byte(2) >= 0xa8 && byte(2) <= 0xae) ||  // U+2028 to U+202E
         (byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9);    // U+2066 to U+2069
}

/// Control characters and bytes that are not UTF-8 become \n, \t, \x1b. If the text does not fit
/// the line, enough is kept to show that.
void append_escaped(std::string& out, std::string_view text, bool quoted) {
  const std::size_t room = kFullLine - std::min(out.size(), kFullLine) + 8;
  for (std::string_view rest = text_start(text, room); !rest.empty();) {
    const char c = rest.front();
    const std::size_t length = character_length(rest);
    const std::string_view character = rest.substr(0, std::max<std::size_t>(length, 1));
    rest.remove_prefix(character.size());
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (length == 0 || is_control(character)) {
      for (const char each : character)
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(each));
    } else {
      if (quoted && (c == '"' || c == '\\')) out += '\\';
      out += character;
    }
  }
}

void append_value(std::string& out, std::string_view value) {
  bool plain = !value.empty() && value.find_first_of(" \"=\\") == std::string_view::npos;
  if (!plain) out += '"';
  append_escaped(out, value, !plain);
  if (!plain) out += '"';
}

void append_field(std::string& out, const LogField& field) {
  out += ' ';
  append_escaped(out, field.key, false);
  out += '=';
  std::visit(
      [&out](const auto& value) {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string_view>)
          append_value(out, value);
        else
          fmt::format_to(std::back_inserter(out), "{}", value);
      },
      field.value);
}

/// "dir/file.cpp" of any path.
std::string_view short_path(std::string_view path) {
  auto slash = path.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return path;
  auto before = path.rfind('/', slash - 1);
  return before == std::string_view::npos ? path : path.substr(before + 1);
}

}  // namespace

std::string_view log_level_name(LogLevel level) noexcept {
  auto index = static_cast<std::size_t>(level);
  return index >= 1 && index < kNames.size() ? kNames[index] : "UNKNOWN";
}

Result<LogLevel> parse_log_level(std::string_view name) {
  std::string_view trimmed = name;
  while (!trimmed.empty() && is_blank(trimmed.front())) trimmed.remove_prefix(1);
  while (!trimmed.empty() && is_blank(trimmed.back())) trimmed.remove_suffix(1);
  std::string wanted;
  for (char c : trimmed.substr(0, 16)) wanted += upper(c);
  for (std::size_t i = 1; i < kNames.size(); ++i)
    if (wanted == kNames[i]) return static_cast<LogLevel>(i);
  return Status(Errc::invalid_argument,
                fmt::format("\"{}\" is not a log level; use DEBUG, INFO, WARN, ERROR or FATAL",
                            name.substr(0, 40)));
}

std::string format_log_line(const LogRecord& record) {
  std::string out;
  out.reserve(96 + std::min(record.text.size(), kMaxLogLine));
  append_time(out, record.time);
  fmt::format_to(std::back_inserter(out), " {:<5} ", log_level_name(record.level));
  if (!record.app.empty()) {
    append_escaped(out, record.app, false);
    out += ' ';
  }
  fmt::format_to(std::back_inserter(out), "{}:{} ", short_path(record.file), record.line);
  append_escaped(out, record.text, false);
  for (const LogField& field : record.plus)
    if (out.size() <= kFullLine) append_field(out, field);
  if (out.size() > kFullLine) {
    out.resize(text_start(out, kFullLine).size());
    fmt::format_to(std::back_inserter(out), "… (cut; text: {} bytes)", record.text.size());
  }
  if (record.trace && record.trace->valid()) {
    auto id = record.trace->trace_id_text();
    out += " trace=";
    out.append(id.data(), id.size());
  }
  return out;
}

}  // namespace m3
