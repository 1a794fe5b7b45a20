// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace m3 {

/// How many insertions, deletions, changes and swaps of neighbours turn one into the other; case
/// counts.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// Those of `names` that someone who wrote `word` may have meant, best first; case is ignored, and
/// so are '-' and
/// '_', so that `BroadcastTimeout` finds `broadcast_timeout`. The views point into `names`.
std::vector<std::string_view> near_names(std::string_view word,
                                         std::span<const std::string_view> names,
                                         std::size_t max = 3);

/// `did you mean "listen"?`, `did you mean "a" or "b"?`; empty when nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> names);

}  // namespace m3
