// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "codegen/model.h"
#include "codegen/writer.h"

namespace m3::codegen_detail {

/// class HelloService: the base of a handler class, for x.m3.h.
void emit_service_class(const FileModel& file, const ServiceModel& service, Writer& out);
/// Its method table and default handlers, for x.m3.cc.
void emit_service_code(const FileModel& file, const ServiceModel& service, Writer& out);

}  // namespace m3::codegen_detail
