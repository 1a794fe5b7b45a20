// SPDX-License-Identifier: BSL-1.0
// What a client sends to an HTTP server. Cut anywhere, the same requests come out, within the
// limits; what was read is written and read again as the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "m3/http/http_codec.h"

namespace {

using m3::HttpRequestReader;
using State = HttpRequestReader::State;

m3::HttpSizes sizes() {
  m3::HttpSizes out;
  out.max_header_bytes = 1024;
  out.max_body_bytes = 512;
  return out;
}

std::string text_of(const m3::HttpRequest& request) {
  std::string out = request.method + "|" + request.path;
  for (const auto& [name, value] : request.query) out += "|" + name + "=" + value;
  for (const auto& [name, value] : request.headers) out += "|" + name + ": " + value;
  return out + "|" + request.body;
}

void check(const m3::HttpRequest& request) {
  M3_FUZZ_CHECK(request.body.size() <= sizes().max_body_bytes);
  M3_FUZZ_CHECK(request.path.starts_with('/'));
  for (const char c : request.path) M3_FUZZ_CHECK(static_cast<unsigned char>(c) >= 0x20);
  for (const auto& [name, value] : request.headers) {
    M3_FUZZ_CHECK(!name.empty());
    M3_FUZZ_CHECK((name + value).find_first_of("\r\n") == std::string::npos);
  }
  m3::HttpRequest again;
  M3_FUZZ_CHECK(m3::parse_target(request.target(), again.path, again.query).is_ok());
  M3_FUZZ_CHECK(again.path == request.path);
  M3_FUZZ_CHECK(again.query == request.query);
}

/// All requests of a connection whose bytes come in pieces, and how it ended.
struct Read {
  std::vector<std::string> requests;
  int refused = 0;
};

Read read_all(std::string_view bytes, std::size_t step) {
  Read out;
  std::string kept;
  HttpRequestReader reader(sizes());
  for (std::size_t at = 0; at < bytes.size() && out.refused == 0;) {
    const std::string_view piece = bytes.substr(at, step);
    at += piece.size();
    kept += piece;
    for (;;) {
      const std::size_t taken = reader.feed(kept);
      M3_FUZZ_CHECK(taken <= kept.size());
      kept.erase(0, taken);
      if (reader.state() != State::complete) break;
      const m3::HttpRequest request = reader.take();
      check(request);
      out.requests.push_back(text_of(request) + (reader.keep_alive() ? "|keep" : "|close"));
      reader = HttpRequestReader(sizes());
    }
    if (reader.state() == State::failed) out.refused = reader.error().status;
    M3_FUZZ_CHECK(out.refused != 0 || kept.size() <= sizes().max_header_bytes);
  }
  M3_FUZZ_CHECK(out.refused == 0 || (out.refused >= 400 && out.refused <= 505));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Read whole = read_all(bytes, size + 1);
  const Read parts = read_all(bytes, 1 + size % 7);
  M3_FUZZ_CHECK(parts.requests == whole.requests);
  // What is wrong in a header that is not whole yet may show later.
  M3_FUZZ_CHECK(parts.refused == 0 || whole.refused != 0);
  return 0;
}
