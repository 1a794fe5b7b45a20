// SPDX-License-Identifier: BSL-1.0
#include "m3/config/detail/environment.h"

#include <cstdlib>

namespace m3 {

Environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* found = std::getenv(std::string(name).c_str());
    return found ? std::optional<std::string>(found) : std::nullopt;
  };
}

namespace config_detail {
namespace {

bool is_variable(std::string_view name) {
  if (name.empty() || (name.front() >= '0' && name.front() <= '9')) return false;
  for (char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
      return false;
  return true;
}

/// Appends the value of `inside` (of ${inside}); returns the error, if any.
std::string append_variable(std::string_view inside, const Environment& environment,
                            std::string& out) {
  auto colon = inside.find(":-");
  std::string_view name = inside.substr(0, colon);
  if (!is_variable(name))
    return "\"${" + std::string(name.substr(0, 40)) +
           "}\" names no variable; write ${NAME}, ${NAME:-default}, or $${ for a plain ${";
  // A "}" would end the variable inside its default, and the rest would become part of the value.
  if (colon != std::string_view::npos && inside.find('{') != std::string_view::npos)
    return "the default of ${" + std::string(name) +
           "} has a brace in it: a default is plain text, without braces and other variables";
  std::optional<std::string> found = environment(name);
  if (colon != std::string_view::npos) {
    out += found && !found->empty() ? *found : std::string(inside.substr(colon + 2));
    return "";
  }
  if (!found)
    return "the environment has no " + std::string(name) + "; set it, or write ${" +
           std::string(name) + ":-default}";
  out += *found;
  return "";
}

void expand_string(Value& value, const Environment& environment, Decoder& decoder) {
  if (value.text.find("${") == std::string::npos) return;
  std::string out;
  std::string_view rest = value.text;
  while (!rest.empty()) {
    auto mark = rest.find("${");
    if (mark == std::string_view::npos) break;
    if (mark > 0 && rest[mark - 1] == '$') {
      out += rest.substr(0, mark - 1);
      out += "${";
      rest.remove_prefix(mark + 2);
      continue;
    }
    out += rest.substr(0, mark);
    rest.remove_prefix(mark + 2);
    auto end = rest.find('}');
    std::string wrong = end == std::string_view::npos
                            ? "\"${\" without \"}\"; write $${ for a plain ${"
                            : append_variable(rest.substr(0, end), environment, out);
    if (!wrong.empty()) {
      value.reported = true;
      return decoder.error(value.line, std::move(wrong));
    }
    value.from_environment = true;
    rest.remove_prefix(end + 1);
  }
  out += rest;
  value.text = std::move(out);
}

}  // namespace

void expand_environment(Value& value, const Environment& environment, Decoder& decoder) {
  if (value.kind == Value::Kind::string) return expand_string(value, environment, decoder);
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    std::string name =
        value.kind == Value::Kind::array
            ? decoder.key + "[" + std::to_string(i) + "]"
            : (decoder.key.empty() ? "" : decoder.key + ".") + toml_key(value.names[i]);
    Decoder at{decoder.file, decoder.errors, std::move(name)};
    expand_environment(value.items[i], environment, at);
  }
}

}  // namespace config_detail
}  // namespace m3
