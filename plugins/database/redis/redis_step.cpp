// SPDX-License-Identifier: BSL-1.0
#include "plugins/database/redis/redis_step.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace m3::redis_detail {
namespace {

using Kind = RowRequest::Kind;

/// The script answers with the numbers of verdicts, and with this one.
constexpr std::int64_t kIndexFirst = 7;
static_assert(static_cast<int>(RowVerdict::done) == 0);
static_assert(static_cast<int>(RowVerdict::not_found) == 1);
static_assert(static_cast<int>(RowVerdict::already_exists) == 2);
static_assert(static_cast<int>(RowVerdict::version_differs) == 3);
static_assert(static_cast<int>(RowVerdict::owned) == 4);
static_assert(static_cast<int>(RowVerdict::held) == 5);
static_assert(static_cast<int>(RowVerdict::fenced) == 6);
static_assert(kFirstReserved == 19000 && kLastReserved == 19999);

constexpr std::string_view name_of(Kind kind) {
  constexpr std::array<std::string_view, 8> kNames{"read",     "create", "update", "erase",
                                                   "activate", "save",   "check",  "release"};
  return kNames[static_cast<std::size_t>(kind)];
}

constexpr std::size_t kMostDigits = 20;
constexpr std::size_t kHeadWords = 7;  // verdict, epoch, version, exists, app, generation, address

template <class Number>
bool read_number(const RedisReply& from, Number& out) {
  const std::string& text = from.text;
  if (from.type != RedisReply::Type::text || text.empty()) return false;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), out);
  return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

}  // namespace

// The first write of a step shows whether this server may write: one that has become a replica
// refuses it, and so does one that is full, unless it is an HDEL. So values are written before
// others are removed, and an answer that could be used as proof (fenced, held, check) begins with a
// write that does nothing.
const std::string_view kStepScript = R"lua(
local row = KEYS[1]
local kind, app, generation, address, epoch, version, over, flags = unpack(ARGV, 1, 8)
local h = redis.call('HMGET', row, '_e', '_v', '_x', '_o', '_g', '_a', '_i')
local e, v, x = h[1] or '0', h[2] or '0', h[3] == '1'
local o, g, a, indexed = h[4] or '', h[5] or '0', h[6] or '', h[7] == '1'

local function has(flag) return string.find(flags, flag, 1, true) ~= nil end

local function is_less(m, n)
  if #m ~= #n then return #m < #n end
  return m < n
end

local function next_of(n)
  local nines = #string.match(n, '9*$')
  local zeros = string.rep('0', nines)
  local at = #n - nines
  if at == 0 then return '1' .. zeros end
  return string.sub(n, 1, at - 1) .. string.char(string.byte(n, at) + 1) .. zeros
end

local function answer(verdict)
  return {verdict, e, v, x and '1' or '0', o, g, a}
end

local function prove(verdict)
  redis.call('HDEL', row, '')
  return answer(verdict)
end

local function in_parts(command, list)
  for i = 1, #list, 2000 do
    redis.call(command, row, unpack(list, i, math.min(i + 1999, #list)))
  end
end

local function is_reserved(name)
  local n = tonumber(name)
  return n and n >= 19000 and n <= 19999
end

local function with_fields()
  local out = answer(0)
  if #ARGV == 8 then
    local all = redis.call('HGETALL', row)
    for i = 1, #all, 2 do
      if tonumber(all[i]) and not is_reserved(all[i]) then
        out[#out + 1] = all[i]
        out[#out + 1] = all[i + 1]
      end
    end
    return out
  end
  for i = 9, #ARGV, 2000 do
    local values = redis.call('HMGET', row, unpack(ARGV, i, math.min(i + 1999, #ARGV)))
    for k = 1, #values do
      if values[k] then
        out[#out + 1] = ARGV[i + k - 1]
        out[#out + 1] = values[k]
      end
    end
  end
  return out
end

local function names_without(kept, out)
  for _, name in ipairs(redis.call('HKEYS', row)) do
    local is_entity = string.byte(name) ~= 95 and not is_reserved(name)
    if is_entity and not kept[name] then out[#out + 1] = name end
  end
  return out
end

if kind == 'read' then
  if not x then return answer(1) end
  return with_fields()
end

if kind == 'activate' then
  if has('m') and not x then return prove(1) end
  if o ~= app or g ~= generation then
    local is_free = o == ''
    local is_earlier_me = o == app and is_less(g, generation)
    local is_stolen = over ~= '' and over == e
    if not (is_free or is_earlier_me or is_stolen) then return prove(5) end
    o, g, e = app, generation, next_of(e)
  end
  a = address
  redis.call('HSET', row, '_e', e, '_o', o, '_g', g, '_a', a)
  return with_fields()
end

if kind == 'save' or kind == 'check' or kind == 'release' then
  if o ~= app or g ~= generation or e ~= epoch then return prove(6) end
  if kind == 'check' then return prove(0) end
  if kind == 'release' then
    o, g, a = '', '0', ''
    redis.call('HDEL', row, '_o', '_g', '_a')
    return answer(0)
  end
  if version ~= v then return prove(3) end
  x = has('x')
else
  if e ~= '0' then return prove(4) end
  if kind == 'create' and x then return prove(2) end
  if kind ~= 'create' and not x then return prove(1) end
  if version ~= '' and version ~= v then return prove(3) end
  x = kind ~= 'erase'
end

if x and not indexed and not has('i') then return {7} end
v = next_of(v)
local kept, set, gone = {}, {'_v', v, '_x', x and '1' or '0'}, {}
if x then
  set[#set + 1] = '_i'
  set[#set + 1] = '1'
end
for i = 9, #ARGV, 2 do
  if x or is_reserved(ARGV[i]) then
    if ARGV[i + 1] ~= '' then
      kept[ARGV[i]] = true
      set[#set + 1] = ARGV[i]
      set[#set + 1] = ARGV[i + 1]
    else
      gone[#gone + 1] = ARGV[i]
    end
  end
end
if has('w') or not x then names_without(kept, gone) end
if not x then
  in_parts('HDEL', gone)
  in_parts('HSET', set)
  return answer(0)
end
in_parts('HSET', set)
in_parts('HDEL', gone)
return answer(0)
)lua";

std::string row_key(std::string_view prefix, std::string_view table, std::string_view key) {
  std::string out;
  out.reserve(prefix.size() + table.size() + key.size() + 3);
  out.append(prefix).append("{").append(table).append(":").append(key).append("}");
  return out;
}

std::string index_key(std::string_view prefix, std::string_view table) {
  std::string out(prefix);
  out.append("{").append(table).append("}:keys");
  return out;
}

StepCall::StepCall(std::string_view prefix, const RowRequest& request)
    : row_(row_key(prefix, request.table, request.key)) {
  std::vector<std::uint32_t> select = request.select;
  std::sort(select.begin(), select.end());
  select.erase(std::unique(select.begin(), select.end()), select.end());
  const std::size_t numbers = 4 + request.fields.size() + select.size();
  digits_.reserve(numbers * kMostDigits);
  flags_.reserve(4);
  if (request.whole || request.kind == Kind::create) flags_.push_back('w');
  if (request.exists) flags_.push_back('x');
  if (request.must_exist) flags_.push_back('m');
  words_.reserve(12 + select.size() + 2 * request.fields.size());
  words_ = {"EVALSHA",
            "",
            "1",
            row_,
            name_of(request.kind),
            request.owner.app,
            number(request.owner.generation),
            request.owner.address,
            number(request.epoch),
            request.version ? number(*request.version) : std::string_view(),
            request.over ? number(*request.over) : std::string_view(),
            flags_};
  if (request.reads_fields())
    for (const std::uint32_t field : select) words_.push_back(number(field));
  else if (request.writes())
    for (const StoredField& field : request.fields) {
      words_.push_back(number(field.number));
      words_.push_back(field.bytes);
    }
}

std::string_view StepCall::number(std::uint64_t value) {
  std::array<char, kMostDigits> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  const std::size_t at = digits_.size();
  digits_.append(text.data(), end);
  return std::string_view(digits_).substr(at);
}

void StepCall::set_indexed() {
  flags_.push_back('i');
  words_[11] = flags_;
}

std::span<const std::string_view> StepCall::words(std::string_view sha) {
  words_[1] = sha;
  return words_;
}

Result<StepReply> read_step_reply(const RowRequest& request, RedisReply reply) {
  const auto unreadable = [&request](const std::string& what) {
    return Status(Errc::data_loss,
                  request.table + " '" + request.key + "': what is stored is not a row: " + what);
  };
  std::vector<RedisReply>& words = reply.array;
  const bool has_verdict = !words.empty() && words[0].type == RedisReply::Type::integer;
  if (!has_verdict) return unreadable("no verdict");
  StepReply out;
  const std::int64_t verdict = words[0].integer;
  if (verdict == kIndexFirst) {
    out.index_first = true;
    return out;
  }
  if (verdict < 0 || verdict > kIndexFirst || words.size() < kHeadWords)
    return unreadable("an unknown verdict");
  out.answer.verdict = static_cast<RowVerdict>(verdict);
  RowHead& head = out.answer.head;
  if (!read_number(words[1], head.epoch)) return unreadable("epoch '" + words[1].text + "'");
  if (!read_number(words[2], head.version)) return unreadable("version '" + words[2].text + "'");
  head.exists = words[3].text == "1";
  head.owner.app = std::move(words[4].text);
  if (!read_number(words[5], head.owner.generation))
    return unreadable("generation '" + words[5].text + "'");
  head.owner.address = std::move(words[6].text);
  StoredFields& fields = out.answer.fields;
  fields.reserve((words.size() - kHeadWords) / 2);
  for (std::size_t i = kHeadWords; i + 1 < words.size(); i += 2) {
    StoredField field;
    if (!read_number(words[i], field.number) || field.number == 0)
      return unreadable("field '" + words[i].text + "'");
    field.bytes = std::move(words[i + 1].text);
    fields.push_back(std::move(field));
  }
  std::sort(fields.begin(), fields.end(),
            [](const StoredField& a, const StoredField& b) { return a.number < b.number; });
  return out;
}

}  // namespace m3::redis_detail
