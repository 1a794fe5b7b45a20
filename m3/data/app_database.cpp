// SPDX-License-Identifier: BSL-1.0
#include "m3/data/app_database.h"

#include <string>

#include "m3/plugin/plugin_set.h"
#include "m3/rpc/host.h"

namespace m3 {

Result<Database*> find_database(Ctx& ctx, std::string_view name) {
  if (!ctx.host())
    return Status(Errc::failed_precondition, "this context belongs to no app: it has no database");
  auto* plugins = ctx.host()->part<PluginSet>();
  auto* found = plugins ? dynamic_cast<Database*>(plugins->find(Database::kKind, name)) : nullptr;
  if (found) return found;
  const std::string section = name.empty() ? "NAME" : std::string(name);
  return Status(Errc::failed_precondition,
                "this app has no such database: add a section [database." + section +
                    "] to its configuration");
}

}  // namespace m3
