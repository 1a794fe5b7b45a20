// SPDX-License-Identifier: BSL-1.0
// What a broker brings: a message that is read writes again to the same bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "check.h"
#include "m3/mesh/detail/broadcast_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto message = m3::mesh_detail::read_broadcast(bytes);
  if (!message.is_ok()) return 0;
  M3_FUZZ_CHECK(message->sequence > 0);
  std::string again;
  m3::mesh_detail::begin_broadcast(again, message->publisher, message->run_id, message->sequence,
                                   message->proof);
  M3_FUZZ_CHECK(message->count > 0);
  std::string_view frames = message->frames;
  for (std::uint64_t i = 0; i < message->count; ++i) again += m3::mesh_detail::take_frame(frames);
  M3_FUZZ_CHECK(frames.empty() && again == bytes);
  return 0;
}
