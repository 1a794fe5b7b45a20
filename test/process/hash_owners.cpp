// SPDX-License-Identifier: BSL-1.0
// Reads one line of app ids, then keys; prints each key's slot and owner.
#include <iostream>
#include <sstream>
#include <vector>

#include "m3/mesh/detail/hash_slots.h"

int main() {
  std::string line;
  std::getline(std::cin, line);
  std::vector<m3::AppId> ids;
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    auto id = m3::AppId::parse(word);
    if (!id.is_ok()) return std::cerr << id.status().to_string() << "\n", 2;
    ids.push_back(*std::move(id));
  }
  std::vector<m3::mesh_detail::HashSlots::Id> hashed;
  hashed.reserve(ids.size());
  for (const m3::AppId& id : ids) hashed.push_back(m3::mesh_detail::HashSlots::Id::of(id));
  m3::mesh_detail::HashSlots slots;
  slots.set(hashed);
  for (std::string key; std::getline(std::cin, key);) {
    const std::uint16_t slot = m3::hash_slot(key);
    std::cout << slot << " " << slots.id_at(slots.owners()[slot]).to_string() << "\n";
  }
}
