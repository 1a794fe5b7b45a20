// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/app_name.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "codegen/names.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Status;

constexpr auto kTargets =
    std::to_array<std::string_view>({"all", "benchmark", "clean", "coverage", "dist", "distcheck",
                                     "install", "phony", "reconfigure", "test", "uninstall"});
// Namespaces that the new files use by these names, the package around the app's, and its rpc.
constexpr auto kOwn = std::to_array<std::string_view>({"game", "hello", "m3", "std"});

bool is_among(std::string_view name, const auto& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string_view other_meaning(std::string_view name) {
  if (m3::codegen_detail::is_cpp_keyword(name)) return "a keyword of C++";
  if (m3::codegen_detail::is_macro(name)) return "a macro of C++ or its library";
  if (is_among(name, kTargets)) return "a target that every meson build has";
  if (is_among(name, kOwn)) return "a name that the new app's own files already use";
  return "";
}

bool is_word(std::string_view name) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto good = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 32 && letter(name.front()) &&
         std::all_of(name.begin(), name.end(), good);
}

}  // namespace

Status check_app_name(const std::string& name) {
  const std::string_view meaning = other_meaning(name);
  if (is_word(name) && meaning.empty()) return m3::ok;
  std::string text = "\"" + name + "\" cannot name an app";
  if (!meaning.empty()) text += ": it is " + std::string(meaning);
  return Status(Errc::invalid_argument,
                text +
                    "; a good name is a lower-case letter and at most 31 more letters and digits, "
                    "like shop or world2, but not a word of C++ or meson");
}

}  // namespace m3ctl
