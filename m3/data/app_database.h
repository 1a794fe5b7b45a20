// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

#include "m3/async/ctx.h"
#include "m3/base/result.h"
#include "m3/plugin/database.h"

namespace m3 {

/// The database of the app that `ctx` works for.
/// `name` picks the one that [database.NAME] configures; empty: the first one. It lives as long as
/// the app. failed_precondition: the context belongs to no app, or its configuration has none.
Result<Database*> find_database(Ctx& ctx, std::string_view name = {});

}  // namespace m3
