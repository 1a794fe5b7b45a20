// SPDX-License-Identifier: BSL-1.0
#include "m3/base/slot_table.h"

#include <map>
#include <memory>
#include <random>
#include <string>

#include "m3/testing/catch.h"

using m3::SlotTable;

TEST_CASE("base: a slot is found by its id until it is taken") {
  SlotTable<std::string> table;
  auto a = table.insert("a");
  auto b = table.insert("b");
  CHECK(a != 0);
  CHECK(a != b);
  REQUIRE(table.find(a));
  CHECK(*table.find(a) == "a");
  CHECK(table.take(a) == "a");
  CHECK_FALSE(table.take(a));
  CHECK(table.find(a) == nullptr);
  CHECK(table.size() == 1);
  CHECK(table.erase(b));
  CHECK_FALSE(table.erase(b));
  CHECK(table.empty());
}

TEST_CASE("base: a reused slot does not answer to its old id") {
  SlotTable<int> table;
  auto old_id = table.insert(1);
  table.erase(old_id);
  auto new_id = table.insert(2);
  CHECK(static_cast<std::uint32_t>(new_id) == static_cast<std::uint32_t>(old_id));
  CHECK(table.find(old_id) == nullptr);
  CHECK(*table.find(new_id) == 2);
}

TEST_CASE("base: an invented id finds nothing") {
  SlotTable<int> table;
  CHECK(table.find(0) == nullptr);
  CHECK(table.find(std::uint64_t{1} << 32) == nullptr);
  auto id = table.insert(1);
  CHECK(table.find(0) == nullptr);
  CHECK(table.find(id + 1) == nullptr);                         // a free neighbour
  CHECK(table.find(id + 100000) == nullptr);                    // beyond the table
  CHECK(table.find(id + (std::uint64_t{1} << 32)) == nullptr);  // the next generation
  table.erase(id);
  for (std::uint64_t generation = 0; generation < 5; ++generation)
    CHECK(table.find(generation << 32 | static_cast<std::uint32_t>(id)) == nullptr);
}

TEST_CASE("base: values do not move while the table grows, and moves are enough") {
  SlotTable<std::unique_ptr<int>> table;
  auto first = table.insert(std::make_unique<int>(7));
  auto* address = table.find(first);
  for (int i = 0; i < 5000; ++i) table.insert(std::make_unique<int>(i));
  CHECK(table.find(first) == address);
  CHECK(**table.take(first) == 7);
}

TEST_CASE("base: for_each visits each value once and may erase it") {
  SlotTable<int> table;
  for (int i = 0; i < 1000; ++i) table.insert(i);
  long sum = 0;
  table.for_each([&](auto id, int value) {
    sum += value;
    if (value % 2 == 0) table.erase(id);
  });
  CHECK(sum == 499500);
  CHECK(table.size() == 500);
  table.for_each([&](auto, int value) { CHECK(value % 2 == 1); });
}

TEST_CASE("base: the table destroys the values left in it") {
  auto counted = std::make_shared<int>(0);
  {
    SlotTable<std::shared_ptr<int>> table;
    for (int i = 0; i < 10; ++i) table.insert(counted);
    CHECK(counted.use_count() == 11);
  }
  CHECK(counted.use_count() == 1);
}

TEST_CASE("base: a slot table agrees with a map over random use") {
  std::mt19937 random(42);
  SlotTable<int> table;
  std::map<std::uint64_t, int> model;
  for (int step = 0; step < 20000; ++step) {
    if (model.empty() || random() % 5 < 3) {
      int value = static_cast<int>(random());
      auto id = table.insert(value);
      REQUIRE(model.emplace(id, value).second);  // an id is never given out twice
    } else {
      auto at = model.lower_bound(random() % 2 ? 0 : model.rbegin()->first);
      REQUIRE(table.take(at->first) == at->second);
      model.erase(at);
    }
    REQUIRE(table.size() == model.size());
  }
}
