// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/status.h"
#include "m3/config/detail/types.h"
#include "m3/config/detail/value.h"

namespace m3::config_detail {

/// One declared key.
struct FieldInfo {
  std::string name;
  std::string doc;
  std::string allowed;  ///< "1 to 256; not empty"
  bool required = false;
  bool secret = false;
  bool reloadable = false;
  const TypeOps* ops = nullptr;
  std::function<void*(void*)> reach;                            ///< struct -> field
  std::vector<std::function<std::string(const void*)>> checks;  ///< of the field; "" = good
  Value initial;                                                ///< the default

  void allow(std::string_view text);
  const void* at(const void* object) const { return reach(const_cast<void*>(object)); }
};

/// The keys of one struct, without its type.
class SchemaBase {
 public:
  const std::deque<FieldInfo>& fields() const noexcept { return fields_; }
  const FieldInfo* find(std::string_view name) const;
  std::vector<std::string_view> names() const;
  const std::vector<std::function<Status(const void*)>>& checks() const noexcept { return checks_; }

 protected:
  FieldInfo& add_field(std::string name);
  void add_check(std::function<Status(const void*)> check) { checks_.push_back(std::move(check)); }

 private:
  std::deque<FieldInfo> fields_;  // a field keeps its address while more are added
  std::vector<std::function<Status(const void*)>> checks_;
};

void add_choices(FieldInfo& info, std::vector<std::string> names);
/// What is wrong with [[key]] where [key] is due.
std::string one_section(std::string_view key);
/// A value for people: strings without quotes.
std::string plain_text(const Value& value);

/// Decodes a table into a struct. `also_known`: members that other code decodes.
bool decode_table(const Value& table, const SchemaBase& schema, void* out, Decoder& decoder,
                  std::span<const std::string_view> also_known);

}  // namespace m3::config_detail
