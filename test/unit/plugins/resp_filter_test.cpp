// SPDX-License-Identifier: BSL-1.0
#include "plugins/client/redis/resp_filter.h"

#include <string>
#include <vector>

#include "m3/testing/catch.h"

namespace {

using m3::RespFilter;

struct Filtered {
  bool good = true;
  std::string text;
  std::vector<std::size_t> dropped;
};

/// Fed in pieces of so many bytes.
Filtered filtered(std::string_view bytes, std::size_t most, std::size_t piece) {
  RespFilter filter(most);
  Filtered out;
  for (; out.good && !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size())))
    out.good = filter.feed(
        bytes.substr(0, piece), [&](std::string_view part) { out.text += part; },
        [&](std::size_t size) { out.dropped.push_back(size); });
  return out;
}

std::string message(std::string_view channel, std::string_view payload) {
  const auto bulk = [](std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
  };
  return "*3\r\n" + bulk("message") + bulk(channel) + bulk(payload);
}

}  // namespace

TEST_CASE("redis filter: values within the limit pass unchanged, however the bytes are split") {
  const std::string stream = "+OK\r\n:7\r\n$-1\r\n*2\r\n$0\r\n\r\n$4\r\n\r\n$9\r\n" +
                             message("news", "a line\r\n$99\r\nof its own") + "-ERR no\r\n";
  for (std::size_t piece : {1, 2, 3, 7, 1000}) {
    const Filtered out = filtered(stream, 30, piece);
    CHECK(out.good);
    CHECK(out.text == stream);
    CHECK(out.dropped.empty());
  }
}

TEST_CASE(
    "redis filter: a value over the limit becomes an empty one, and the next values are read") {
  const std::string large(1000, '$');
  for (std::size_t piece : {1, 5, 64, 10'000}) {
    const Filtered out = filtered(message("news", large) + message("news", "next"), 999, piece);
    CHECK(out.good);
    CHECK(out.text == message("news", "") + message("news", "next"));
    CHECK(out.dropped == std::vector<std::size_t>{1000});
  }
  CHECK(filtered(message("news", large), 1000, 64).dropped.empty());
}

TEST_CASE(
    "redis filter: a line without an end is refused, and an invalid size is left to hiredis") {
  const std::string line(RespFilter::kMostLine, 'x');
  CHECK(filtered("+" + line.substr(3) + "\r\n", 10, 4096).good);
  for (std::size_t piece : {100, 4096, 1'000'000})
    CHECK_FALSE(filtered("+" + line, 10, piece).good);
  for (const char* odd : {"$\r\n", "$x\r\n", "$5x\r\n", "$18446744073709551615\r\n", "$5\n", "\n"})
    CHECK(filtered(odd, 10, 1).text == odd);
}
