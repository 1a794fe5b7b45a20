// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

// Catch2, version 2 or 3, whichever is installed: the only way in which m3's tests include it.
#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_approx.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_all.hpp>
using Catch::Approx;  // as in version 2
#else
#include <catch2/catch.hpp>
#endif

#include <string_view>

namespace m3::testing_detail {
/// Counts the running test case as skipped unless it fails. In catch_main.cpp.
void skip_case(std::string_view reason);
}  // namespace m3::testing_detail

/// Leaves a test case (a plain function, not a coroutine) that cannot run here: `M3_SKIP("needs
/// root")`.
#define M3_SKIP(reason)                      \
  do {                                       \
    ::m3::testing_detail::skip_case(reason); \
    return;                                  \
  } while (false)

namespace m3::testing {

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace m3::testing
