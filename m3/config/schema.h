// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/config/detail/schema_base.h"
#include "m3/config/detail/types.h"

namespace m3 {

/// The contents of a TOML file, as a tree with line numbers.
using ConfigValue = config_detail::Value;

/// Returned by add(): describes the key just declared. Valid for that statement.
template <class M>
class SchemaField {
 public:
  explicit SchemaField(config_detail::FieldInfo& info) : info_(info) {}

  /// A description in one line. Shown in the reference, in error texts and by --print-config.
  SchemaField& doc(std::string text) { return info_.doc = std::move(text), *this; }
  /// It must be in the file. (Every other key has the value of the default-constructed struct.)
  SchemaField& required() { return info_.required = true, *this; }
  /// Never shown: not in errors, not by --print-config.
  SchemaField& secret() { return info_.secret = true, *this; }
  /// A reload applies it; a change of any other key needs a restart.
  SchemaField& reloadable() { return info_.reloadable = true, *this; }

  SchemaField& range(M least, M most) {
    return limit(&least, &most, text_of(least) + " to " + text_of(most));
  }
  SchemaField& at_least(M least) { return limit(&least, nullptr, "at least " + text_of(least)); }
  SchemaField& at_most(M most) {
    if constexpr (std::unsigned_integral<M>) return range(M(0), most);
    return limit(nullptr, &most, "at most " + text_of(most));
  }

  SchemaField& not_empty()
    requires requires(const M& value) { value.empty(); }
  {
    info_.allow("not empty");
    info_.checks.push_back([](const void* value) -> std::string {
      return static_cast<const M*>(value)->empty() ? "it must not be empty" : "";
    });
    return *this;
  }

  SchemaField& choices(std::vector<std::string> names)
    requires std::same_as<M, std::string>
  {
    config_detail::add_choices(info_, std::move(names));
    return *this;
  }

  /// `good(value)` returns a Status; its text describes the error.
  template <std::invocable<const M&> Check>
  SchemaField& check(Check good) {
    info_.checks.push_back([good = std::move(good)](const void* value) -> std::string {
      Status status = good(*static_cast<const M*>(value));
      return status ? std::string() : status.text();
    });
    return *this;
  }

 private:
  static std::string text_of(const M& value) {
    return config_detail::plain_text(config_detail::encode_from(value));
  }

  SchemaField& limit(const M* least, const M* most, std::string allowed)
    requires requires(const M& a, const M& b) { a < b; }
  {
    info_.allow(allowed);
    bool has_least = least != nullptr;
    bool has_most = most != nullptr;
    info_.checks.push_back([has_least, has_most, low = least ? *least : M(),
                            high = most ? *most : M(),
                            allowed = std::move(allowed)](const void* raw) -> std::string {
      const M& value = *static_cast<const M*>(raw);
      bool good = (!has_least || !(value < low)) && (!has_most || !(high < value));
      if constexpr (std::floating_point<M>) good = good && value == value;
      return good ? "" : text_of(value) + " is out of range; allowed: " + allowed;
    });
    return *this;
  }

  config_detail::FieldInfo& info_;
};

/// The keys of a config struct, each declared once:
///
///   struct Config {
///     std::vector<std::string> peers;
///     m3::Duration timeout = std::chrono::seconds(5);
///     static void describe(m3::Schema<Config>& s) {
///       s.add("peers", &Config::peers).doc("env.world.func.ins@host:port of each").not_empty();
///       s.add("timeout", &Config::timeout).doc("how long to wait").range(1ms, 1h).reloadable();
///     }
///   };
///
/// A field is a bool, a number, a string, a duration ("10s"), an enum with enum_names() beside it,
/// a std::vector, std::map<std::string, …> or std::optional of such, a struct with describe(), a
/// type with parse() and to_string() (ByteSize, AppId, …), or one that takes several kinds of
/// values: `static Result<M> from_value(const ConfigValue&)`, to_value() and kTypeName.
template <class T>
class Schema : public config_detail::SchemaBase {
 public:
  template <class M, class Owner>
    requires std::derived_from<T, Owner>
  SchemaField<M> add(std::string name, M Owner::* member) {
    const T initial{};
    config_detail::FieldInfo& info = add_field(std::move(name));
    info.ops = &config_detail::type_ops<M>();
    info.reach = [member](void* object) -> void* { return &(static_cast<T*>(object)->*member); };
    info.initial = config_detail::encode_from(initial.*member);
    return SchemaField<M>(info);
  }

  /// A check across keys; runs when each of them is valid. `good(config)` returns a Status.
  template <std::invocable<const T&> Check>
  void check(Check good) {
    add_check([good = std::move(good)](const void* value) -> Status {
      return good(*static_cast<const T*>(value));
    });
  }
};

namespace config_detail {

template <class M>
const SchemaBase& schema_of() {
  static const Schema<M> schema = [] {
    Schema<M> made;
    M::describe(made);
    return made;
  }();
  return schema;
}

}  // namespace config_detail
}  // namespace m3
