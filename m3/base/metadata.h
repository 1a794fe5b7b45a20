// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/base/status.h"

namespace m3 {

/// The most entries of a call or an answer.
inline constexpr std::size_t kMaxMetadataEntries = 128;

/// A Status as it is sent in an answer.
struct MetadataStatus {
  std::uint32_t code = 0;
  std::int32_t app_code = 0;
  std::uint32_t retry_after_ms = 0;
  std::string text;
  std::string owner;  ///< with Errc::moved: the app that has it

  static MetadataStatus from(const Status& status);
  /// `code` 0 returns OK; an unknown code returns Errc::unknown.
  Status to_status() const;
  friend bool operator==(const MetadataStatus&, const MetadataStatus&) = default;
};

/// Data sent along with a message. A plain value; m3/wire has its codec. Most calls have none.
struct Metadata {
  using Entry = std::pair<std::string, std::string>;

  std::string actor_id;
  std::string traceparent;
  std::vector<std::string> call_chain;
  std::optional<MetadataStatus> status;
  std::vector<Entry> entries;  ///< keys are lower case; a key may appear several times

  bool empty() const noexcept;
  /// Empties every field and keeps the strings' memory.
  void clear() noexcept;

  /// The first value under `key` (case-insensitive); nullptr when there is none.
  const std::string* find(std::string_view key) const noexcept;
  /// Replaces every value under `key`. Fails with invalid_argument when is_metadata_key() refuses
  /// the key, or there are kMaxMetadataEntries entries already.
  Status set(std::string_view key, std::string value);
  /// Adds one more value under `key`.
  Status add(std::string_view key, std::string value);
  /// How many values were under `key`.
  std::size_t erase(std::string_view key);

  friend bool operator==(const Metadata&, const Metadata&) = default;
};

/// As in gRPC: 1 to 256 letters, digits, '-', '_' and '.'; letters count as lower case.
bool is_metadata_key(std::string_view key) noexcept;

}  // namespace m3
