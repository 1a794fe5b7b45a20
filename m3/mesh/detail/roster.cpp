// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/roster.h"

#include <algorithm>

namespace m3::mesh_detail {
namespace {

/// More scores than this are not computed along with other work: about 5 ms.
constexpr std::size_t kScoresAtOnce = 64 * kHashSlots;

}  // namespace

void Roster::add_hash(Snapshot& snapshot) {
  const auto& eligible = snapshot.eligible();
  std::vector<HashSlots::Id> ids;
  ids.reserve(eligible.size());
  for (std::size_t i = 0; i < eligible.size(); ++i)
    ids.push_back({&eligible[i]->id, snapshot.id_hashes()[i]});
  const std::vector<HashSlots::Position> positions = slots_.set(ids);
  auto hash = std::make_shared<HashOwners>();
  hash->owners = slots_.owners();
  hash->by_position.assign(slots_.positions(), nullptr);
  for (std::size_t i = 0; i < eligible.size(); ++i)
    if (positions[i] != HashSlots::kNobody) hash->by_position[positions[i]] = eligible[i];
  snapshot.set_hash(std::move(hash));
}

void Roster::News::put_before(News older) {
  if (!list) list = std::move(older.list);
  probes.insert(probes.begin(), older.probes.begin(), older.probes.end());
  sick.insert(sick.begin(), older.sick.begin(), older.sick.end());
  hash |= older.hash;
  observer = std::max(observer, older.observer);
}

void Roster::add_events(Edition& edition) {
  edition.events = membership_.take_events();
  edition.observer = std::exchange(observer_, 0);
  if (edition.observer == 0) return;
  for (const auto& [id, entry] : membership_.entries())
    edition.present.push_back({MemberEvent::Kind::up, entry.member, std::nullopt});
}

Roster::Edition Roster::edition(std::shared_ptr<const Snapshot> snapshot) {
  Edition out;
  if (snapshot || !table_due_) add_events(out);  // not before it is shown
  if (snapshot) out.gone = membership_.take_gone();
  out.snapshot = std::move(snapshot);
  out.doubtful = membership_.doubtful();
  out.size = membership_.entries().size();
  return out;
}

Roster::Edition Roster::take(News news) {
  observer_ = std::max(observer_, news.observer);
  if (observer_) membership_.observe();
  bool changed = news.hash && !std::exchange(wants_hash_, true) && membership_.heard();
  if (news.list) changed |= membership_.on_list(*std::move(news.list), news.at);
  for (const auto& [instance, answer] : news.probes)
    changed |= membership_.on_probe(*instance, answer, news.at);
  for (const auto& instance : news.sick) changed |= membership_.on_sick(*instance);
  if (!changed) return edition(nullptr);
  auto snapshot = std::make_shared<Snapshot>(service_, membership_.entries(), max_sick_percent_);
  table_due_ = false;
  if (wants_hash_) {
    const std::size_t size = snapshot->eligible().size();
    const std::size_t had = slots_.size();
    table_due_ = (size > had ? size - had : had - size) * kHashSlots > kScoresAtOnce;
    if (!table_due_) add_hash(*snapshot);
    if (table_due_ && had > 0) return edition(nullptr);
  }
  return edition(std::move(snapshot));
}

Roster::Edition Roster::build_table() {
  table_due_ = false;
  auto snapshot = std::make_shared<Snapshot>(service_, membership_.entries(), max_sick_percent_);
  add_hash(*snapshot);
  return edition(std::move(snapshot));
}

}  // namespace m3::mesh_detail
