// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/result.h"
#include "m3/config/errors.h"
#include "m3/config/schema.h"

namespace m3 {

/// A table of a configuration file: the top, `[app]`, or `[kind.name]`. A view that keeps its
/// document alive.
class Section {
 public:
  const std::string& kind() const noexcept {
    return kind_;
  }  ///< "router" of [router.consul]; "" at the top
  const std::string& name() const noexcept { return name_; }  ///< "consul"; "" of [app]
  /// "router.consul", "app", "".
  std::string path() const;
  int line() const noexcept;
  /// An error of this section, or of `key` in it.
  void report(ErrorList& errors, std::string what, std::string_view key = {}) const;

  /// Reads it into T (which has describe()). All errors are added to `errors`; the Status then has
  /// only their number. `also_known`: members that other code decodes, such as the plugin kinds at
  /// the top of a file.
  template <class T>
  Result<T> decode(ErrorList& errors, std::span<const std::string_view> also_known = {}) const {
    T out{};
    std::size_t before = errors.size();
    if (decode_into(config_detail::schema_of<T>(), &out, errors, also_known)) return out;
    return too_wrong(errors.size() - before);
  }

  /// For tools that continue to look for further errors: what could be read, even if something is
  /// wrong. A list has only its valid items.
  template <class T>
  T decode_the_good(ErrorList& errors, std::span<const std::string_view> also_known = {}) const {
    T out{};
    // What is wrong is in `errors`.
    (void)decode_into(config_detail::schema_of<T>(), &out, errors, also_known);
    return out;
  }

 private:
  friend class Document;
  bool decode_into(const config_detail::SchemaBase& schema, void* out, ErrorList& errors,
                   std::span<const std::string_view> also_known) const;
  Status too_wrong(std::size_t errors) const;

  std::string kind_;
  std::string name_;
  std::shared_ptr<const std::string> file_;
  std::shared_ptr<const config_detail::Value> table_;
};

/// Looks up a variable; empty when there is none.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;
/// The environment of the process.
Environment process_environment();

/// A parsed TOML file. In strings, variables of the environment are replaced: "${REDIS_URL}",
/// "${PORT:-6379}" (used when the variable is missing or empty), "$${" for a literal "${". A string
/// that is just one variable may be used for a number. Immutable; copies share.
class Document {
 public:
  /// An empty file: every key has its default.
  Document();

  /// Errors are added to `errors`, with file and line; the document has what could be read. An
  /// empty `environment` leaves every string as it is written.
  static Document parse(std::string_view text, std::string file_name, ErrorList& errors,
                        const Environment& environment = process_environment());
  static Document load(const std::string& path, ErrorList& errors,
                       const Environment& environment = process_environment());

  const std::string& file() const noexcept { return *file_; }
  Section root() const;
  /// The whole file, for tools that write it again (print_file() in print.h).
  const ConfigValue& value() const noexcept { return *root_; }
  /// `[name]`; an empty one when it is not in the file.
  Section section(std::string_view name, ErrorList& errors) const;
  bool has(std::string_view name) const;
  /// Every `[kind.name]`, in the file's order; anything else under [kind] is an error.
  std::vector<Section> sections(std::string_view kind, ErrorList& errors) const;

 private:
  Section make_section(std::string kind, std::string name, const config_detail::Value* table) const;

  std::shared_ptr<const std::string> file_;
  std::shared_ptr<const config_detail::Value> root_;
};

}  // namespace m3
