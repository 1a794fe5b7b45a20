// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace m3 {

/// The number of insertions, deletions, changes and swaps of neighbours that turn one into the
/// other; case-sensitive.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The `names` that may have been meant by `word`, best first; case is ignored, and so are '-' and
/// '_', so that `BroadcastTimeout` finds `broadcast_timeout`. The views point into `names`.
std::vector<std::string_view> near_names(std::string_view word,
                                         std::span<const std::string_view> names,
                                         std::size_t max = 3);

/// `did you mean "listen"?`, `did you mean "a" or "b"?`; empty when nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> names);

}  // namespace m3
