// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <string_view>

#include "m3/base/result.h"

namespace m3ctl {

/// Fills `message` from JSON (proto3's mapping; fields by their .proto name or in lowerCamelCase).
/// invalid_argument points at the character that is not JSON, or names the field that is wrong.
m3::Status read_json(std::string_view json, google::protobuf::Message& message);

/// As proto3's JSON, every field shown, names as in the .proto; `pretty`: over several lines.
/// data_loss: JSON cannot represent it; names the field.
m3::Result<std::string> write_json(const google::protobuf::Message& message, bool pretty);

/// Valid JSON for the type, for help texts: {"name": "", "level": 0}.
std::string example_json(const google::protobuf::Descriptor& type);

/// A quoted JSON string.
std::string json_string(std::string_view text);

}  // namespace m3ctl
