// SPDX-License-Identifier: BSL-1.0
#include "m3/base/hash_slot.h"

#include "m3/testing/catch.h"

TEST_CASE("base: hash slots are the same as docs/reference/routing.md says, in every language") {
  CHECK(m3::hash_slot("") == 10534);
  CHECK(m3::hash_slot("1001") == 1044);
  CHECK(m3::hash_slot("player:42") == 8077);
  CHECK(m3::hash_of_id("dev.world1.role.1") == 0xffb65596b3d45e10u);
  CHECK(m3::slot_score(m3::hash_of_id("dev.world1.role.1"), 0) == 0xb3750e5d225f203eu);
  CHECK(m3::slot_score(m3::hash_of_id("dev.world1.role.1"), 65535) == 0xeaca91da74feffe7u);
}
