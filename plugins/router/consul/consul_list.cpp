// SPDX-License-Identifier: BSL-1.0
#include "plugins/router/consul/consul_list.h"

#include <algorithm>

#include "plugins/router/consul/consul_member.h"

namespace m3 {

/// The entries of the previous answer, mostly requested in their order.
class ConsulList::Before {
 public:
  explicit Before(Entries& entries) : entries_(entries) {}

  /// The entry with which the answer continues, if it is at the same place, or one further.
  const Entry* expected(const ConsulEntries& answer) const {
    for (std::size_t at = at_; at < std::min(at_ + 2, entries_.size()); ++at)
      if (answer.is_next(entries_[at].text)) return &entries_[at];
    return nullptr;
  }
  /// The entry with this text, wherever it was.
  const Entry* find(std::string_view text) {
    if (by_end_.empty())
      for (const Entry& entry : entries_) by_end_.emplace(end_of(entry.text), &entry);
    const auto found = by_end_.find(end_of(text));
    return found != by_end_.end() && found->second->text == text ? found->second : nullptr;
  }
  /// The next one is expected after it.
  Entry take(const Entry& entry) {
    at_ = static_cast<std::size_t>(&entry - entries_.data()) + 1;
    return entry;
  }

 private:
  /// Differs between entries: it has their checks and indexes.
  static std::string_view end_of(std::string_view text) {
    constexpr std::size_t kEnough = 256;
    return text.substr(text.size() - std::min(text.size(), kEnough));
  }

  Entries& entries_;
  std::size_t at_ = 0;
  std::unordered_map<std::string_view, const Entry*> by_end_;
};

Result<ConsulList::Read> ConsulList::read(std::string body) {
  auto kept = std::make_unique<const std::string>(std::move(body));
  Before before(entries_);
  Entries now;
  now.reserve(entries_.size() + 1);
  ConsulEntries answer(*kept);
  Status wrong;
  while (wrong && answer.next()) {
    const Entry* same = before.expected(answer);
    const std::string_view text = same ? answer.take(same->text.size()) : answer.take();
    if (!same) same = before.find(text);
    Entry& entry = now.emplace_back(same ? before.take(*same) : Entry());
    entry.text = text;
    if (!same) wrong = decode(entry);
  }
  if (wrong) wrong = answer.status();
  if (!wrong) {
    entries_.clear();
    return wrong;
  }
  entries_ = std::move(now);
  body_ = std::move(kept);
  Read out = collect();
  out.changed = !std::exchange(heard_, true) || out.members != last_;
  if (out.changed) last_ = out.members;
  return out;
}

Status ConsulList::decode(Entry& entry) const {
  auto parsed = parse_consul_entry(entry.text);
  if (!parsed.is_ok()) return std::move(parsed).status();
  const ConsulService& service = parsed->service;
  const auto title = [&] {
    return service.id.empty() ? "an entry without an id: "
                              : "\"" + service.id.substr(0, 100) + "\": ";
  };
  if (!parsed->wrong.empty()) {
    entry.wrong = title() + parsed->wrong;
    return ok;
  }
  auto member = consul_member(service);
  if (!member.is_ok()) {
    entry.wrong = title() + member.status().text();
    return ok;
  }
  entry.member = *std::move(member);
  entry.member.healthy = service.health != ConsulService::Health::critical || service.maintenance;
  entry.foreign = entry.member.id.service_id() != service_;
  return ok;
}

/// Two agents may have an instance, and one of them an old check.
ConsulList::Read ConsulList::collect() const {
  Read out;
  out.members.reserve(entries_.size());
  std::unordered_multimap<std::string_view, std::size_t> by_id;
  by_id.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    if (!entry.wrong.empty()) out.skipped.push_back(entry.wrong);
    if (!entry.wrong.empty() || entry.foreign) continue;
    const auto [begin, end] = by_id.equal_range(entry.member.id.to_string());
    const auto twice = std::find_if(begin, end, [&](const auto& known) {
      Member other = out.members[known.second];
      other.healthy = entry.member.healthy;
      return other == entry.member;
    });
    if (twice != end) {
      out.members[twice->second].healthy |= entry.member.healthy;
      continue;
    }
    by_id.emplace(entry.member.id.to_string(), out.members.size());
    out.members.push_back(entry.member);
  }
  return out;
}

}  // namespace m3
