// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/app_name.h"

#include <string>

#include "m3/testing/catch.h"

using m3::testing::contains;
using m3ctl::check_app_name;

TEST_CASE("m3ctl app name: a word of lower-case letters and digits is good") {
  for (const char* name : {"shop", "world2", "a", "client", "main", "int8"})
    CHECK(check_app_name(name).is_ok());
  CHECK(check_app_name(std::string(32, 'a')).is_ok());
}

TEST_CASE("m3ctl app name: anything else is refused with a description of good names") {
  for (const std::string name : {"", "Shop", "1shop", "my_shop", "my-shop", "../shop", "ä", "a b"})
    CHECK(contains(check_app_name(name).text(), "a good name is a lower-case letter"));
  CHECK_FALSE(check_app_name(std::string(33, 'a')).is_ok());
}

TEST_CASE("m3ctl app name: a word that C++, meson or the new files use is refused with why") {
  const auto refused = [](const char* name, const char* why) {
    INFO(name);
    const std::string text = check_app_name(name).text();
    CHECK(contains(text, why));
    CHECK(contains(text, "like shop"));
  };
  for (const char* name :
       {"class", "constexpr", "consteval", "constinit", "bitand", "bitor", "xor"})
    refused(name, "a keyword of C++");
  for (const char* name : {"phony", "all", "test", "install", "distcheck", "coverage"})
    refused(name, "a target that every meson build has");
  for (const char* name : {"std", "m3", "game", "hello"}) refused(name, "the new app's own files");
  for (const char* name : {"errno", "unix", "minor"}) refused(name, "a macro");
}
