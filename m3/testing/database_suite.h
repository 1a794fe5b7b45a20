// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/plugin/database.h"

namespace m3::testing {

/// A field as protobuf writes a string: what a row may have in it.
StoredField text_field(std::uint32_t number, const std::string& text);

/// One promise of m3/plugin/database.h, as a test of any back end: an error says which promise the
/// database breaks. Each case writes keys of its own, so that all of them can share a database.
struct DatabaseCase {
  std::string name;
  std::function<Task<>(Ctx&, Database&)> body;
};

/// What every database does, those that come with m3 and those of others:
///
///   for (const auto& test : m3::testing::database_cases())
///     DYNAMIC_SECTION(test.name) {
///       m3::Status kept = host.run([&](m3::Ctx& ctx) { return test.body(ctx, host.plugin()); });
///       INFO(kept.to_string());
///       CHECK(kept.is_ok());
///     }
const std::vector<DatabaseCase>& database_cases();

}  // namespace m3::testing
