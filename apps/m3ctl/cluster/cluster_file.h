// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/base/result.h"
#include "m3/config/document.h"
#include "m3/config/schema.h"

namespace m3ctl {

/// Services that an app may need.
enum class Service : std::uint8_t { consul, redis, nats };
constexpr std::array<std::pair<std::string_view, Service>, 3> enum_names(Service) {
  return {{{"consul", Service::consul}, {"redis", Service::redis}, {"nats", Service::nats}}};
}
std::string_view name_of(Service service);

/// A string and its line, for errors that are found after decoding.
struct LocatedText {
  static constexpr std::string_view kTypeName = "string";
  std::string text;
  int line = 0;
  static m3::Result<LocatedText> from_value(const m3::ConfigValue& value);
  m3::ConfigValue to_value() const { return m3::ConfigValue::of(text); }
  bool empty() const { return text.empty(); }
};

/// Any value, as written.
struct AnyValue {
  static constexpr std::string_view kTypeName = "values";
  m3::ConfigValue value;
  static m3::Result<AnyValue> from_value(const m3::ConfigValue& value) { return AnyValue{value}; }
  const m3::ConfigValue& to_value() const { return value; }
};

/// "auto", or one port for each instance.
struct Ports {
  static constexpr std::string_view kTypeName = "\"auto\" or list of integer";
  std::vector<std::uint16_t> list;  ///< empty: auto
  static m3::Result<Ports> from_value(const m3::ConfigValue& value);
  m3::ConfigValue to_value() const;
};

/// The file of `m3ctl up`: the apps of a cluster on one machine and the services they need.
struct ClusterFile {
  struct App {
    LocatedText binary;
    std::string func;
    std::string env = "local";
    std::string world = "world1";
    unsigned instances = 1;
    LocatedText config;
    Ports ports;
    std::map<std::string, AnyValue> set;
    std::vector<Service> needs;
    std::size_t number = 0;  ///< which [[app]] of the file it is, from 0
    static void describe(m3::Schema<App>& s);
  };
  struct Store {
    std::uint16_t port = 0;
    bool keep_data = false;
    static void describe(m3::Schema<Store>& s);
  };
  struct Consul : Store {
    static void describe(m3::Schema<Consul>& s);
  };
  struct Nats {
    std::uint16_t port = 0;
    static void describe(m3::Schema<Nats>& s);
  };
  struct Services {
    Consul consul;
    Store redis;
    Nats nats;
    static void describe(m3::Schema<Services>& s);
  };

  std::string name;  ///< empty in the file: the file's own
  std::vector<App> apps;
  Services services;
  m3::Duration stop_timeout = std::chrono::seconds(40);
  std::string path;  ///< of the file, as given

  static void describe(m3::Schema<ClusterFile>& s);
  /// Strings are not expanded: a "${NAME}" in `set` is for the app. Errors are added to `errors`;
  /// `apps` then has the valid ones, so that further errors can be found.
  static ClusterFile load(const std::string& path, m3::ErrorList& errors);
  /// A path of the file, which is relative to it.
  std::string beside(const std::string& other) const;
  /// "app[0].ports", for errors of an app.
  static std::string key(const App& app, std::string_view of_app);
  /// The default name: "cluster" for "configs/cluster.toml".
  static std::string default_name(const std::string& path);
};

}  // namespace m3ctl
