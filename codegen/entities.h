// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "codegen/diagnostics.h"

namespace google::protobuf {
class FileDescriptor;
}

namespace m3::codegen_detail {

/// Reports messages of `file` that say they are stored, by (m3.table) or m3game's options, and
/// cannot be: m3/data/table.h says what an entity is.
void check_entities(const google::protobuf::FileDescriptor& file, Diagnostics& errors);

}  // namespace m3::codegen_detail
