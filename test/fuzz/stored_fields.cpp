// SPDX-License-Identifier: BSL-1.0
// The bytes of a row, as a database gives them back.
#include <string_view>

#include "check.h"
#include "m3/plugin/rows.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  m3::StoredFields fields;
  if (!m3::split(message, fields)) return 0;
  std::size_t bytes = 0;
  std::uint32_t previous = 0;
  for (const m3::StoredField& field : fields) {
    M3_FUZZ_CHECK(field.number > previous);
    M3_FUZZ_CHECK(!field.bytes.empty());
    previous = field.number;
    bytes += field.bytes.size();
  }
  M3_FUZZ_CHECK(bytes == size);
  // What was joined is split in the same way.
  m3::StoredFields again;
  M3_FUZZ_CHECK(m3::split(m3::join(fields), again).is_ok());
  M3_FUZZ_CHECK(again == fields);
  return 0;
}
