// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "apps/m3ctl/cluster/instance_config.h"
#include "apps/m3ctl/cluster/local_service.h"
#include "apps/m3ctl/cluster/ports.h"
#include "apps/m3ctl/cluster/process.h"
#include "apps/m3ctl/cluster/run_folder.h"
#include "apps/m3ctl/routing.h"
#include "m3/base/app_id.h"
#include "m3/config/print.h"

namespace m3ctl {
namespace {

namespace fs = std::filesystem;
using m3::ConfigValue;
using m3::HostPort;
using m3::Status;

constexpr const char* kHost = "127.0.0.1";
constexpr std::chrono::seconds kCheckTimeout{20};

/// Empty when it is missing.
std::string find_binary(const ClusterFile& file, const std::string& name) {
  if (name.find('/') != std::string::npos) {
    const std::string path = fs::absolute(file.beside(name));
    return is_executable(path) ? path : "";
  }
  std::error_code error;
  const fs::path here = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& path : {here / name, here.parent_path() / name / name})
    if (is_executable(path)) return path;
  return find_in_path(name);
}

std::string id_of(const ClusterFile::App& app, const std::string& func, unsigned number) {
  return fmt::format("{}.{}.{}.{}", app.env, app.world, func, number);
}

/// Makes one plan; its functions are called in the order of their definition.
class Planner {
 public:
  Planner(const ClusterFile& file, const std::string& folder, bool to_start, m3::ErrorList& errors)
      : file_(file), to_start_(to_start), errors_(errors) {
    plan_.name = file.name;
    plan_.file = fs::absolute(file.path).lexically_normal();
    plan_.folder = folder;
    plan_.tool_config = folder + "/m3ctl.toml";
    plan_.stop_timeout = file.stop_timeout;
  }

  /// For a running cluster: its processes keep their addresses.
  Planner(const ClusterFile& file, const std::string& folder, const RunningCluster& running,
          m3::ErrorList& errors)
      : Planner(file, folder, false, errors) {
    running_ = &running;
  }

  ClusterPlan make() {
    reserve_ports();
    services();
    for_each_app(&Planner::instances);
    for_each_app(&Planner::configure);
    write_tool_config();
    // An app with errors has an incomplete configuration, which is not worth checking.
    for (std::size_t i = 0; i < file_.apps.size(); ++i)
      if (!wrong_.contains(i)) check(i);
    return std::move(plan_);
  }

 private:
  void error(int line, std::string key, std::string what) {
    errors_.add({file_.path, line, std::move(key), std::move(what)});
  }

  /// Records in which apps the step finds errors.
  void for_each_app(void (Planner::*step)(std::size_t)) {
    for (std::size_t i = 0; i < file_.apps.size(); ++i) {
      const std::size_t before = errors_.size();
      (this->*step)(i);
      if (errors_.size() != before) wrong_.insert(i);
    }
  }

  /// Reserve the ports that the file names before free ones are chosen.
  void reserve_ports() {
    const ClusterFile::Services& services = file_.services;
    const std::uint16_t consul = services.consul.port;
    for (unsigned i = 0; consul != 0 && i < 3; ++i)
      reserve(static_cast<std::uint16_t>(consul + i), 0, "services.consul.port");
    reserve(services.redis.port, 0, "services.redis.port");
    reserve(services.nats.port, 0, "services.nats.port");
    for (const ClusterFile::App& app : file_.apps)
      for (std::uint16_t port : app.ports.list)
        reserve(port, app.binary.line, file_.key(app, "ports"));
  }

  void reserve(std::uint16_t port, int line, const std::string& key) {
    if (port == 0) return;
    ports_.take(port);
    if (!reserved_.insert(port).second)
      error(line, key, fmt::format("port {} is used twice", port));
    else if (to_start_ && !is_free(port))
      error(line, key,
            fmt::format(
                "port {} is in use: stop the program that listens there, or choose another port",
                port));
  }

  void services() {
    for (Service service : {Service::consul, Service::redis, Service::nats}) {
      const auto needs = [&](const ClusterFile::App& app) {
        return std::find(app.needs.begin(), app.needs.end(), service) != app.needs.end();
      };
      const auto first = std::find_if(file_.apps.begin(), file_.apps.end(), needs);
      if (first == file_.apps.end()) continue;
      const std::string name(name_of(service));
      if (running_) {
        running_service(name, *first);
        continue;
      }
      if (find_service(service).empty()) {
        error(first->binary.line, file_.key(*first, "needs"), how_to_get(service));
        places_[name] = "127.0.0.1:1";  // so that the rest is checked as well
        continue;
      }
      auto entry = plan_service(service, file_, plan_.folder, ports_);
      if (!entry.is_ok()) {
        error(0, "services." + name, entry.status().text());
        places_[name] = "127.0.0.1:1";  // the same
        continue;
      }
      places_[name] = entry->address.to_string();
      plan_.entries.push_back(*std::move(entry));
    }
  }

  const RunningEntry* running(const std::string& id) const {
    const auto& all = running_->entries;
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const RunningEntry& entry) { return entry.id == id; });
    return found == all.end() ? nullptr : &*found;
  }

  void needs_restart(const ClusterFile::App& app, const std::string& key, const std::string& id) {
    error(app.binary.line, file_.key(app, key),
          id + " is not running yet: m3ctl down and m3ctl up start it");
  }

  void running_service(const std::string& name, const ClusterFile::App& app) {
    const RunningEntry* there = running(name);
    if (!there) return needs_restart(app, "needs", name);
    places_[name] = there->address;
  }

  void instances(std::size_t index) {
    const ClusterFile::App& app = file_.apps[index];
    const std::string binary = find_binary(file_, app.binary.text);
    if (binary.empty() && !app.binary.empty())
      error(app.binary.line, file_.key(app, "binary"),
            app.binary.text + ": the program was not found; build it, or write its path");
    const std::string func =
        app.func.empty() ? fs::path(app.binary.text).filename().string() : app.func;
    firsts_.push_back(plan_.entries.size());
    for (unsigned number = 1; number <= app.instances; ++number) {
      const std::string id = id_of(app, func, number);
      auto parsed = m3::AppId::parse(id);
      if (!parsed.is_ok())
        return error(app.binary.line, file_.key(app, "func"), parsed.status().text());
      if (!ids_.insert(id).second)
        return error(
            app.binary.line, file_.key(app, ""),
            id + " is there twice: merge the two entries, or give one another func or world");
      ClusterEntry entry = instance(app, id, number);
      entry.group = index + 1;
      entry.argv = {binary, "--id", id, "--config", plan_.folder + "/" + id + ".toml"};
      plan_.entries.push_back(std::move(entry));
    }
  }

  ClusterEntry instance(const ClusterFile::App& app, const std::string& id, unsigned number) {
    ClusterEntry out;
    out.name = id;
    out.log = plan_.folder + "/" + id + ".log";
    if (running_) {
      place_again(app, out);
    } else {
      out.address = {kHost, app.ports.list.empty() ? free_port() : app.ports.list[number - 1]};
      out.admin = HostPort{kHost, free_port()};
    }
    out.ready = http_get(*out.admin, "/health/ready");
    out.is_ready = [](const Answer& answer) { return is_http_ok(answer.text); };
    peers_.push_back(id + "@" + out.address.to_string());
    return out;
  }

  void place_again(const ClusterFile::App& app, ClusterEntry& entry) {
    entry.address = entry.admin.emplace(HostPort{kHost, 1});
    const RunningEntry* there = running(entry.name);
    if (!there) return needs_restart(app, "instances", entry.name);
    entry.address = HostPort::parse(there->address).value_or(entry.address);
    entry.admin = HostPort::parse(there->admin).value_or(entry.address);
  }

  std::uint16_t free_port() {
    auto port = ports_.next();
    if (port.is_ok()) return *port;
    error(0, "", port.status().text());
    return 1;
  }

  /// How m3ctl finds the instances: by the first discovery of an app, with that app's token; else
  /// by the list of all.
  void write_tool_config() {
    ConfigValue out = ConfigValue::table();
    for (const ConfigValue& config : configs_)
      if (out.items.empty() && discovery_of(config)) take_discovery(config, out);
    if (out.items.empty()) {
      (void)merge(out, "router.static.peers", ConfigValue::array());
      ConfigValue& peers = *out.find("router")->find("static")->find("peers");
      for (const std::string& peer : peers_) peers.items.push_back(ConfigValue::of(peer));
      for (const ConfigValue& config : configs_) take_token(config, out);
    }
    if (!plan_.entries.empty() && plan_.entries.back().is_app())
      if (auto id = m3::AppId::parse(plan_.entries.back().name); id.is_ok())
        out.add("id", ConfigValue::of(id->world_id().to_string() + ".m3ctl.1"));
    write(plan_.tool_config, out);
  }

  /// [router.NAME], unless that has only a static list, or is the app's own router.
  static const ConfigValue* discovery_of(const ConfigValue& config) {
    const ConfigValue* router = config.find("router");
    if (!router || router->names.empty()) return nullptr;
    const std::string& name = router->names.front();
    return name == "static" || name == "local" || !Routing::knows(name) ? nullptr : router;
  }

  static void take_discovery(const ConfigValue& config, ConfigValue& out) {
    out.add("router", *discovery_of(config));
    take_token(config, out);
  }

  static void take_token(const ConfigValue& config, ConfigValue& out) {
    const ConfigValue* rpc = config.find("rpc");
    const ConfigValue* token = rpc ? rpc->find("token") : nullptr;
    if (token && !out.find("rpc")) (void)merge(out, "rpc.token", *token);
  }

  void write(const std::string& path, const ConfigValue& table) {
    if (Status status = write_whole(path, m3::print_file(table)); !status)
      error(0, "", status.text());
  }

  void configure(std::size_t index) {
    const ClusterFile::App& app = file_.apps[index];
    const ConfigValue& own = owns_[index] = load_app_config(file_, app, errors_);
    for (std::size_t i = firsts_[index]; i < plan_.entries.size(); ++i) {
      const ClusterEntry& entry = plan_.entries[i];
      if (entry.group != index + 1) break;
      m3::ErrorList errors;
      const ConfigValue whole = config(app, own, entry, errors);
      write(config_of(entry), whole);
      if (i == firsts_[index]) configs_.push_back(whole);
      for (const m3::ConfigError& one : errors.sorted()) errors_.add(one);
      if (!errors.empty()) return;  // the others have the same
    }
  }

  ConfigValue config(const ClusterFile::App& app, const ConfigValue& own, const ClusterEntry& entry,
                     m3::ErrorList& errors) {
    Places places;
    for (Service service : app.needs) {
      const std::string name(name_of(service));
      places[name] = places_[name];
    }
    places["instance"] = entry.name.substr(entry.name.rfind('.') + 1);
    places["port"] = std::to_string(entry.address.port);
    ConfigValue out = own;
    for (const auto& [key, any] : fill(file_, app, places, peers_, errors))
      if (Status status = merge(out, key, any.value); !status)
        errors.add({file_.path, any.value.line, file_.key(app, "set." + key), status.text()});
    (void)merge(out, "listen", ConfigValue::of(entry.address.to_string()));
    if (entry.admin) {
      Status status = merge(out, "admin.listen", ConfigValue::of(entry.admin->to_string()));
      if (!status)
        errors.add({file_.path, app.binary.line, file_.key(app, "config"), status.text()});
    }
    return out;
  }

  static const std::string& config_of(const ClusterEntry& entry) { return entry.argv.back(); }

  /// Has the app check the first instance's file; the others differ in numbers only.
  void check(std::size_t index) {
    const ClusterFile::App& app = file_.apps[index];
    const ClusterEntry& entry = plan_.entries[firsts_[index]];
    std::vector<std::string> argv = entry.argv;
    argv.emplace_back("--check-config");
    const std::string said = plan_.folder + "/" + entry.name + ".check";
    auto ended = run_to_end(argv, said, kCheckTimeout);
    if (ended.is_ok() && ended->clean()) return;
    if (!ended.is_ok())
      return error(app.binary.line, file_.key(app, "binary"), ended.status().text());
    const std::string text = read_whole(said).value_or("");
    if (text.empty())
      return error(app.binary.line, file_.key(app, "binary"),
                   fmt::format("{} --check-config {} without output: is it an m3 app?",
                               app.binary.text, ended->to_string()));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const std::string what = without_place(line, config_of(entry));
      const std::string key = what.substr(0, what.find(": "));
      if (const int own_line = line_in_own_file(app, owns_[index], key); own_line > 0)
        errors_.add({file_.beside(app.config.text), own_line, "", what});
      else
        error(app.binary.line, file_.key(app, ""), entry.name + ": " + what);
    }
  }

  /// Where the app's own file has the key; 0: it does not have it, or `set` replaces it.
  static int line_in_own_file(const ClusterFile::App& app, const ConfigValue& own,
                              const std::string& key) {
    const auto above = [](const std::string& a, const std::string& b) {  // b is a, or inside of a
      return b.starts_with(a) && (b.size() == a.size() || b[a.size()] == '.' || b[a.size()] == '[');
    };
    for (const auto& [name, value] : app.set)
      if (above(name, key) || above(key, name)) return 0;
    const ConfigValue* at = &own;
    std::istringstream parts(key.substr(0, key.find('[')));
    for (std::string part; at && std::getline(parts, part, '.');) at = at->find(part);
    return at && at != &own ? at->line : 0;
  }

  /// "FILE:3: listen: …" without the file and line, which are of the generated file.
  static std::string without_place(const std::string& line, const std::string& config) {
    if (!line.starts_with(config)) return line;
    const std::size_t key = line.find(": ", config.size());
    return key == std::string::npos ? line : line.substr(key + 2);
  }

  const ClusterFile& file_;
  const bool to_start_;
  const RunningCluster* running_ = nullptr;  // null: a new one
  m3::ErrorList& errors_;
  ClusterPlan plan_;
  PortFinder ports_;
  Places places_;
  std::set<std::uint16_t> reserved_;
  std::set<std::string> ids_;
  std::vector<std::string> peers_;
  std::set<std::size_t> wrong_;              // apps with errors
  std::vector<std::size_t> firsts_;          // of each app: its first entry
  std::vector<ConfigValue> configs_;         // of each app: its first entry's
  std::map<std::size_t, ConfigValue> owns_;  // of each app: its own file's
};

}  // namespace

ClusterPlan make_plan(const ClusterFile& file, const std::string& folder, bool to_start,
                      m3::ErrorList& errors) {
  return Planner(file, folder, to_start, errors).make();
}

ClusterPlan make_plan_again(const ClusterFile& file, const std::string& folder,
                            const RunningCluster& running, m3::ErrorList& errors) {
  return Planner(file, folder, running, errors).make();
}

}  // namespace m3ctl
