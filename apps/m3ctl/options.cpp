// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "m3/base/metadata.h"
#include "m3/base/near_names.h"

namespace m3ctl {
namespace {

using m3::Errc;
using m3::Result;
using m3::Status;

Status wrong(std::string text) { return Status(Errc::invalid_argument, std::move(text)); }

Status set_route(Options& options, const std::string& value) {
  const std::size_t colon = value.find(':');
  const std::string mode = value.substr(0, colon);
  const std::string key = colon == std::string::npos ? "" : value.substr(colon + 1);
  const bool keyed = mode == "hash" || mode == "p2p";
  if (keyed && key.empty())
    return wrong(
        "--route " + mode + " needs its " +
        (mode == "hash" ? "key: --route hash:ann" : "app: --route p2p:dev.world1.hello.1"));
  if (!keyed && colon != std::string::npos)
    return wrong("--route " + mode + " takes no \":" + key + "\"");
  if (mode == "random") return options.route = m3::to::random(), m3::ok;
  if (mode == "single") return options.route = m3::to::single(), m3::ok;
  if (mode == "all") return options.route = m3::to::all(), m3::ok;
  if (mode == "hash") return options.route = m3::to::hash(key), m3::ok;
  if (mode == "p2p") return options.route = m3::to::app(key), m3::ok;
  return wrong("--route " + value + ": use random, hash:KEY, single, p2p:ID, or all for a notify");
}

Status add_meta(Options& options, const std::string& value) {
  const std::size_t equals = value.find('=');
  if (equals == std::string::npos) return wrong("--meta " + value + ": write --meta key=value");
  std::string key = value.substr(0, equals);
  if (!m3::is_metadata_key(key))
    return wrong("--meta " + value + ": a key is made of letters, digits, '-', '_' and '.'");
  options.meta.emplace_back(std::move(key), value.substr(equals + 1));
  return m3::ok;
}

/// "90" are seconds.
Status set_run_for(Options& options, const std::string& value) {
  const bool plain = value.find_first_not_of("0123456789") == std::string::npos;
  auto parsed = m3::parse_duration(plain ? value + "s" : value);
  if (!parsed.is_ok()) return std::move(parsed).status().add_context("--for");
  if (*parsed <= m3::Duration::zero()) return wrong("--for " + value + ": write --for 10s");
  options.run_for = *parsed;
  return m3::ok;
}

Status set_value(Options& options, std::string_view name, const std::string& value) {
  if (name == "config") return options.config = value, m3::ok;
  if (name == "cluster") return options.cluster = value, m3::ok;
  if (name == "token") {
    options.token = value;
    options.token_from = "--token";
    return m3::ok;
  }
  if (name == "dir") return options.dir = value, m3::ok;
  if (name == "meta") return add_meta(options, value);
  if (name == "route") return set_route(options, value);
  if (name == "state") return options.state = value, m3::ok;
  if (name == "ready-file") return options.ready_file = value, m3::ok;
  if (name == "for") return set_run_for(options, value);
  if (name == "deadline") {
    auto parsed = m3::parse_duration(value);
    if (!parsed.is_ok()) return std::move(parsed).status().add_context("--deadline");
    if (*parsed <= m3::Duration::zero())
      return wrong("--deadline 0 leaves no time for the call: write --deadline 2s");
    options.deadline = *parsed;
    return m3::ok;
  }
  const auto [end, error] =
      std::from_chars(value.data(), value.data() + value.size(), options.count);
  if (error != std::errc() || end != value.data() + value.size() || options.count < 1 ||
      options.count > 1000000)
    return wrong("-n " + value + ": write a number from 1 to 1000000");
  return m3::ok;
}

constexpr auto kInfos = std::to_array<OptionInfo>({
    {"config", OptionValue::file, "--config FILE",
     "find instances as an app with this configuration file does"},
    {"cluster", OptionValue::text, "--cluster NAME",
     "a cluster that m3ctl up runs here: its name, its file or its state file; default: the only "
     "one"},
    {"token", OptionValue::text, "--token T",
     "the cluster's credential; else $M3_OPERATOR_TOKEN, else $M3_TOKEN,\n"
     "else the configuration's: operator_token before token"},
    {"meta", OptionValue::text, "--meta K=V", "metadata of the call; may be given several times"},
    {"deadline", OptionValue::text, "--deadline T", "time limit for each call (5s)"},
    {"route", OptionValue::text, "--route R",
     "random, hash:KEY, single (the lowest instance), p2p:ID; for a notify also all. Default: as "
     "the\n"
     ".proto says; for an address or an app's id that is the route"},
    {"json", OptionValue::none, "--json",
     "JSON for programs; an error is {\"ok\":false,\"error\":{\"code\":…,\"text\":…,…}} on stdout"},
    {"verbose", OptionValue::none, "-v, --verbose",
     "which app answered, how long it took, the answer's metadata (on stderr)"},
    {"count", OptionValue::text, "-n N, --count N", "number of round trips (5)"},
    {"dir", OptionValue::file, "--dir D", "the folder to write into; default: this one"},
    {"check", OptionValue::none, "--check",
     "reports everything that is wrong with the file and the apps' configurations; starts nothing"},
    {"reference", OptionValue::none, "--reference", "prints every key of the file"},
    {"logs", OptionValue::none, "--logs", "the apps' logs instead of the table"},
    {"for", OptionValue::text, "--for T",
     "stops by itself after this time (90 or 90s); an error if not all are ready by then"},
    {"ready-file", OptionValue::file, "--ready-file F",
     "write JSON with every instance's id, pid, addresses and log once all are ready"},
    {"state", OptionValue::file, "--state F",
     "keep the same JSON up to date here for m3ctl ps and others; default:\n"
     "~/.cache/m3/run/NAME.json"},
    {"follow", OptionValue::none, "-f, --follow", "keeps printing new lines"},
});

struct Flag {
  std::string_view name;
  bool Options::* flag;
};
constexpr auto kFlags = std::to_array<Flag>({
    {"json", &Options::json},
    {"verbose", &Options::verbose},
    {"help", &Options::help},
    {"check", &Options::check},
    {"reference", &Options::reference},
    {"logs", &Options::logs},
    {"follow", &Options::follow},
});

/// Whether `name` is a flag; `set`: it is true now.
bool set_flag(Options& options, std::string_view name, bool set) {
  for (const Flag& flag : kFlags) {
    if (flag.name != name) continue;
    if (set) options.*flag.flag = true;
    return true;
  }
  return false;
}

/// "--deadline" -> "deadline", "-v" -> "verbose"; "" when it is none of the allowed ones.
std::string_view option_name(std::string_view word, std::span<const std::string_view> allowed) {
  if (word == "-h") word = "--help";
  if (word == "-v") word = "--verbose";
  if (word == "-n") word = "--count";
  if (word == "-f") word = "--follow";
  if (word.substr(0, 2) != "--") return {};
  word.remove_prefix(2);
  if (word == "help") return "help";
  for (std::string_view name : allowed)
    if (word == name) return name;
  return {};
}

Status unknown(const std::string& word, std::span<const std::string_view> allowed) {
  std::vector<std::string> names{"--help"};
  for (std::string_view name : allowed) names.push_back("--" + std::string(name));
  const std::vector<std::string_view> views(names.begin(), names.end());
  std::string text = "there is no option " + word + " here";
  if (const std::string hint = m3::did_you_mean(word, views); !hint.empty())
    return wrong(text + ", " + hint);
  text += "; there is";
  for (const std::string& name : names) text += " " + name;
  return wrong(text);
}

}  // namespace

const OptionInfo& option_info(std::string_view long_name) {
  const auto* found = std::find_if(kInfos.begin(), kInfos.end(),
                                   [&](const OptionInfo& info) { return info.name == long_name; });
  if (found == kInfos.end()) std::abort();  // a command lists an option that has no line above
  return *found;
}

Result<Options> parse_options(std::span<const std::string> arguments,
                              std::span<const std::string_view> allowed) {
  Options options;
  for (const char* name : {"M3_OPERATOR_TOKEN", "M3_TOKEN"}) {
    const char* token = std::getenv(name);
    if (!options.token.empty() || token == nullptr) continue;
    options.token = token;
    options.token_from = std::string("$") + name;
  }
  bool only_words = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (only_words || word.size() < 2 || word[0] != '-') {
      options.words.push_back(word);
      continue;
    }
    if (word == "--") {
      only_words = true;
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string_view name = option_name(word.substr(0, equals), allowed);
    if (name.empty()) return unknown(word.substr(0, equals), allowed);
    if (set_flag(options, name, equals == std::string::npos)) {
      if (equals != std::string::npos) return wrong("--" + std::string(name) + " takes no value");
      continue;
    }
    if (equals == std::string::npos && i + 1 == arguments.size())
      return wrong(word + " needs a value");
    const std::string value =
        equals == std::string::npos ? arguments[++i] : word.substr(equals + 1);
    if (Status status = set_value(options, name, value); !status) return status;
  }
  return options;
}

}  // namespace m3ctl
