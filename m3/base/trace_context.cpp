// SPDX-License-Identifier: BSL-1.0
#include "m3/base/trace_context.h"

#include <span>

namespace m3 {
namespace {

constexpr char kHex[] = "0123456789abcdef";

/// Lower-case hex only, as the standard says; -1 for anything else.
int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool read_hex(std::string_view text, std::span<std::uint8_t> out) noexcept {
  for (std::size_t i = 0; i < out.size(); ++i) {
    int high = hex_value(text[2 * i]);
    int low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

char* write_hex(std::span<const std::uint8_t> bytes, char* out) noexcept {
  for (std::uint8_t byte : bytes) {
    *out++ = kHex[byte >> 4];
    *out++ = kHex[byte & 15];
  }
  return out;
}

bool any(std::span<const std::uint8_t> bytes) noexcept {
  for (std::uint8_t byte : bytes)
    if (byte != 0) return true;
  return false;
}

}  // namespace

std::optional<TraceContext> TraceContext::parse(std::string_view text) noexcept {
  if (text.size() < kTextSize || text[2] != '-' || text[35] != '-' || text[52] != '-')
    return std::nullopt;
  std::array<std::uint8_t, 1> version{};
  std::array<std::uint8_t, 1> flag_byte{};
  TraceContext context;
  if (!read_hex(text, version) || version[0] == 0xff) return std::nullopt;
  if (text.size() > kTextSize && (version[0] == 0 || text[kTextSize] != '-')) return std::nullopt;
  if (!read_hex(text.substr(3), context.trace_id) || !read_hex(text.substr(36), context.span_id) ||
      !read_hex(text.substr(53), flag_byte))
    return std::nullopt;
  context.flags = flag_byte[0];
  if (!context.valid()) return std::nullopt;
  return context;
}

bool TraceContext::valid() const noexcept { return any(trace_id) && any(span_id); }

TraceContext::Text TraceContext::text() const noexcept {
  Text out{'0', '0', '-'};
  char* at = write_hex(trace_id, out.data() + 3);
  *at++ = '-';
  at = write_hex(span_id, at);
  *at++ = '-';
  write_hex(std::array<std::uint8_t, 1>{flags}, at);
  return out;
}

std::array<char, 32> TraceContext::trace_id_text() const noexcept {
  std::array<char, 32> out{};
  write_hex(trace_id, out.data());
  return out;
}

std::array<char, 16> TraceContext::span_id_text() const noexcept {
  std::array<char, 16> out{};
  write_hex(span_id, out.data());
  return out;
}

std::string TraceContext::to_string() const {
  Text out = text();
  return std::string(out.data(), out.size());
}

}  // namespace m3
