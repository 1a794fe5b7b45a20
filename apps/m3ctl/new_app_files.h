// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>
#include <vector>

namespace m3ctl {

/// A file of a new app; its name and text contain @name@, @Name@ and @port@.
struct AppFile {
  std::string_view name;
  std::string_view text;
};

/// Those of apps/m3ctl/new_app, and the build glue of codegen/app.
const std::vector<AppFile>& new_app_files();

}  // namespace m3ctl
