// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace m3::codegen_detail {

/// A keyword or reserved word of C++20.
bool is_cpp_keyword(std::string_view word);
/// A lower-case word that common system headers define as a macro: "assert", "errno".
bool is_macro(std::string_view word);
/// "demo.v1" -> "demo::v1", as protoc's own C++ output spells it.
std::string cpp_namespace(std::string_view package);
/// "SimpleSer" -> "simple", "Hello" -> "hello": the func of an app that hosts the service.
std::string default_func(std::string_view service_name);
/// The names as "'a', 'b', 'c'".
std::string quoted_list(const std::vector<std::string>& names);

}  // namespace m3::codegen_detail
