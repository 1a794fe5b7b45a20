// SPDX-License-Identifier: BSL-1.0
#include "m3/wire/metadata_codec.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

namespace m3 {
namespace {

constexpr std::uint32_t varint_tag(std::uint32_t field) { return field << 3; }
constexpr std::uint32_t bytes_tag(std::uint32_t field) { return field << 3 | 2; }

// The fields of wire.proto. All tags are one byte.
constexpr std::uint32_t kActorId = bytes_tag(4), kStatus = bytes_tag(5),
                        kTraceparent = bytes_tag(6), kCallChain = bytes_tag(8),
                        kEntry = bytes_tag(9);
constexpr std::uint32_t kCode = varint_tag(1), kAppCode = varint_tag(2),
                        kRetryAfter = varint_tag(3), kText = bytes_tag(4), kOwner = bytes_tag(5);
constexpr std::uint32_t kKey = bytes_tag(1), kValue = bytes_tag(2);

// ---- writing

std::size_t varint_size(std::uint64_t value) {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) * 9 + 64) / 64;
}
std::size_t bytes_size(std::size_t size) { return 1 + varint_size(size) + size; }
std::size_t optional_size(std::string_view text) {
  return text.empty() ? 0 : bytes_size(text.size());
}
std::size_t optional_size(std::uint64_t value) { return value == 0 ? 0 : 1 + varint_size(value); }

// protobuf widens an enum to 64 bits with its sign.
std::uint64_t wire_code(std::uint32_t code) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int32_t>(code)));
}
std::uint32_t zigzag(std::int32_t value) {
  return static_cast<std::uint32_t>(value) << 1 ^ static_cast<std::uint32_t>(value >> 31);
}
std::int32_t unzigzag(std::uint32_t value) {
  return static_cast<std::int32_t>(value >> 1 ^ (0 - (value & 1)));
}

std::size_t inner_size(const MetadataStatus& status) {
  return optional_size(wire_code(status.code)) + optional_size(zigzag(status.app_code)) +
         optional_size(std::uint64_t{status.retry_after_ms}) + optional_size(status.text) +
         optional_size(status.owner);
}
std::size_t inner_size(const Metadata::Entry& entry) {
  return optional_size(entry.first) + optional_size(entry.second);
}

char* put_varint(char* to, std::uint64_t value) {
  while (value >= 0x80) {
    *to++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<char>(value);
  return to;
}
char* put_head(char* to, std::uint32_t tag, std::size_t size) {
  *to++ = static_cast<char>(tag);
  return put_varint(to, size);
}
char* put_bytes(char* to, std::uint32_t tag, std::string_view text) {
  to = put_head(to, tag, text.size());
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}
char* put_optional(char* to, std::uint32_t tag, std::string_view text) {
  return text.empty() ? to : put_bytes(to, tag, text);
}
char* put_optional(char* to, std::uint32_t tag, std::uint64_t value) {
  if (value == 0) return to;
  *to++ = static_cast<char>(tag);
  return put_varint(to, value);
}
char* put(char* to, const MetadataStatus& status) {
  to = put_head(to, kStatus, inner_size(status));
  to = put_optional(to, kCode, wire_code(status.code));
  to = put_optional(to, kAppCode, zigzag(status.app_code));
  to = put_optional(to, kRetryAfter, std::uint64_t{status.retry_after_ms});
  to = put_optional(to, kText, status.text);
  return put_optional(to, kOwner, status.owner);
}
char* put(char* to, const Metadata::Entry& entry) {
  to = put_head(to, kEntry, inner_size(entry));
  to = put_optional(to, kKey, entry.first);
  return put_optional(to, kValue, entry.second);
}

// ---- reading

constexpr int kMaxDepth = 100;  // protobuf's own, for sub-messages and groups

/// The bytes of one message. Each reading member returns false when they are malformed.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool done() const { return at_ == end_; }

  /// Five bytes at most; what does not fit into 32 bits falls off, as in protobuf.
  bool tag(std::uint32_t& out) {
    std::uint64_t value = 0;
    if (!varint(value, 5)) return false;
    out = static_cast<std::uint32_t>(value);
    return out >> 3 != 0;
  }
  bool varint(std::uint64_t& out, int most = 10) {
    out = 0;
    for (int i = 0; i < most && at_ != end_; ++i) {
      const auto byte = static_cast<std::uint8_t>(*at_++);
      out |= std::uint64_t{byte & 0x7fu} << (7 * i);  // of the tenth, one bit counts
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool bytes(std::string_view& out) {
    std::uint64_t size = 0;
    if (!varint(size, 5) || size > static_cast<std::size_t>(end_ - at_)) return false;
    out = std::string_view(at_, size);
    at_ += size;
    return true;
  }
  bool bytes(std::string& out) {
    std::string_view view;
    if (!bytes(view)) return false;
    out.assign(view);
    return true;
  }

  /// The value after an unknown tag.
  bool skip(std::uint32_t tag, int depth) {
    std::uint64_t ignored = 0;
    std::string_view view;
    switch (tag & 7) {
      case 0:
        return varint(ignored);
      case 1:
        return advance(8);
      case 2:
        return bytes(view);
      case 3:
        return skip_group(tag, depth - 1);
      case 5:
        return advance(4);
      default:
        return false;
    }
  }

 private:
  bool advance(std::ptrdiff_t count) {
    if (end_ - at_ < count) return false;
    at_ += count;
    return true;
  }
  bool skip_group(std::uint32_t start, int depth) {
    if (depth < 0) return false;
    while (true) {
      std::uint32_t inner = 0;
      if (!tag(inner)) return false;
      if ((inner & 7) == 4) return inner == start + 1;
      if (!skip(inner, depth)) return false;
    }
  }

  const char* at_;
  const char* end_;
};

bool read(std::string_view bytes, MetadataStatus& out) {
  Reader in(bytes);
  while (!in.done()) {
    std::uint32_t tag = 0;
    std::uint64_t number = 0;
    if (!in.tag(tag)) return false;
    bool good = true;
    switch (tag) {
      case kCode:
        good = in.varint(number);
        out.code = static_cast<std::uint32_t>(number);
        break;
      case kAppCode:
        good = in.varint(number);
        out.app_code = unzigzag(static_cast<std::uint32_t>(number));
        break;
      case kRetryAfter:
        good = in.varint(number);
        out.retry_after_ms = static_cast<std::uint32_t>(number);
        break;
      case kText:
        good = in.bytes(out.text);
        break;
      case kOwner:
        good = in.bytes(out.owner);
        break;
      default:
        good = in.skip(tag, kMaxDepth - 1);
    }
    if (!good) return false;
  }
  return true;
}

bool read(std::string_view bytes, Metadata::Entry& out) {
  out.first.clear();
  out.second.clear();
  Reader in(bytes);
  while (!in.done()) {
    std::uint32_t tag = 0;
    if (!in.tag(tag)) return false;
    bool good = true;
    switch (tag) {
      case kKey:
        good = in.bytes(out.first);
        break;
      case kValue:
        good = in.bytes(out.second);
        break;
      default:
        good = in.skip(tag, kMaxDepth - 1);
    }
    if (!good) return false;
  }
  return true;
}

bool good_key(std::string_view key) {
  if (!is_metadata_key(key)) return false;
  for (char c : key)
    if (c >= 'A' && c <= 'Z') return false;
  return true;
}

/// Fills a Metadata anew over its old strings.
class Filler {
 public:
  explicit Filler(Metadata& out) : out_(out) {
    out.actor_id.clear();
    out.traceparent.clear();
    out.status.reset();
  }

  /// nullptr, or what is wrong.
  const char* fill(std::string_view bytes) {
    Reader in(bytes);
    while (!in.done()) {
      std::uint32_t tag = 0;
      if (!in.tag(tag)) return kMalformed;
      if (const char* wrong = field(in, tag)) return wrong;
    }
    out_.call_chain.resize(chain_);
    out_.entries.resize(entries_);
    return nullptr;
  }

 private:
  static constexpr const char* kMalformed = "it is not a valid m3.wire.Metadata";

  static const char* check(bool good) { return good ? nullptr : kMalformed; }

  const char* field(Reader& in, std::uint32_t tag) {
    switch (tag) {
      case kActorId:
        return check(in.bytes(out_.actor_id));
      case kStatus:
        return status(in);
      case kTraceparent:
        return check(in.bytes(out_.traceparent));
      case kCallChain:
        return link(in);
      case kEntry:
        return entry(in);
      default:
        return check(in.skip(tag, kMaxDepth));
    }
  }
  const char* status(Reader& in) {
    std::string_view inner;
    if (!in.bytes(inner)) return kMalformed;
    if (!out_.status) out_.status.emplace();
    return check(read(inner, *out_.status));  // a second one is merged into the first
  }
  const char* link(Reader& in) {
    if (chain_ == kMaxCallChain) return "more than 32 calls in the chain";
    if (chain_ == out_.call_chain.size()) out_.call_chain.emplace_back();
    return check(in.bytes(out_.call_chain[chain_++]));
  }
  const char* entry(Reader& in) {
    if (entries_ == kMaxMetadataEntries) return "more than 128 entries";
    if (entries_ == out_.entries.size()) out_.entries.emplace_back();
    Metadata::Entry& slot = out_.entries[entries_++];
    std::string_view inner;
    if (!in.bytes(inner) || !read(inner, slot)) return kMalformed;
    return good_key(slot.first) ? nullptr : "a key is not 1 to 256 of a-z, 0-9, '-', '_' and '.'";
  }

  Metadata& out_;
  std::size_t chain_ = 0;
  std::size_t entries_ = 0;
};

}  // namespace

std::size_t encoded_metadata_size(const Metadata& metadata) noexcept {
  std::size_t size = optional_size(metadata.actor_id) + optional_size(metadata.traceparent);
  if (metadata.status) size += bytes_size(inner_size(*metadata.status));
  for (const std::string& link : metadata.call_chain) size += bytes_size(link.size());
  for (const Metadata::Entry& entry : metadata.entries) size += bytes_size(inner_size(entry));
  return size;
}

char* encode_metadata(const Metadata& metadata, char* to) noexcept {
  to = put_optional(to, kActorId, metadata.actor_id);
  if (metadata.status) to = put(to, *metadata.status);
  to = put_optional(to, kTraceparent, metadata.traceparent);
  for (const std::string& link : metadata.call_chain) to = put_bytes(to, kCallChain, link);
  for (const Metadata::Entry& entry : metadata.entries) to = put(to, entry);
  return to;
}

Status decode_metadata(std::string_view bytes, Metadata& out) {
  const char* wrong = Filler(out).fill(bytes);
  if (wrong == nullptr) return {};
  out.clear();
  return Status(Errc::invalid_argument, std::string("bad metadata: ") + wrong);
}

}  // namespace m3
