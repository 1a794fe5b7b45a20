// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/rows.h"

#include <algorithm>
#include <utility>

namespace m3 {
namespace {

using Kind = RowRequest::Kind;

bool is_reserved(std::uint32_t number) noexcept {
  return number >= kFirstReserved && number <= kLastReserved;
}

Status bad(std::string text) { return Status(Errc::invalid_argument, std::move(text)); }

/// For a row that never had an owner.
RowVerdict judge_open(const RowRequest& request, RowHead& head) {
  if (head.epoch > 0) return RowVerdict::owned;
  const bool creates = request.kind == Kind::create;
  if (creates && head.exists) return RowVerdict::already_exists;
  if (!creates && !head.exists) return RowVerdict::not_found;
  if (request.version && *request.version != head.version) return RowVerdict::version_differs;
  head.exists = request.kind != Kind::erase;
  ++head.version;
  return RowVerdict::done;
}

RowVerdict judge_activate(const RowRequest& request, RowHead& head) {
  if (request.must_exist && !head.exists) return RowVerdict::not_found;
  const RowOwner& me = request.owner;
  if (head.owner.is(me)) {  // repeated, because the answer was lost
    head.owner.address = me.address;
    return RowVerdict::done;
  }
  const bool is_free = head.owner.empty();
  const bool is_earlier_me = head.owner.app == me.app && head.owner.generation < me.generation;
  const bool is_stolen = request.over && *request.over == head.epoch;
  if (!is_free && !is_earlier_me && !is_stolen) return RowVerdict::held;
  head.owner = me;
  ++head.epoch;
  return RowVerdict::done;
}

RowVerdict judge_owned(const RowRequest& request, RowHead& head) {
  if (!head.owner.is(request.owner) || head.epoch != request.epoch) return RowVerdict::fenced;
  switch (request.kind) {
    case Kind::release:
      head.owner = {};
      return RowVerdict::done;
    case Kind::save:
      if (*request.version != head.version) return RowVerdict::version_differs;
      head.exists = request.exists;
      ++head.version;
      return RowVerdict::done;
    default:
      return RowVerdict::done;
  }
}

/// Removes the next varint from `bytes`; false: there is none.
bool take_varint(std::string_view& bytes, std::uint64_t& value) noexcept {
  value = 0;
  for (unsigned i = 0; i < 10 && i < bytes.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    value |= std::uint64_t{byte & 0x7fu} << (7 * i);
    if (byte & 0x80u) continue;
    bytes.remove_prefix(i + 1);
    return true;
  }
  return false;
}

bool skip(std::string_view& bytes, std::uint64_t count) noexcept {
  if (count > bytes.size()) return false;
  bytes.remove_prefix(static_cast<std::size_t>(count));
  return true;
}

/// Past the value of a field without fields of its own.
bool skip_plain(std::string_view& bytes, unsigned wire_type) noexcept {
  std::uint64_t number = 0;
  switch (wire_type) {
    case 0:
      return take_varint(bytes, number);
    case 1:
      return skip(bytes, 8);
    case 2:
      return take_varint(bytes, number) && skip(bytes, number);
    case 5:
      return skip(bytes, 4);
    default:
      return false;
  }
}

bool take_tag(std::string_view& bytes, std::uint32_t& number, unsigned& wire_type) noexcept {
  std::uint64_t tag = 0;
  if (!take_varint(bytes, tag) || tag > UINT32_MAX || tag >> 3 == 0) return false;
  number = static_cast<std::uint32_t>(tag >> 3);
  wire_type = static_cast<unsigned>(tag & 7u);
  return true;
}

/// Past the value of a field; a group (proto2) ends at its own end tag.
bool skip_value(std::string_view& bytes, std::uint32_t number, unsigned wire_type) {
  constexpr unsigned kBegin = 3, kEnd = 4;
  if (wire_type != kBegin) return skip_plain(bytes, wire_type);
  std::vector<std::uint32_t> open{number};
  while (!open.empty()) {
    if (!take_tag(bytes, number, wire_type)) return false;
    if (wire_type == kBegin) {
      open.push_back(number);
    } else if (wire_type == kEnd) {
      if (open.back() != number) return false;
      open.pop_back();
    } else if (!skip_plain(bytes, wire_type)) {
      return false;
    }
  }
  return true;
}

/// Whether these are the bytes of that field and no other, once or several times.
bool is_field(std::uint32_t number, std::string_view bytes) {
  while (!bytes.empty()) {
    std::uint32_t found = 0;
    unsigned wire_type = 0;
    if (!take_tag(bytes, found, wire_type) || found != number) return false;
    if (!skip_value(bytes, found, wire_type)) return false;
  }
  return true;
}

bool has(const StoredFields& fields, std::uint32_t number) {
  return std::binary_search(
      fields.begin(), fields.end(), StoredField{number, {}},
      [](const StoredField& a, const StoredField& b) { return a.number < b.number; });
}

StoredFields::iterator place_of(StoredFields& fields, std::uint32_t number) {
  return std::lower_bound(fields.begin(), fields.end(), number,
                          [](const StoredField& f, std::uint32_t n) { return f.number < n; });
}

}  // namespace

std::string RowOwner::to_string() const {
  if (empty()) return "nobody";
  return app + "#" + std::to_string(generation) + "@" + address;
}

std::string_view row_verdict_name(RowVerdict verdict) noexcept {
  constexpr std::string_view kNames[] = {"done",  "not_found", "already_exists", "version_differs",
                                         "owned", "held",      "fenced"};
  return kNames[static_cast<std::size_t>(verdict)];
}

Status check_request(const RowRequest& request) {
  if (!is_table_name(request.table))
    return bad("'" + request.table +
               "' is not the name of a table: 1 to 64 lower-case letters, digits and '_'");
  if (request.key.empty()) return bad("the key of a row of " + request.table + " is empty");
  if (request.key.size() > kLongestKey)
    return bad("a key of " + std::to_string(request.key.size()) + " bytes: at most " +
               std::to_string(kLongestKey));
  if (request.key.find('\0') != std::string::npos) return bad("a key with a NUL byte");
  std::uint32_t previous = 0;
  std::size_t bytes = 0;
  for (const StoredField& field : request.fields) {
    if (field.number <= previous) return bad("the fields of a row are not in ascending order");
    if (is_reserved(field.number) && request.kind != Kind::save)
      return bad("field " + std::to_string(field.number) +
                 " can only be written by the row's owner");
    if (!is_field(field.number, field.bytes))
      return bad("the bytes of field " + std::to_string(field.number) +
                 " are not what protobuf writes of it, with its tag");
    previous = field.number;
    bytes += field.bytes.size();
  }
  if (bytes > kLargestRow)
    return bad("an entity of " + std::to_string(bytes) + " bytes: at most " +
               std::to_string(kLargestRow));
  const bool owned = request.kind >= Kind::activate;
  if (owned && request.owner.empty()) return bad("the request has no owner");
  if (request.kind == Kind::save && !request.version) return bad("a save needs the row's version");
  return ok;
}

RowVerdict judge(const RowRequest& request, RowHead& head) {
  switch (request.kind) {
    case Kind::read:
      return head.exists ? RowVerdict::done : RowVerdict::not_found;
    case Kind::create:
    case Kind::update:
    case Kind::erase:
      return judge_open(request, head);
    case Kind::activate:
      return judge_activate(request, head);
    case Kind::save:
    case Kind::check:
    case Kind::release:
      break;
  }
  return judge_owned(request, head);
}

Status apply(const RowRequest& request, StoredFields& fields) {
  if (request.kind == Kind::activate || request.kind == Kind::release || !request.writes())
    return ok;
  const bool gone = request.kind == Kind::erase || (request.kind == Kind::save && !request.exists);
  // A row without an entity may have fields from before it was erased: none of them is restored.
  // What is the row's own, and not the entity's, stays.
  const bool clears = gone || request.whole || request.kind == Kind::create;
  const auto is_written = [&](std::uint32_t number) { return !gone || is_reserved(number); };
  std::size_t bytes = 0;
  for (const StoredField& field : request.fields)
    if (is_written(field.number)) bytes += field.bytes.size();
  for (const StoredField& field : fields) {
    const bool stays = !clears || is_reserved(field.number);
    if (stays && !has(request.fields, field.number)) bytes += field.bytes.size();
  }
  if (bytes > kLargestRow)
    return bad(request.table + " '" + request.key + "' would grow to " + std::to_string(bytes) +
               " bytes: at most " + std::to_string(kLargestRow))
        .not_executed();
  if (clears)
    std::erase_if(fields, [](const StoredField& field) { return !is_reserved(field.number); });
  for (const StoredField& field : request.fields) {
    if (!is_written(field.number)) continue;
    const auto at = place_of(fields, field.number);
    const bool found = at != fields.end() && at->number == field.number;
    if (field.bytes.empty()) {
      if (found) fields.erase(at);
    } else if (found) {
      at->bytes = field.bytes;
    } else {
      fields.insert(at, field);
    }
  }
  return ok;
}

StoredFields selected(const StoredFields& fields, const std::vector<std::uint32_t>& select) {
  StoredFields out;
  for (const StoredField& field : fields) {
    const bool wanted = select.empty()
                            ? !is_reserved(field.number)
                            : std::find(select.begin(), select.end(), field.number) != select.end();
    if (wanted) out.push_back(field);
  }
  return out;
}

std::string join(const StoredFields& fields) {
  std::size_t bytes = 0;
  for (const StoredField& field : fields) bytes += field.bytes.size();
  std::string out;
  out.reserve(bytes);
  for (const StoredField& field : fields) out += field.bytes;
  return out;
}

Status split(std::string_view message, StoredFields& fields) {
  fields.clear();
  std::vector<std::pair<std::uint32_t, std::string_view>> parts;
  for (std::string_view rest = message; !rest.empty();) {
    const std::string_view from = rest;
    std::uint32_t number = 0;
    unsigned wire_type = 0;
    if (!take_tag(rest, number, wire_type) || !skip_value(rest, number, wire_type))
      return Status(Errc::data_loss, "the stored bytes are not a message: a bad field at byte " +
                                         std::to_string(message.size() - from.size()));
    parts.emplace_back(number, from.substr(0, from.size() - rest.size()));
  }
  // Nearly always in order already; what belongs to one number stays in its order.
  const auto in_order = [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second.data() < b.second.data();
  };
  if (!std::is_sorted(parts.begin(), parts.end(), in_order))
    std::sort(parts.begin(), parts.end(), in_order);
  for (const auto& [number, bytes] : parts) {
    if (fields.empty() || fields.back().number != number) fields.push_back({number, {}});
    fields.back().bytes += bytes;
  }
  return ok;
}

}  // namespace m3
