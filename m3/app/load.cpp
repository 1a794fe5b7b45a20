// SPDX-License-Identifier: BSL-1.0
// Reads an app's configuration, at the start and on a reload.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "m3/app/detail/app_impl.h"
#include "m3/config/document.h"
#include "m3/config/print.h"
#include "m3/net/tcp.h"
#include "m3/obs/log.h"

namespace m3 {

namespace {

/// The caller that provides its own listener knows its addresses.
void check_listen(const Document& document, const AppConfig& config, ErrorList& errors) {
  auto address = HostPort::parse(config.listen);
  if (!address.is_ok()) return;
  Status good = check_listen_address(*address);
  if (good) good = config.check_access();
  if (!good) document.root().report(errors, good.text(), "listen");
}

}  // namespace

LoadedConfig App::Impl::decode(const Document& document, ErrorList& errors) const {
  LoadedConfig out;
  std::vector<std::string_view> also_known;
  if (section_type) {
    also_known.push_back("app");
    out.section = section_type->decode(document.section("app", errors), errors);
  } else if (document.has("app")) {
    also_known.push_back("app");
    const std::size_t before = errors.size();
    const Section section = document.section("app", errors);
    if (errors.size() == before)
      section.report(errors,
                     "the app \"" + func +
                         "\" reads no [app] section: remove it from the file, or declare it in "
                         "main with App::use_section<T>()");
  }
  for (std::string_view kind : registry.kinds()) also_known.push_back(kind);
  out.plugins = registry.choose(document, errors);
  auto app_config = document.root().decode<AppConfig>(errors, also_known);
  if (app_config.is_ok()) out.app = *std::move(app_config);
  if (!embedding.listen) check_listen(document, out.app, errors);
  return out;
}

LoadedConfig App::Impl::load(ErrorList& errors) const {
  if (!embedding.config_file.empty())
    return decode(Document::load(embedding.config_file, errors), errors);
  return decode(Document::parse(embedding.config, "configuration", errors), errors);
}

AppId App::Impl::choose_id(const AppId& given, const LoadedConfig& loaded,
                           ErrorList& errors) const {
  AppId chosen = given.empty() ? loaded.app.id.value_or(AppId()) : given;
  const std::string file = given.empty() ? embedding.config_file : "--id";
  if (chosen.empty()) {
    if (!errors.empty()) return {};  // an error in the file may have hidden its id
    errors.add(
        {"", 0, "id",
         "this app has no id: give --id env.world." + func + ".ins, or write id in the file"});
    return {};
  }
  if (chosen.func() == func) return chosen;
  errors.add({file, 0, "id",
              fmt::format("{} has the func \"{}\", but this program is \"{}\": write {}.{}.{}.{}",
                          chosen.to_string(), chosen.func(), func, chosen.env(), chosen.world(),
                          func, chosen.ins())});
  return {};
}

std::string App::Impl::print(const LoadedConfig& loaded) const {
  std::string out = print_config("", loaded.app);
  if (section_type && loaded.section) out += "\n" + section_type->print("app", loaded.section);
  for (const PluginChoice& choice : loaded.plugins)
    out += "\n" + choice.type->config->print(choice.type->title(), choice.config);
  return out;
}

std::string App::Impl::reference() const {
  std::string out = config_reference<AppConfig>("", "Every app has these keys.");
  if (section_type)
    out += "\n" + section_type->reference("app", "Keys of the app \"" + func + "\".");
  for (const auto& type : registry.types())
    out += "\n" + type->config->reference(type->title(), "The section that chooses this plugin.");
  return out;
}

void App::Impl::take(const LoadedConfig& loaded) {
  log::set_level(config.log_level);
  log::set_fatal_exits(config.fatal_exits);
  if (plugins.slots().empty()) choices = loaded.plugins;
  if (!loaded.section) return;
  std::lock_guard lock(section_mutex);
  section = loaded.section;
}

namespace {

/// Logs the changes and those that need a restart; true when all of them can be applied.
bool tell(const std::vector<ConfigChange>& changes) {
  bool all = true;
  for (const ConfigChange& change : changes) {
    if (change.reloadable)
      log::info("reload: {} = {} (was {})", change.key, change.after, change.before);
    else
      log::warn("reload: {} = {} needs a restart; {} stays in effect", change.key, change.after,
                change.before);
    all = all && change.reloadable;
  }
  return all;
}

}  // namespace

/// Logs all that goes wrong, each once.
Task<> App::Impl::reload(Ctx& caller) {
  app_detail::ReloadErrors failed;
  failed.note((co_await as_result(reload(caller, failed))).status());
  co_return failed.first();
}

/// `failed`: all that is known to go wrong. An error is one more, and not logged yet.
Task<> App::Impl::reload(Ctx& caller, app_detail::ReloadErrors& failed) {
  Ctx ctx(caller, Deadline(caller.core().read_clock() + config.start_timeout));
  ErrorList errors;
  LoadedConfig fresh = load(errors);
  if (!errors.empty()) {
    log::error("reload: the configuration is wrong, the previous one stays in effect:\n{}",
               errors.to_string());
    failed.keep(errors.to_status());
    co_return ok;
  }
  if (fresh.app.id && *fresh.app.id == id) fresh.app.id = config.id;
  tell(diff_config("", config, fresh.app));
  config = config.reloaded(fresh.app);
  if (section_type) {
    const ConfigType::Value before = app.section_value(*section_type);
    // A section is applied as a whole: its owner never sees a mixture.
    if (!tell(section_type->diff("app", before, fresh.section))) {
      log::warn("reload: [app] stays as it was until the restart");
      fresh.section = before;
    }
  }
  take(fresh);
  // One that cannot apply its part does not stop the others.
  co_await reload_plugins(ctx, fresh.plugins, failed);
  failed.note((co_await as_result(announcement->refresh(ctx))).status());
  co_await services->reload(ctx, failed);
  for (const Hook& hook : reload_hooks) failed.note((co_await as_result(hook(ctx))).status());
  if (failed.first()) log::info("reloaded");
  co_return ok;
}

Task<> App::Impl::reload_plugins(Ctx& ctx, const std::vector<PluginChoice>& fresh,
                                 app_detail::ReloadErrors& failed) {
  auto& slots = plugins.slots();
  for (const PluginChoice& choice : fresh)
    if (std::none_of(slots.begin(), slots.end(),
                     [&](const PluginSet::Slot& slot) { return slot.choice.type == choice.type; }))
      log::warn("reload: [{}] needs a restart to be used", choice.type->title());
  for (PluginSet::Slot& slot : slots) {
    const PluginType& type = *slot.choice.type;
    const auto now = std::find_if(fresh.begin(), fresh.end(),
                                  [&](const PluginChoice& choice) { return choice.type == &type; });
    if (now == fresh.end()) {
      log::warn("reload: [{}] was removed, but stays in use until the restart", type.title());
      continue;
    }
    const auto changes = type.config->diff(type.title(), slot.choice.config, now->config);
    if (changes.empty()) continue;
    if (!tell(changes) || !type.reload) {
      log::warn("reload: [{}] stays as it was until the restart", type.title());
      continue;
    }
    Status taken = (co_await as_result(type.reload(*slot.plugin, ctx, now->config))).status();
    if (taken)
      slot.choice.config = now->config;
    else
      failed.note(std::move(taken), type.title());
  }
  co_return ok;
}

}  // namespace m3
