// SPDX-License-Identifier: BSL-1.0
#include "m3/base/metadata.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "m3/base/cut_text.h"

namespace m3 {
namespace {

constexpr std::size_t kMaxKey = 256;
constexpr std::size_t kMostStatusText = 4096;  // of what a peer wrote; it goes into logs and errors

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_key(std::string_view stored, std::string_view asked) noexcept {
  return std::equal(stored.begin(), stored.end(), asked.begin(), asked.end(),
                    [](char a, char b) { return a == lower(b); });
}

std::string lowered(std::string_view key) {
  std::string out(key);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

Status bad_key() {
  return Status(Errc::invalid_argument,
                "a metadata key has 1 to 256 letters, digits, '-', '_' and '.', and nothing else");
}

Status too_many() {
  return Status(Errc::invalid_argument,
                "metadata has at most " + std::to_string(kMaxMetadataEntries) + " entries");
}

}  // namespace

MetadataStatus MetadataStatus::from(const Status& status) {
  MetadataStatus out;
  out.code = static_cast<std::uint32_t>(status.code());
  out.app_code = status.app_code();
  auto wait = status.retry_after().count();
  out.retry_after_ms = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(wait, 0, std::numeric_limits<std::uint32_t>::max()));
  out.text = status.text();
  out.owner = status.owner();
  return out;
}

Status MetadataStatus::to_status() const {
  if (code == 0) return m3::ok;
  Errc errc = errc_from_number(code);
  std::string said = cut_text(text, kMostStatusText);
  Status made = errc == Errc::moved ? Status::moved(std::string(text_start(owner, kMostStatusText)),
                                                    std::move(said))
                                    : Status(errc, std::move(said));
  return std::move(made).with_app_code(app_code).with_retry_after(
      std::chrono::milliseconds(retry_after_ms));
}

bool Metadata::empty() const noexcept {
  return actor_id.empty() && traceparent.empty() && call_chain.empty() && !status &&
         entries.empty();
}

void Metadata::clear() noexcept {
  actor_id.clear();
  traceparent.clear();
  call_chain.clear();
  status.reset();
  entries.clear();
}

const std::string* Metadata::find(std::string_view key) const noexcept {
  for (const Entry& entry : entries)
    if (same_key(entry.first, key)) return &entry.second;
  return nullptr;
}

Status Metadata::set(std::string_view key, std::string value) {
  if (!is_metadata_key(key)) return bad_key();
  erase(key);
  if (entries.size() >= kMaxMetadataEntries) return too_many();
  entries.emplace_back(lowered(key), std::move(value));
  return m3::ok;
}

Status Metadata::add(std::string_view key, std::string value) {
  if (!is_metadata_key(key)) return bad_key();
  if (entries.size() >= kMaxMetadataEntries) return too_many();
  entries.emplace_back(lowered(key), std::move(value));
  return m3::ok;
}

std::size_t Metadata::erase(std::string_view key) {
  return std::erase_if(entries, [&](const Entry& entry) { return same_key(entry.first, key); });
}

bool is_metadata_key(std::string_view key) noexcept {
  if (key.empty() || key.size() > kMaxKey) return false;
  return std::all_of(key.begin(), key.end(), [](char c) {
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

}  // namespace m3
