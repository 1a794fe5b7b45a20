// SPDX-License-Identifier: BSL-1.0
// What a NATS server sends. Cut anywhere, the same operations come out.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "plugins/broker/nats/nats_protocol.h"

namespace {

constexpr std::size_t kMostPayload = 4096;

std::string text_of(const m3::NatsOp& op) {
  return std::to_string(static_cast<int>(op.kind)) + "|" + std::string(op.text) + "|" +
         std::string(op.subject) + "|" + std::to_string(op.sid) + "|" + std::string(op.headers) +
         "|" + std::string(op.payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> whole;
  m3::NatsReader all(bytes, kMostPayload);
  for (m3::NatsOp op; all.next(op);) {
    M3_FUZZ_CHECK(op.payload.size() <= kMostPayload);
    if (op.kind == m3::NatsOp::Kind::info) (void)m3::parse_nats_info(op.text).is_ok();
    if (op.kind == m3::NatsOp::Kind::err)
      M3_FUZZ_CHECK(m3::nats_complaint(op.text).subject.size() <= op.text.size());
    M3_FUZZ_CHECK(all.needed() == 0);
    whole.push_back(text_of(op));
  }
  M3_FUZZ_CHECK(all.consumed() <= size);

  std::vector<std::string> parts;
  std::string kept;
  bool failed = false;
  const std::size_t step = 1 + size % 7;
  for (std::size_t at = 0; at < size && !failed; at += step) {
    kept += bytes.substr(at, step);
    m3::NatsReader some(kept, kMostPayload);
    for (m3::NatsOp op; some.next(op);) parts.push_back(text_of(op));
    failed = some.failed();
    kept.erase(0, some.consumed());
  }
  M3_FUZZ_CHECK(parts == whole);
  M3_FUZZ_CHECK(failed == all.failed());
  return 0;
}
