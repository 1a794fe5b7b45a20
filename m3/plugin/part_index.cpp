// SPDX-License-Identifier: BSL-1.0
#include "m3/plugin/part_index.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace m3 {
namespace {

std::string name_of(std::type_index type) {
  int failed = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &failed), &std::free);
  return failed == 0 ? name.get() : type.name();
}

}  // namespace

Status PartIndex::add(std::type_index type, void* part) {
  if (parts_.emplace(type, part).second) return ok;
  return Status(Errc::already_exists, "the app has two parts of the type " + name_of(type) +
                                          ", and parts are found by their type: list it once");
}

}  // namespace m3
