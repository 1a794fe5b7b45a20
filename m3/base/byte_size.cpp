// SPDX-License-Identifier: BSL-1.0
#include "m3/base/byte_size.h"

#include <array>
#include <charconv>
#include <limits>

namespace m3 {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::array<Unit, 9> kUnits{{{"B", 1},
                                      {"KiB", 1ULL << 10},
                                      {"MiB", 1ULL << 20},
                                      {"GiB", 1ULL << 30},
                                      {"TiB", 1ULL << 40},
                                      {"KB", 1'000},
                                      {"MB", 1'000'000},
                                      {"GB", 1'000'000'000},
                                      {"TB", 1'000'000'000'000}}};

Status refuse(std::string_view text, const std::string& why) {
  return Status(Errc::invalid_argument,
                "\"" + std::string(text.substr(0, 40)) + "\" is not a size: " + why);
}

}  // namespace

Result<ByteSize> ByteSize::parse(std::string_view text) {
  if (text == "0") return ByteSize{};
  std::uint64_t count = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error == std::errc::invalid_argument)
    return refuse(text, "write a whole number and a unit, like 64KiB or 10MB");
  if (error != std::errc()) return refuse(text, "it is too large");
  std::string_view name = text.substr(static_cast<std::size_t>(end - text.data()));
  if (name.empty())
    return refuse(text, "the unit is missing; write " + std::to_string(count) + "B or " +
                            std::to_string(count) + "KiB");
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    if (count > std::numeric_limits<std::uint64_t>::max() / unit.bytes)
      return refuse(text, "it is too large");
    return ByteSize{count * unit.bytes};
  }
  return refuse(text, "\"" + std::string(name.substr(0, 20)) +
                          "\" is not a unit; use B, KiB, MiB, GiB, TiB, KB, MB, GB or TB");
}

std::string ByteSize::to_string() const {
  std::size_t best = 0;
  for (std::size_t i = 1; i <= 4; ++i)
    if (bytes != 0 && bytes % kUnits[i].bytes == 0) best = i;
  return std::to_string(bytes / kUnits[best].bytes) + std::string(kUnits[best].name);
}

}  // namespace m3
