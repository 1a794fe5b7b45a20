// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/detail/recent_map.h"

#include <string>

#include "m3/testing/catch.h"

TEST_CASE("recent map: the one that was not asked for longest makes room") {
  m3::mesh_detail::RecentMap<int> map(3);
  std::string left;
  const auto insert = [&](const char* name) {
    map.insert(name, [&](const auto& entry) { left += entry.name; }).value = 7;
  };
  for (const char* name : {"a", "b", "c"}) insert(name);
  CHECK(map.leaving()->name == "a");
  REQUIRE(map.find("a"));
  CHECK(map.find("a")->value == 7);
  insert("d");
  insert("e");
  CHECK(left == "bc");
  CHECK(map.size() == 3);
  CHECK_FALSE(map.find("b"));
  CHECK(map.find("a"));
  CHECK(map.find("d"));
}
