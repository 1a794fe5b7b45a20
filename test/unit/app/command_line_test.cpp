// SPDX-License-Identifier: BSL-1.0
#include "m3/app/command_line.h"

#include "m3/testing/catch.h"

using m3::CommandLine;

namespace {

std::string error_of(const std::vector<std::string>& words) {
  auto line = CommandLine::parse(words);
  CHECK(line.status().code() == m3::Errc::invalid_argument);
  return line.status().text();
}

using m3::testing::contains;

}  // namespace

TEST_CASE("command line: id and file in every spelling") {
  const std::vector<std::vector<std::string>> spellings{
      {"-idstr", "dev.w.a.1", "-conf", "a.toml"}, {"--idstr", "dev.w.a.1", "--conf", "a.toml"},
      {"-idstr=dev.w.a.1", "-conf=a.toml"},       {"--id", "dev.w.a.1", "--config", "a.toml"},
      {"--config=a.toml", "--id=dev.w.a.1"},      {"-id", "dev.w.a.1", "--config", "a.toml"},
  };
  for (const auto& words : spellings) {
    auto line = CommandLine::parse(words);
    REQUIRE(line.is_ok());
    CHECK(line->id == "dev.w.a.1");
    CHECK(line->config_file == "a.toml");
    CHECK(line->mode == CommandLine::Mode::run);
  }
}

TEST_CASE("command line: the modes") {
  using Mode = CommandLine::Mode;
  CHECK(CommandLine::parse({})->mode == Mode::run);
  CHECK(CommandLine::parse({"--check-config"})->mode == Mode::check_config);
  CHECK(CommandLine::parse({"-print-config"})->mode == Mode::print_config);
  CHECK(CommandLine::parse({"--list-plugins"})->mode == Mode::list_plugins);
  CHECK(CommandLine::parse({"--config-reference"})->mode == Mode::config_reference);
  CHECK(CommandLine::parse({"--version"})->mode == Mode::version);
  CHECK(CommandLine::parse({"-h"})->mode == Mode::help);
}

TEST_CASE("command line: errors name the wrong word") {
  CHECK(contains(error_of({"--idst", "x"}), "no option --idst, did you mean \"idstr\""));
  CHECK(contains(error_of({"simple.toml"}), "\"simple.toml\" is not an option"));
  CHECK(contains(error_of({"--id"}), "--id needs a value"));
  CHECK(contains(error_of({"--id", "--config", "a.toml"}), "--id needs a value"));
  CHECK(contains(error_of({"--id="}), "--id needs a value"));
  CHECK(contains(error_of({"--id", "a", "-idstr", "b"}), "-idstr is given twice"));
  CHECK(contains(error_of({"--help=yes"}), "--help takes no value"));
  CHECK(contains(error_of({"--check-config", "--print-config"}), "cannot be combined with"));
}

TEST_CASE("command line: the help names every option") {
  const std::string help = m3::command_line_help("simple", "simple");
  for (const char* word :
       {"--id", "-idstr", "--config", "-conf", "--check-config", "--print-config", "--list-plugins",
        "--config-reference", "--version", "ENV.WORLD.simple.INS"})
    CHECK(contains(help, word));
}
