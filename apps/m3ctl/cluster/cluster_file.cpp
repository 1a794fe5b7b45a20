// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/cluster_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "m3/base/app_id.h"

namespace m3ctl {
namespace {

using m3::ConfigValue;
using m3::Errc;
using m3::Result;
using m3::Status;
using namespace std::chrono_literals;

Status wrong(std::string text) { return Status(Errc::invalid_argument, std::move(text)); }

Status good_part(const std::string& text) {
  if (text.empty() || m3::is_id_part(text)) return m3::ok;
  return wrong("\"" + text +
               "\" cannot be part of an id: 1 to 63 letters, digits, \"-\" and \"_\"");
}

Status good_ports(const ClusterFile::App& app) {
  if (app.ports.list.empty() || app.ports.list.size() == app.instances) return m3::ok;
  return wrong(fmt::format("{} ports for {} instances: list one for each, or write \"auto\"",
                           app.ports.list.size(), app.instances));
}

/// Whether an error is one of app[number]: its key, or the key of something in it.
bool is_of_app(const m3::ConfigError& error, std::size_t number) {
  const std::string app = fmt::format("app[{}]", number);
  return error.key == app || error.key.starts_with(app + ".");
}

/// An invalid app is not among the decoded ones: the others have the remaining numbers.
void number_apps(std::vector<ClusterFile::App>& apps, const std::vector<m3::ConfigError>& errors) {
  std::size_t number = 0;
  for (ClusterFile::App& app : apps) {
    const auto is_wrong = [&](const m3::ConfigError& error) { return is_of_app(error, number); };
    while (std::any_of(errors.begin(), errors.end(), is_wrong)) ++number;
    app.number = number++;
  }
}

void describe_port(m3::SchemaField<std::uint16_t> field) {
  field.doc("port on 127.0.0.1; 0: a free one");
}

}  // namespace

std::string_view name_of(Service service) {
  return enum_names(service)[static_cast<std::size_t>(service)].first;
}

Result<LocatedText> LocatedText::from_value(const ConfigValue& value) {
  if (value.kind != ConfigValue::Kind::string) return wrong("expected a string in quotes");
  return LocatedText{value.text, value.line};
}

Result<Ports> Ports::from_value(const ConfigValue& value) {
  Ports out;
  if (value.kind == ConfigValue::Kind::string && value.text == "auto") return out;
  const Status bad =
      wrong("expected \"auto\" or a list of ports from 1 to 65535, one for each instance");
  if (value.kind != ConfigValue::Kind::array || value.items.empty()) return bad;
  for (const ConfigValue& item : value.items) {
    if (item.kind != ConfigValue::Kind::integer || item.integer < 1 || item.integer > 65535)
      return bad;
    out.list.push_back(static_cast<std::uint16_t>(item.integer));
  }
  return out;
}

ConfigValue Ports::to_value() const {
  if (list.empty()) return ConfigValue::of(std::string("auto"));
  ConfigValue out = ConfigValue::array();
  for (std::uint16_t port : list) out.items.push_back(ConfigValue::of(std::int64_t{port}));
  return out;
}

void ClusterFile::App::describe(m3::Schema<App>& s) {
  s.add("binary", &App::binary)
      .doc(
          "the program: a path (relative to this file), or a name that is looked up beside m3ctl, "
          "in m3ctl's build folder, and in $PATH")
      .required()
      .not_empty();
  s.add("func", &App::func)
      .doc("third part of the ids; default: the program's name")
      .check(good_part);
  s.add("env", &App::env).doc("first part of the ids").not_empty().check(good_part);
  s.add("world", &App::world).doc("second part of the ids").not_empty().check(good_part);
  s.add("instances", &App::instances)
      .doc("number of instances; their ids end in 1, 2, 3, …")
      .range(1, 1000);
  s.add("config", &App::config)
      .doc("the app's own file (relative to this one); without it every key has its default");
  s.add("ports", &App::ports)
      .doc(
          "ports on 127.0.0.1 where the instances listen: \"auto\" finds free ones, or a list with "
          "one per instance");
  s.add("set", &App::set)
      .doc(
          "keys that override those of `config`: \"router.consul.addresses\" = [\"{consul}\"]. In "
          "strings {consul}, {redis} and {nats} are host:port of the services that `needs` starts, "
          "{instance} is the id's last part, {port} the port where the instance listens; the list "
          "item \"{peers}\" stands for all instances of the file; \"{{\" is a brace. \"${NAME}\" "
          "is left to the app");
  s.add("needs", &App::needs)
      .doc("services that must run before the app: consul, redis, nats; started from $PATH");
  s.check(good_ports);
}

void ClusterFile::Store::describe(m3::Schema<Store>& s) {
  describe_port(s.add("port", &Store::port));
  s.add("keep_data", &Store::keep_data)
      .doc("keep its data for the next run, in ~/.cache/m3/data/NAME");
}

void ClusterFile::Consul::describe(m3::Schema<Consul>& s) {
  s.add("port", &Consul::port)
      .doc("port of its HTTP API on 127.0.0.1, the next two ports are used too; 0: free ones");
  s.add("keep_data", &Consul::keep_data)
      .doc("keep its data for the next run, in ~/.cache/m3/data/NAME; needs a port");
  s.check([](const Consul& consul) {
    return consul.keep_data && consul.port == 0
               ? wrong("keep_data needs a port: consul's data contains its own addresses")
               : Status();
  });
}

void ClusterFile::Nats::describe(m3::Schema<Nats>& s) { describe_port(s.add("port", &Nats::port)); }

void ClusterFile::Services::describe(m3::Schema<Services>& s) {
  s.add("consul", &Services::consul);
  s.add("redis", &Services::redis);
  s.add("nats", &Services::nats);
}

void ClusterFile::describe(m3::Schema<ClusterFile>& s) {
  s.add("name", &ClusterFile::name)
      .doc("name of the cluster, for m3ctl ps; default: the file's name without .toml")
      .check(good_part);
  s.add("stop_timeout", &ClusterFile::stop_timeout)
      .doc("a process that has not exited this long after SIGTERM is killed")
      .range(100ms, 1h);
  s.add("app", &ClusterFile::apps)
      .doc("started in this order and stopped in reverse, each [[app]] as a whole")
      .required()
      .not_empty();
  s.add("services", &ClusterFile::services);
}

std::string ClusterFile::beside(const std::string& other) const {
  return (std::filesystem::path(path).parent_path() / other).lexically_normal();
}

std::string ClusterFile::key(const App& app, std::string_view of_app) {
  return fmt::format("app[{}]{}{}", app.number, of_app.empty() ? "" : ".", of_app);
}

std::string ClusterFile::default_name(const std::string& path) {
  return std::filesystem::path(path).stem().string();
}

ClusterFile ClusterFile::load(const std::string& path, m3::ErrorList& errors) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    errors.add({path, 0, "", error ? error.message() : "there is no such file"});
    return ClusterFile();
  }
  const m3::Document document = m3::Document::load(path, errors, nullptr);
  auto out = document.root().decode_the_good<ClusterFile>(errors);
  number_apps(out.apps, errors.sorted());
  out.path = path;
  if (!out.name.empty()) return out;
  out.name = default_name(path);
  if (!m3::is_id_part(out.name))
    errors.add({path, 0, "name",
                "\"" + out.name + "\" is not a valid name: write name = \"…\" in the file"});
  return out;
}

}  // namespace m3ctl
