// SPDX-License-Identifier: BSL-1.0
// Any bytes as a configuration file: read it, decode it, print it. What was decoded must print as
// TOML that decodes to the same again, and every error must have a text.
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "m3/base/app_id.h"
#include "m3/base/byte_size.h"
#include "m3/config/document.h"
#include "m3/config/print.h"

namespace {

struct Inner {
  std::string name = "n";
  double ratio = 0.5;
  std::optional<m3::AppId> id;
  static void describe(m3::Schema<Inner>& s) {
    s.add("name", &Inner::name);
    s.add("ratio", &Inner::ratio).range(0, 1);
    s.add("id", &Inner::id);
  }
};

struct Config {
  std::string listen = "127.0.0.1:0";
  int cores = 0;
  m3::Duration timeout = std::chrono::seconds(5);
  m3::ByteSize limit{65536};
  std::vector<std::string> peers;
  std::map<std::string, std::vector<bool>> flags;
  std::vector<Inner> list;
  std::map<std::string, Inner> named;
  Inner inner;
  static void describe(m3::Schema<Config>& s) {
    s.add("listen", &Config::listen).not_empty();
    s.add("cores", &Config::cores).range(0, 256);
    s.add("timeout", &Config::timeout);
    s.add("limit", &Config::limit);
    s.add("peers", &Config::peers);
    s.add("flags", &Config::flags);
    s.add("list", &Config::list);
    s.add("named", &Config::named);
    s.add("inner", &Config::inner);
  }
};

std::optional<std::string> variable(std::string_view name) {
  if (name == "HOST") return "localhost";
  if (name == "SEVEN") return "7";
  return std::nullopt;
}

/// A printed string may look like a variable; it must come back as itself.
std::optional<std::string> itself(std::string_view) { return std::nullopt; }

void check_printing(const Config& config) {
  std::string text = m3::print_config("", config);
  m3::ErrorList errors;
  m3::Document document = m3::Document::parse(text, "printed", errors, itself);
  auto again = document.root().decode<Config>(errors);
  M3_FUZZ_CHECK(errors.empty());
  M3_FUZZ_CHECK(again.is_ok());
  M3_FUZZ_CHECK(m3::diff_config("", config, *again).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  m3::ErrorList errors;
  m3::Document document = m3::Document::parse(text, "fuzz.toml", errors, variable);
  for (const m3::Section& section : document.sections("router", errors))
    (void)section.decode<Inner>(errors);
  static const std::vector<std::string_view> others{"router"};
  auto config = document.root().decode<Config>(errors, others);
  for (const m3::ConfigError& error : errors.sorted()) M3_FUZZ_CHECK(!error.what.empty());
  if (config) check_printing(*config);
  return 0;
}
