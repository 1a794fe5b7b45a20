// SPDX-License-Identifier: BSL-1.0
// protobuf's library is the oracle: what it refuses our codec refuses, what it accepts ours accepts
// with the same values unless a documented limit is passed, and what ours writes are its bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "check.h"
#include "m3/wire.pb.h"
#include "m3/wire/metadata_codec.h"

namespace {

using m3::Metadata;

bool within_limits(const m3::wire::Metadata& message) {
  if (message.entries_size() > static_cast<int>(m3::kMaxMetadataEntries)) return false;
  if (message.call_chain_size() > static_cast<int>(m3::kMaxCallChain)) return false;
  for (const auto& entry : message.entries()) {
    if (!m3::is_metadata_key(entry.key())) return false;
    for (char c : entry.key()) {
      if (c >= 'A' && c <= 'Z') return false;
    }
  }
  return true;
}

Metadata values_of(const m3::wire::Metadata& message) {
  Metadata out;
  out.actor_id = message.actor_id();
  out.traceparent = message.traceparent();
  for (const std::string& link : message.call_chain()) out.call_chain.push_back(link);
  if (message.has_status()) {
    out.status.emplace();
    out.status->code = static_cast<std::uint32_t>(message.status().code());
    out.status->app_code = message.status().app_code();
    out.status->retry_after_ms = message.status().retry_after_ms();
    out.status->text = message.status().text();
    out.status->owner = message.status().owner();
  }
  for (const auto& entry : message.entries()) out.entries.emplace_back(entry.key(), entry.value());
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static m3::wire::Metadata oracle;
  static Metadata ours;  // its old content must not show
  const bool accepted = oracle.ParseFromArray(data, static_cast<int>(size));
  const m3::Status status = m3::decode_metadata(bytes, ours);
  M3_FUZZ_CHECK(status.is_ok() == (accepted && within_limits(oracle)));
  if (!status) {
    M3_FUZZ_CHECK(ours.empty());
    return 0;
  }
  M3_FUZZ_CHECK(ours == values_of(oracle));

  std::string written(m3::encoded_metadata_size(ours), '\0');
  M3_FUZZ_CHECK(m3::encode_metadata(ours, written.data()) == written.data() + written.size());
  oracle.DiscardUnknownFields();
  M3_FUZZ_CHECK(written == oracle.SerializeAsString());
  Metadata again;
  M3_FUZZ_CHECK(m3::decode_metadata(written, again).is_ok());
  M3_FUZZ_CHECK(again == ours);
  return 0;
}
