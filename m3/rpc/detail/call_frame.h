// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <optional>

#include "m3/base/metadata.h"
#include "m3/base/status.h"
#include "m3/rpc/method.h"
#include "m3/wire/frame.h"

namespace m3::rpc_detail {

/// When kMostHops calls from process to process, each made by the previous one, have led to this
/// one: they must form a cycle.
Status circle_status(const MethodInfo& method);

/// Writes the frame of a request or a notify. `meta` and `body` are the sizes that were computed
/// right before.
void write_call(char* to, const FrameHeader& header, const std::optional<Metadata>& metadata,
                std::size_t meta, const google::protobuf::MessageLite& message, std::size_t body);

}  // namespace m3::rpc_detail
