// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/config/document.h"
#include "m3/config/print.h"

namespace m3 {

/// Operations on a config struct for code that does not know its type: a plugin's section, or an
/// app's own. Values are held as shared_ptr<const void> and never change.
class ConfigType {
 public:
  using Value = std::shared_ptr<const void>;

  /// Null after an error, which is added to `errors`.
  virtual Value decode(const Section& section, ErrorList& errors) const = 0;
  /// Every key at its default.
  virtual Value defaults() const = 0;
  /// As print_config(), config_reference() and diff_config().
  virtual std::string print(std::string_view section, const Value& value) const = 0;
  virtual std::string reference(std::string_view section, std::string_view about) const = 0;
  virtual std::vector<ConfigChange> diff(std::string_view section, const Value& before,
                                         const Value& after) const = 0;

 protected:
  ~ConfigType() = default;
};

namespace plugin_detail {

template <class T>
class TypedConfig final : public ConfigType {
 public:
  Value decode(const Section& section, ErrorList& errors) const override {
    auto value = section.decode<T>(errors);
    if (!value.is_ok()) return nullptr;
    return std::make_shared<const T>(*std::move(value));
  }
  Value defaults() const override { return std::make_shared<const T>(); }
  std::string print(std::string_view section, const Value& value) const override {
    return print_config(section, of(value));
  }
  std::string reference(std::string_view section, std::string_view about) const override {
    return config_reference<T>(section, about);
  }
  std::vector<ConfigChange> diff(std::string_view section, const Value& before,
                                 const Value& after) const override {
    return diff_config(section, of(before), of(after));
  }

 private:
  static const T& of(const Value& value) { return *static_cast<const T*>(value.get()); }
};

}  // namespace plugin_detail

/// T has describe(Schema<T>&).
template <class T>
const ConfigType& config_type() {
  static const plugin_detail::TypedConfig<T> type;
  return type;
}

}  // namespace m3
