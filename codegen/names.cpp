// SPDX-License-Identifier: BSL-1.0
#include "codegen/names.h"

#include <algorithm>
#include <iterator>

namespace m3::codegen_detail {
namespace {

// NULL is here because protoc treats it so.
constexpr std::string_view kKeywords[] = {
    "alignas",       "alignof",     "and",
    "and_eq",        "asm",         "auto",
    "bitand",        "bitor",       "bool",
    "break",         "case",        "catch",
    "char",          "char16_t",    "char32_t",
    "char8_t",       "class",       "co_await",
    "co_return",     "co_yield",    "compl",
    "concept",       "const",       "const_cast",
    "consteval",     "constexpr",   "constinit",
    "continue",      "decltype",    "default",
    "delete",        "do",          "double",
    "dynamic_cast",  "else",        "enum",
    "explicit",      "export",      "extern",
    "false",         "float",       "for",
    "friend",        "goto",        "if",
    "inline",        "int",         "long",
    "mutable",       "namespace",   "new",
    "noexcept",      "not",         "not_eq",
    "nullptr",       "operator",    "or",
    "or_eq",         "private",     "protected",
    "public",        "register",    "reinterpret_cast",
    "requires",      "return",      "short",
    "signed",        "sizeof",      "static",
    "static_assert", "static_cast", "struct",
    "switch",        "template",    "this",
    "thread_local",  "throw",       "true",
    "try",           "typedef",     "typeid",
    "typename",      "union",       "unsigned",
    "using",         "virtual",     "void",
    "volatile",      "wchar_t",     "while",
    "xor",           "xor_eq",      "NULL",
};

// What common system headers define as macros.
constexpr std::string_view kMacros[] = {
    "alloca",   "assert", "errno", "linux",  "major", "minor",
    "offsetof", "stderr", "stdin", "stdout", "unix",
};

template <std::size_t N>
bool contains(const std::string_view (&words)[N], std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

// Not <cctype>: the locale must not matter.
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool is_cpp_keyword(std::string_view word) { return contains(kKeywords, word); }

bool is_macro(std::string_view word) { return contains(kMacros, word); }

std::string cpp_namespace(std::string_view package) {
  std::string result;
  for (char c : package) result += c == '.' ? std::string("::") : std::string(1, c);
  return result;
}

std::string default_func(std::string_view service_name) {
  for (std::string_view suffix : {"Service", "Server", "Ser", "Svc"}) {
    if (service_name.size() > suffix.size() && service_name.ends_with(suffix)) {
      service_name.remove_suffix(suffix.size());
      break;
    }
  }
  std::string func(service_name);
  std::transform(func.begin(), func.end(), func.begin(), to_lower);
  return func;
}

std::string quoted_list(const std::vector<std::string>& names) {
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "'" : ", '") + name + "'";
  return list;
}

}  // namespace m3::codegen_detail
