// SPDX-License-Identifier: BSL-1.0
// Ids, topics and names of routes, one a line. The order of instances is total; a slot belongs to
// whom the rule of routing.md names; a topic that is accepted is one for every broker.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "m3/base/app_id.h"
#include "m3/base/route_mode.h"
#include "m3/mesh/detail/broadcast_codec.h"
#include "m3/mesh/detail/hash_slots.h"
#include "m3/plugin/broker.h"

namespace {

constexpr std::size_t kMostIds = 8;

void check_line(std::string_view line) {
  if (const auto mode = m3::route_mode_from_name(line))
    M3_FUZZ_CHECK(m3::route_mode_name(*mode) == line);
  const auto topic = m3::mesh_detail::multicast_topic(*m3::WorldId::parse("dev.w"), line);
  M3_FUZZ_CHECK(topic.is_ok() ? m3::is_topic(*topic)
                              : topic.status() == m3::Errc::invalid_argument);
}

void check_order(const std::vector<m3::AppId>& ids) {
  for (const auto& a : ids)
    for (const auto& b : ids) {
      M3_FUZZ_CHECK(m3::instance_less(a, b) + m3::instance_less(b, a) + (a == b) == 1);
      for (const auto& c : ids)
        if (m3::instance_less(a, b) && m3::instance_less(b, c))
          M3_FUZZ_CHECK(m3::instance_less(a, c));
    }
}

void check_owner(const std::vector<m3::AppId>& ids, std::string_view key) {
  std::vector<m3::mesh_detail::HashSlots::Id> hashed;
  for (const auto& id : ids) hashed.push_back(m3::mesh_detail::HashSlots::Id::of(id));
  m3::mesh_detail::HashSlots slots;
  slots.set(hashed);
  const std::uint16_t slot = m3::hash_slot(key);
  const m3::AppId* best = nullptr;
  std::uint64_t best_score = 0;
  for (const auto& id : ids) {
    const std::uint64_t score = m3::slot_score(m3::hash_of_id(id.to_string()), slot);
    if (best && (score < best_score || (score == best_score && *best < id))) continue;
    best = &id;
    best_score = score;
  }
  const auto owner = slots.owners()[slot];
  M3_FUZZ_CHECK(best ? slots.id_at(owner) == *best : owner == m3::mesh_detail::HashSlots::kNobody);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::vector<m3::AppId> ids;
  for (std::size_t from = 0; from <= bytes.size();) {
    const std::size_t end = std::min(bytes.find('\n', from), bytes.size());
    const std::string_view line = bytes.substr(from, end - from);
    check_line(line);
    if (const auto id = m3::AppId::parse(line); id.is_ok() && ids.size() < kMostIds)
      ids.push_back(*id);
    from = end + 1;
  }
  check_order(ids);
  if (!ids.empty()) check_owner(ids, bytes.substr(0, 16));
  return 0;
}
