// SPDX-License-Identifier: BSL-1.0
// Byte 0 is the limit of a value, byte 1 the size of the pieces: what comes out does not depend on
// the pieces, is never longer than what came in, and is the same when nothing was dropped.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "check.h"
#include "plugins/client/redis/resp_filter.h"

namespace {

struct Filtered {
  bool good = true;
  std::string text;
  int dropped = 0;
};

Filtered filtered(std::string_view bytes, std::size_t most, std::size_t piece) {
  m3::RespFilter filter(most);
  Filtered out;
  for (; out.good && !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size())))
    out.good = filter.feed(
        bytes.substr(0, piece), [&](std::string_view part) { out.text += part; },
        [&](std::size_t size) {
          M3_FUZZ_CHECK(size > most);
          ++out.dropped;
        });
  return out;
}

/// An unfinished line waits inside.
bool begins_with_all_but_a_line(std::string_view whole, std::string_view text) {
  return whole.starts_with(text) && whole.find('\n', text.size()) == whole.npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Filtered whole = filtered(bytes, data[0], bytes.size() + 1);
  const Filtered pieces = filtered(bytes, data[0], data[1] % 16u + 1u);
  M3_FUZZ_CHECK(whole.good == pieces.good && whole.text == pieces.text);
  M3_FUZZ_CHECK(whole.dropped == pieces.dropped);
  if (whole.good && whole.dropped == 0)
    M3_FUZZ_CHECK(begins_with_all_but_a_line(bytes, whole.text));
  return 0;
}
