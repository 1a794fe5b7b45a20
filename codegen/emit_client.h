// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "codegen/model.h"
#include "codegen/writer.h"

namespace m3::codegen_detail {

/// class HelloClient, for x.m3.h.
void emit_client_class(const FileModel& file, const ServiceModel& service, Writer& out);
/// Its calls, for x.m3.cc.
void emit_client_code(const FileModel& file, const ServiceModel& service, Writer& out);
/// Looked up by m3::call(ctx, request): one m3::RpcTraits per request type that belongs to one rpc.
/// Global scope.
void emit_rpc_traits(const FileModel& file, const ServiceModel& service, Writer& out);

}  // namespace m3::codegen_detail
