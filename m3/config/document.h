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

  /// Reads it into T (which has describe()). Everything wrong goes to `errors`; the Status then
  /// says only how much it was. `also_known`: members that others decode; the top of a file has the
  /// plugin kinds there.
  template <class T>
  Result<T> decode(ErrorList& errors, std::span<const std::string_view> also_known = {}) const {
    T out{};
    std::size_t before = errors.size();
    if (decode_into(config_detail::schema_of<T>(), &out, errors, also_known)) return out;
    return too_wrong(errors.size() - before);
  }

  /// For tools that go on to look for further errors: what could be read, also when something is
  /// wrong. A list holds its good items only.
  template <class T>
  T decode_the_good(ErrorList& errors) const {
    T out{};
    (void)decode_into(config_detail::schema_of<T>(), &out, errors, {});  // `errors` says the rest
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

/// Looks a variable up; empty when there is none.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;
/// The process's own.
Environment process_environment();

/// A parsed TOML file. Strings hold what the environment gave: "${REDIS_URL}", "${PORT:-6379}"
/// (used when the variable is missing or empty), "$${" for a literal "${". A value that is one such
/// string may stand for a number. Immutable; copies share.
class Document {
 public:
  /// Empty, as an empty file is: every key has its default.
  Document();

  /// Problems go to `errors`, with file and line; what could be read is there nevertheless.
  /// An empty `environment` leaves every string as it was written.
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
  /// Every `[kind.name]`, in the file's order; what else stands under [kind] is an error.
  std::vector<Section> sections(std::string_view kind, ErrorList& errors) const;

 private:
  Section make_section(std::string kind, std::string name, const config_detail::Value* table) const;

  std::shared_ptr<const std::string> file_;
  std::shared_ptr<const config_detail::Value> root_;
};

}  // namespace m3
