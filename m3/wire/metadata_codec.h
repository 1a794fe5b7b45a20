// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string_view>

#include "m3/base/metadata.h"

namespace m3 {

/// Metadata as m3.wire.Metadata (proto/m3/wire.proto), without protobuf's library: it writes the
/// same bytes, and reads the same values from all input that the library accepts. In addition a
/// reader refuses more parts than these (a part of two bytes would cost it a hundred), and keys
/// that is_metadata_key() refuses or that are not lower case.
inline constexpr std::size_t kMaxCallChain = 32;

/// Exactly what encode_metadata() writes; 0 when metadata.empty().
std::size_t encoded_metadata_size(const Metadata& metadata) noexcept;

/// Writes encoded_metadata_size() bytes to `to`; returns their end.
char* encode_metadata(const Metadata& metadata, char* to) noexcept;

/// Replaces `out` with the decoded `bytes` and reuses its memory. invalid_argument and an empty
/// `out` when they are malformed or too large. An unknown route mode reads as none; unknown fields
/// are skipped.
Status decode_metadata(std::string_view bytes, Metadata& out);

}  // namespace m3
