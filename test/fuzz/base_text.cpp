// SPDX-License-Identifier: BSL-1.0
// Any bytes as the short texts that come from outside: ids, addresses, traceparents, durations,
// sizes, peers. What is accepted must be written as something that reads back as the same; what is
// refused says why.
#include <cstdint>
#include <string>
#include <string_view>

#include "check.h"
#include "m3/base/app_id.h"
#include "m3/base/byte_size.h"
#include "m3/base/duration.h"
#include "m3/base/host_port.h"
#include "m3/base/trace_context.h"

namespace {

template <class T>
void check_text(std::string_view text) {
  auto parsed = T::parse(text);
  if (!parsed.is_ok()) {
    M3_FUZZ_CHECK(!parsed.status().text().empty());
    return;
  }
  auto again = T::parse(parsed->to_string());
  M3_FUZZ_CHECK(again.is_ok());
  M3_FUZZ_CHECK(again->to_string() == parsed->to_string());
}

void check_id(std::string_view text) {
  auto id = m3::AppId::parse(text);
  if (!id.is_ok()) return;
  const std::string parts = std::string(id->env()) + "." + std::string(id->world()) + "." +
                            std::string(id->func()) + "." + std::string(id->ins());
  M3_FUZZ_CHECK(parts == text);
  M3_FUZZ_CHECK(m3::ServiceId::parse(id->service_id().to_string()).is_ok());
  M3_FUZZ_CHECK(m3::WorldId::parse(id->service_id().world_id().to_string()).is_ok());
}

void check_duration(std::string_view text) {
  auto parsed = m3::parse_duration(text);
  if (!parsed.is_ok()) return;
  auto again = m3::parse_duration(m3::format_duration(*parsed));
  M3_FUZZ_CHECK(again.is_ok());
  M3_FUZZ_CHECK(*again == *parsed);
}

void check_trace(std::string_view text) {
  auto parsed = m3::TraceContext::parse(text);
  if (!parsed) return;
  M3_FUZZ_CHECK(parsed->valid());
  auto again = m3::TraceContext::parse(parsed->to_string());
  M3_FUZZ_CHECK(again.has_value());
  M3_FUZZ_CHECK(again->to_string() == parsed->to_string());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_text<m3::AppId>(text);
  check_text<m3::ServiceId>(text);
  check_text<m3::WorldId>(text);
  check_text<m3::HostPort>(text);
  check_text<m3::ByteSize>(text);
  check_id(text);
  check_duration(text);
  check_trace(text);
  return 0;
}
