// SPDX-License-Identifier: BSL-1.0
#include "plugins/broker/nats/nats_protocol.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>

namespace m3 {
namespace {

constexpr std::string_view kEnd = "\r\n";
bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Removes the next word from `text` and returns it.
std::string_view take_word(std::string_view& text) {
  std::size_t begin = 0;
  while (begin < text.size() && is_blank(text[begin])) ++begin;
  std::size_t end = begin;
  while (end < text.size() && !is_blank(text[end])) ++end;
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

bool same_word(std::string_view word, std::string_view upper) {
  if (word == upper) return true;  // as servers write it
  return std::equal(word.begin(), word.end(), upper.begin(), upper.end(), [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) == b;
  });
}

bool to_number(std::string_view word, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
  return error == std::errc() && end == word.data() + word.size() && !word.empty();
}

}  // namespace

bool NatsReader::fail(std::string_view why) {
  status_ = Status(Errc::invalid_argument, "nats: " + std::string(why));
  return false;
}

bool NatsReader::next(NatsOp& op) {
  if (failed()) return false;
  needed_ = 0;
  const std::size_t end = bytes_.find(kEnd, at_);
  if (end == std::string_view::npos || end - at_ > kMostLine) {
    const std::size_t line = std::min(end, bytes_.size()) - at_;
    return line > kMostLine ? fail("a line of more than 256 KiB") : false;
  }
  const std::size_t body_at = end + kEnd.size();
  std::string_view line = bytes_.substr(at_, end - at_);
  const std::string_view word = take_word(line);
  op = NatsOp();
  if (same_word(word, "MSG")) return message(line, false, body_at, op);
  if (same_word(word, "HMSG")) return message(line, true, body_at, op);
  op.text = trimmed(line);
  if (same_word(word, "PING")) {
    op.kind = NatsOp::Kind::ping;
  } else if (same_word(word, "PONG")) {
    op.kind = NatsOp::Kind::pong;
  } else if (same_word(word, "+OK")) {
    op.kind = NatsOp::Kind::ok;
  } else if (same_word(word, "INFO")) {
    op.kind = NatsOp::Kind::info;
  } else if (same_word(word, "-ERR")) {
    op.kind = NatsOp::Kind::err;
    if (op.text.size() >= 2 && op.text.front() == '\'' && op.text.back() == '\'')
      op.text = op.text.substr(1, op.text.size() - 2);
  } else {
    return fail("unknown operation: \"" + std::string(word.substr(0, 32)) + "\"");
  }
  at_ = body_at;
  return true;
}

/// MSG subject sid [reply-to] bytes; HMSG subject sid [reply-to] header-bytes bytes.
bool NatsReader::message(std::string_view line, bool has_headers, std::size_t body_at, NatsOp& op) {
  std::array<std::string_view, 6> words;
  std::size_t count = 0;
  while (count < words.size()) {
    words[count] = take_word(line);
    if (words[count].empty()) break;
    ++count;
  }
  const std::size_t least = has_headers ? 4 : 3;
  if (count != least && count != least + 1) return fail("a message with the wrong number of words");
  std::uint64_t total = 0, headers = 0;
  if (!to_number(words[1], op.sid)) return fail("a message without a subscription's number");
  if (!to_number(words[count - 1], total)) return fail("a message without its size");
  if (has_headers && !to_number(words[count - 2], headers))
    return fail("a message without the size of its headers");
  if (headers > total) return fail("headers larger than their message");
  if (total > most_payload_) return fail("a message of " + std::to_string(total) + " bytes");
  if (const std::size_t there = bytes_.size() - body_at; there < total + kEnd.size()) {
    needed_ = total + kEnd.size() - there;
    return false;
  }
  if (bytes_.substr(body_at + total, kEnd.size()) != kEnd)
    return fail("a message that is longer than its announced size");
  op.kind = NatsOp::Kind::msg;
  op.subject = words[0];
  op.headers = bytes_.substr(body_at, headers);
  op.payload = bytes_.substr(body_at + headers, total - headers);
  at_ = body_at + total + kEnd.size();
  return true;
}

NatsComplaint nats_complaint(std::string_view text) {
  const auto has = [text](std::string_view words) {
    // Servers differ in capital letters: "Authorization Violation", "authorization violation".
    return std::search(text.begin(), text.end(), words.begin(), words.end(), [](char a, char b) {
             return std::tolower(static_cast<unsigned char>(a)) == b;
           }) != text.end();
  };
  NatsComplaint out;
  if (has("permissions violation")) {
    out.code = Errc::permission_denied;
    out.about = has("violation for publish") ? NatsComplaint::About::publish
                                             : NatsComplaint::About::subscription;
    const std::size_t open = text.find('"');
    const std::size_t close = open == text.npos ? text.npos : text.find('"', open + 1);
    if (close != text.npos) out.subject = text.substr(open + 1, close - open - 1);
  } else if (has("subscriptions exceeded")) {
    out.code = Errc::resource_exhausted;
    out.about = NatsComplaint::About::subscription;
  } else if (has("invalid subject")) {
    out.code = Errc::invalid_argument;
    out.about = NatsComplaint::About::subscription;
  } else if (has("authorization violation") || has("authentication expired") ||
             has("authentication revoked")) {
    out.code = Errc::unauthenticated;
  }
  return out;
}

std::string nats_connect(const NatsLogin& login) {
  nlohmann::json json{{"verbose", false}, {"pedantic", false},  {"echo", true},
                      {"headers", true},  {"protocol", 1},      {"lang", "cpp-m3"},
                      {"version", "1"},   {"name", login.name}, {"tls_required", false}};
  if (!login.user.empty()) json["user"] = login.user;
  if (!login.password.empty()) json["pass"] = login.password;
  if (!login.token.empty()) json["auth_token"] = login.token;
  return "CONNECT " + json.dump() + "\r\n";
}

Result<NatsInfo> parse_nats_info(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return Status(Errc::invalid_argument, "nats: INFO is not a JSON object");
  NatsInfo out;
  if (const auto most = json.find("max_payload"); most != json.end()) {
    if (!most->is_number_unsigned())
      return Status(Errc::invalid_argument, "nats: INFO's max_payload is not a number");
    out.max_payload = std::min<std::size_t>(most->get<std::uint64_t>(), NatsReader::kMostPayload);
  }
  const auto flag = [&](const char* name) {
    const auto at = json.find(name);
    return at != json.end() && at->is_boolean() && at->get<bool>();
  };
  out.auth_required = flag("auth_required");
  out.tls_required = flag("tls_required");
  return out;
}

}  // namespace m3
