// SPDX-License-Identifier: BSL-1.0
// What an agent answers, and what stands in its entries. An instance that is read is registered as
// the same again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "check.h"
#include "plugins/router/consul/consul_list.h"
#include "plugins/router/consul/consul_member.h"

namespace {

void look_at(const m3::ConsulService& service) {
  auto member = m3::consul_member(service);
  if (!member.is_ok()) return;
  M3_FUZZ_CHECK(member->id.to_string() == service.id);
  M3_FUZZ_CHECK(member->generation != 0 && member->address.port != 0);
  const m3::ConsulRegistration said =
      m3::consul_registration(*member, {std::chrono::seconds(2), std::chrono::minutes(1)});
  for (const char c : said.name)
    M3_FUZZ_CHECK((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
  M3_FUZZ_CHECK(said.name.starts_with(m3::consul_name_prefix(member->id.env())));
  auto again = m3::parse_consul_service(m3::consul_registration_json(said));
  M3_FUZZ_CHECK(again.is_ok());
  auto same = m3::consul_member(*again);
  M3_FUZZ_CHECK(same.is_ok() && *same == *member);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (auto list = m3::parse_consul_health(bytes); list.is_ok()) {
    // Each entry takes two bytes at least.
    M3_FUZZ_CHECK(list->services.size() + list->skipped.size() <= size / 2 + 1);
    for (const m3::ConsulService& service : list->services) look_at(service);
  }
  // Read again, and again as a change of itself: the same.
  m3::ConsulList list(*m3::ServiceId::parse("dev.w.hello"));
  const auto first = list.read(std::string(bytes));
  M3_FUZZ_CHECK(first.is_ok() == m3::parse_consul_health(bytes).is_ok());
  const auto again = list.read(std::string(bytes));
  M3_FUZZ_CHECK(again.is_ok() == first.is_ok());
  if (first.is_ok()) M3_FUZZ_CHECK(again->members == first->members && !again->changed);
  if (auto service = m3::parse_consul_service(bytes); service.is_ok()) look_at(*service);
  if (auto names = m3::parse_consul_names(bytes); names.is_ok())
    M3_FUZZ_CHECK(names->size() <= size);
  return 0;
}
