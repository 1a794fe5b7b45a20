// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/roster.h"

namespace m3 {
namespace {

/// More scores than this are not computed beside other work: about 5 ms.
constexpr std::size_t kScoresAtOnce = 64 * kHashSlots;

std::vector<const AppId*> ids_of(const Snapshot& snapshot) {
  std::vector<const AppId*> ids;
  ids.reserve(snapshot.eligible().size());
  for (const Instance* instance : snapshot.eligible()) ids.push_back(&instance->id);
  return ids;
}

}  // namespace

void Roster::add_hash(Snapshot& snapshot) {
  slots_.set(ids_of(snapshot));
  auto hash = std::make_shared<HashOwners>();
  hash->owners = slots_.owners();
  hash->by_position.assign(slots_.positions(), nullptr);
  for (std::size_t i = 0; i < slots_.positions(); ++i) {
    const auto position = static_cast<HashSlots::Position>(i);
    const AppId& id = slots_.id_at(position);
    if (!id.empty())
      hash->by_position[i] = snapshot.named(slots_.hash_at(position), id.to_string());
  }
  snapshot.set_hash(std::move(hash));
}

Roster::Edition Roster::edition(std::shared_ptr<const Snapshot> snapshot) {
  Edition out;
  if (snapshot) out.gone = membership_.take_gone();
  out.snapshot = std::move(snapshot);
  out.doubtful = membership_.doubtful();
  out.size = membership_.entries().size();
  return out;
}

Roster::Edition Roster::take(News news) {
  bool changed = news.hash && !std::exchange(wants_hash_, true) && membership_.heard();
  if (news.list) changed |= membership_.on_list(*std::move(news.list), news.at);
  for (const auto& [instance, answered] : news.probes)
    changed |= membership_.on_probe(*instance, answered, news.at);
  if (!changed) return edition(nullptr);
  auto snapshot = std::make_shared<Snapshot>(service_, membership_.entries());
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
  auto snapshot = std::make_shared<Snapshot>(service_, membership_.entries());
  add_hash(*snapshot);
  return edition(std::move(snapshot));
}

}  // namespace m3
