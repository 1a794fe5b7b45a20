// SPDX-License-Identifier: BSL-1.0
#include "m3/config/detail/toml_advice.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "m3/config/detail/value.h"

namespace m3::config_detail {
namespace {

using Lines = std::vector<std::string_view>;

constexpr std::size_t kLongest = 120;  // of a value that is repeated
constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

bool is_quote(char c) { return c == '"' || c == '\''; }

bool is_key(std::string_view text) {
  if (text.empty()) return false;
  char quote = 0;
  for (char c : text) {
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (is_quote(c)) {
      quote = c;
    } else if (static_cast<unsigned char>(c) >= 0x80 ||
               std::string_view(" \t\r[]{}=,:").find(c) != std::string_view::npos) {
      return false;
    }
  }
  return quote == 0;
}

/// Where the string that begins the text ends, behind its quote; npos: it does not.
std::size_t string_end(std::string_view text) {
  const char quote = text.front();
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"')
      ++i;
    else if (text[i] == quote)
      return i + 1;
  }
  return std::string_view::npos;
}

std::string_view without_comment(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '#') return trimmed(text.substr(0, i));
    if (!is_quote(text[i])) continue;
    const std::size_t end = string_end(text.substr(i));
    if (end == std::string_view::npos) break;
    i += end - 1;
  }
  return trimmed(text);
}

struct KeyAndValue {
  std::string_view key, value;
};

std::optional<KeyAndValue> split(std::string_view line) {
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  const std::string_view key = trimmed(line.substr(0, equals));
  if (!is_key(key)) return std::nullopt;
  return KeyAndValue{key, without_comment(line.substr(equals + 1))};
}

/// "rpc" of [rpc], "app" of [[app]]; empty: the line is not a section's.
std::string_view header(std::string_view line) {
  line = without_comment(line);
  if (line.empty() || line.front() != '[' || line.back() != ']') return {};
  line = line.substr(1, line.size() - 2);
  if (line.size() > 1 && line.front() == '[' && line.back() == ']')
    line = line.substr(1, line.size() - 2);
  line = trimmed(line);
  return is_key(line) ? line : std::string_view();
}

bool is_list_header(std::string_view line) { return trimmed(line).starts_with("[["); }

/// "rpc.", "app[1]."; empty at the top of the file.
std::string section_of(const Lines& lines, std::size_t number) {
  for (std::size_t at = number - 1; at-- > 0;) {
    const std::string_view name = header(lines[at]);
    if (name.empty()) continue;
    if (!is_list_header(lines[at])) return std::string(name) + ".";
    const auto before = std::count_if(
        lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(at),
        [&](std::string_view line) { return is_list_header(line) && header(line) == name; });
    return std::string(name) + "[" + std::to_string(before) + "].";
  }
  return {};
}

bool is_secret(std::string_view key) {
  std::string lowered(key);
  for (char& c : lowered)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  constexpr auto kWords =
      std::to_array<std::string_view>({"token", "password", "secret", "auth", "credential"});
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
    return lowered.find(word) != std::string::npos;
  });
}

std::string quoted(std::string_view key, std::string_view text) {
  if (text.empty() || text.size() > kLongest || is_secret(key)) return "\"…\"";
  return to_toml(Value::of(std::string(text)));
}

/// "write listen = "127.0.0.1:20051""
std::string write(std::string_view key, const std::string& value) {
  return "write " + std::string(key) + " = " + value;
}

std::string without_prefix(std::string_view parser_text) {
  constexpr std::string_view kPrefix = "Error while parsing ";
  if (parser_text.starts_with(kPrefix)) parser_text.remove_prefix(kPrefix.size());
  return "this is not TOML: " + std::string(parser_text);
}

/// What begins a quotation in texts, but not in TOML.
std::size_t typographic_quote(std::string_view text) {
  constexpr auto kQuotes = std::to_array<std::string_view>(
      {"\u201c", "\u201d", "\u201e", "\u2018", "\u2019", "\u00ab", "\u00bb", "`"});
  for (std::string_view quote : kQuotes)
    if (text.starts_with(quote)) return quote.size();
  return 0;
}

bool is_plain(std::string_view item) {
  if (item == "true" || item == "false") return true;
  double number = 0;
  const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), number);
  return error == std::errc() && end == item.data() + item.size();
}

/// The list with each item in quotes; empty: it is not a plain list with an item that needs them.
std::string list_in_quotes(std::string_view key, std::string_view list) {
  if (list.size() < 2 || list.back() != ']') return {};
  std::string_view rest = list.substr(1, list.size() - 2);
  if (rest.find_first_of("[]{}") != std::string_view::npos) return {};
  std::string out;
  bool lacked = false;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view item = trimmed(rest.substr(0, comma));
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    if (item.empty()) continue;
    const bool has_quotes = is_quote(item.front());
    if (has_quotes && string_end(item) != item.size()) return {};
    lacked = lacked || (!has_quotes && !is_plain(item));
    out += (out.empty() ? "" : ", ") +
           (has_quotes || is_plain(item) ? std::string(item) : quoted(key, item));
  }
  return lacked ? "[" + out + "]" : std::string();
}

std::string list_advice(std::string_view key, std::string_view list, std::string_view parser_text) {
  if (const std::string good = list_in_quotes(key, list); !good.empty())
    return "an item of the list is not in quotes: " + write(key, good);
  if (list.find(']') == std::string_view::npos) return "the list has no closing ]";
  if (parser_text.find("comma") != std::string_view::npos)
    return "two items of the list have no comma between them";
  return without_prefix(parser_text);
}

std::string string_advice(std::string_view key, std::string_view value,
                          std::string_view parser_text) {
  if (value.starts_with("\"\"\"") || value.starts_with("'''")) {
    const std::string quotes(value.substr(0, 3));
    if (value.find(quotes, 3) == std::string_view::npos)
      return "the string that begins with " + quotes + " does not end with " + quotes;
    return without_prefix(parser_text);
  }
  const char quote = value.front();
  const char other = quote == '"' ? '\'' : '"';
  const std::size_t end = string_end(value);
  if (end == std::string_view::npos) {
    const bool mixed = value.size() > 1 && value.back() == other;
    const std::string_view text = value.substr(1, value.size() - (mixed ? 2 : 1));
    return (mixed ? std::string("the string begins with ") + quote + " and ends with " + other
                  : std::string("the string has no closing ") + quote) +
           ": " + write(key, quoted(key, text));
  }
  if (end < value.size())
    return "something follows the value: each key has a line of its own, and a comment begins "
           "with #";
  return without_prefix(parser_text);
}

/// A value that is neither in quotes nor a list.
std::string bare_advice(std::string_view key, std::string_view value) {
  constexpr auto kBooleans = std::to_array<std::pair<std::string_view, std::string_view>>(
      {{"yes", "true"}, {"on", "true"}, {"no", "false"}, {"off", "false"}});
  std::string lowered(value);
  for (char& c : lowered)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  for (const auto& [word, boolean] : kBooleans)
    if (lowered == word) return "a boolean is true or false: " + write(key, std::string(boolean));
  if (lowered == "true" || lowered == "false") return "it has capitals: " + write(key, lowered);
  if (const std::size_t first = typographic_quote(value)) {
    std::string_view text = value.substr(first);
    for (std::size_t i = 0; i < text.size(); ++i)
      if (typographic_quote(text.substr(i)) > 0 || is_quote(text[i])) text = text.substr(0, i);
    return "these quotes are not those of TOML: " + write(key, quoted(key, text));
  }
  if (value.find(';') != std::string_view::npos || value.back() == ',') {
    const std::string_view text = trimmed(value.substr(0, value.find_first_of(";,")));
    return "each key has a line of its own, without a separator: " +
           write(key, is_plain(text) ? std::string(text) : quoted(key, text));
  }
  if (value.front() == '=')
    return "there is one = too many: " + write(key, std::string(trimmed(value.substr(1))));
  if (value.find_first_not_of("0123456789") == std::string_view::npos &&
      value.find_first_not_of('0') != std::string_view::npos)
    return "a number does not begin with 0: " +
           write(key, std::string(value.substr(value.find_first_not_of('0'))));
  return "the value is not in quotes: " + write(key, quoted(key, value));
}

std::string value_advice(std::string_view key, std::string_view value,
                         std::string_view parser_text) {
  if (value.empty()) return "the value is missing: " + write(key, "\"…\"") + ", or remove the line";
  if (is_quote(value.front())) return string_advice(key, value, parser_text);
  if (value.front() == '[') return list_advice(key, value, parser_text);
  if (value.front() == '{') return without_prefix(parser_text);
  return bare_advice(key, value);
}

/// Where `is_same` holds for a line between the section's begin (or the file's) and the line.
template <class IsSame>
std::string first_line(const Lines& lines, std::size_t number, bool in_section, IsSame is_same) {
  std::size_t found = 0;
  for (std::size_t at = number - 1; at-- > 0;) {
    if (is_same(lines[at])) found = at + 1;
    if (in_section && !header(lines[at]).empty()) break;
  }
  return found > 0 ? ", first in line " + std::to_string(found) : "";
}

bool is_redefined(std::string_view parser_text) {
  return parser_text.find("redefine") != std::string_view::npos;
}

Advice header_advice(const Lines& lines, std::size_t number, std::string_view parser_text) {
  const std::string_view line = without_comment(lines[number - 1]);
  const std::string_view name = header(line);
  if (!name.empty() && is_redefined(parser_text)) {
    const std::string first = first_line(lines, number, false, [&](std::string_view other) {
      return header(other) == name && is_list_header(other) == is_list_header(line);
    });
    if (first.empty())
      return {std::string(name), "it was defined as something else before: remove one of the two"};
    return {std::string(name),
            "the section is defined twice" + first + ": put its keys below one header"};
  }
  const std::size_t begin = line.find_first_not_of('[');
  const std::string_view inside =
      begin == std::string_view::npos
          ? std::string_view()
          : trimmed(line.substr(begin, line.find_first_of("]#", begin) - begin));
  const bool list = is_list_header(line);
  const bool closed = line.ends_with(list ? "]]" : "]");
  if (!closed && is_key(inside))
    return {"", "the section's header is not closed: write " + std::string(list ? "[[" : "[") +
                    std::string(inside) + (list ? "]]" : "]")};
  return {"", without_prefix(parser_text)};
}

/// Whether the line is inside of a list that began on an earlier one.
bool is_in_list(const Lines& lines, std::size_t number) {
  constexpr std::size_t kFarthest = 200;
  int open = 0;
  for (std::size_t back = 1; back < number && back <= kFarthest; ++back) {
    const std::string_view line = without_comment(lines[number - 1 - back]);
    const auto parts = split(line);
    for (char c : parts ? parts->value : line) open += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (parts) return open > 0;
  }
  return false;
}

std::string item_advice(std::string_view line, std::string_view parser_text) {
  if (split(line) || parser_text.find("end-of-file") != std::string_view::npos)
    return "the list that begins above has no closing ]";
  std::string_view item = line;
  if (item.ends_with(',')) item = trimmed(item.substr(0, item.size() - 1));
  if (!item.empty() && !is_quote(item.front()) && !is_plain(item) &&
      item.find_first_of("[]{},") == std::string_view::npos)
    return "an item of the list is not in quotes: write " + quoted("", item);
  if (parser_text.find("comma") != std::string_view::npos)
    return "two items of the list have no comma between them, or the list has no closing ]";
  return without_prefix(parser_text);
}

}  // namespace

Advice advise(const Lines& lines, std::size_t number, std::string_view parser_text) {
  if (number < 1 || number > lines.size()) return {"", without_prefix(parser_text)};
  const std::string_view line = without_comment(lines[number - 1]);
  if (is_in_list(lines, number)) return {"", item_advice(line, parser_text)};
  if (line.starts_with('[')) return header_advice(lines, number, parser_text);
  const std::string section = section_of(lines, number);
  if (const auto parts = split(line)) {
    const std::string key = section + std::string(parts->key);
    if (is_redefined(parser_text)) {
      const auto is_same = [&](std::string_view other) {
        const auto there = split(other);
        return there && there->key == parts->key;
      };
      return {
          key,
          "the key is defined twice" + first_line(lines, number, true, is_same) + ": remove one",
          true};
    }
    const bool one_line = parts->value.find_first_of("[{") != 0 &&
                          !parts->value.starts_with("\"\"\"") && !parts->value.starts_with("'''");
    return {key, value_advice(parts->key, parts->value, parser_text), one_line};
  }
  // "listen: x" and "listen x": the first word is the key.
  const std::size_t end = line.find_first_of(": \t");
  const std::string_view key = line.substr(0, end);
  const std::string_view rest =
      end == std::string_view::npos
          ? std::string_view()
          : line.substr(std::min(line.find_first_not_of(": \t", end), line.size()));
  if (!is_key(key)) return {"", without_prefix(parser_text), !line.empty()};
  if (rest.empty())
    return {section + std::string(key), "the value is missing: " + write(key, "\"…\""), true};
  const bool stands = is_plain(rest) || (is_quote(rest.front()) && string_end(rest) == rest.size());
  return {section + std::string(key),
          "the = between the key and its value is missing: " +
              write(key, stands && !is_secret(key) ? std::string(rest) : quoted(key, rest)),
          true};
}

}  // namespace m3::config_detail
