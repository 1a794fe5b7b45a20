// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "m3/base/byte_size.h"
#include "m3/base/cut_text.h"
#include "m3/base/duration.h"
#include "m3/base/near_names.h"
#include "m3/base/trace_context.h"
#include "m3/testing/catch.h"

using namespace std::chrono_literals;
using m3::Duration;
using m3::parse_duration;

namespace {
std::string why_not(std::string_view text) {
  auto parsed = parse_duration(text);
  REQUIRE_FALSE(parsed);
  return parsed.status().text();
}
using m3::testing::contains;
}  // namespace

TEST_CASE("base: long text is cut between characters and says how long it was") {
  CHECK(m3::cut_text("").empty());
  CHECK(m3::cut_text("abc", 3) == "abc");
  CHECK(m3::cut_text("abcd", 3) == "abc… (4 bytes)");
  CHECK(m3::cut_text("aé", 2) == "a… (3 bytes)");
  CHECK(m3::cut_text("a€b", 3) == "a… (5 bytes)");
  CHECK(m3::cut_text("a\U0001F600b", 4) == "a… (6 bytes)");
  CHECK(m3::cut_text(std::string(300, 'x')) == std::string(200, 'x') + "… (300 bytes)");
  CHECK(m3::cut_text(std::string(5, '\x80'), 4).size() < 30);  // no UTF-8 at all
}

TEST_CASE("base: a duration is read with its units") {
  CHECK(*parse_duration("10s") == 10s);
  CHECK(*parse_duration("250ms") == 250ms);
  CHECK(*parse_duration("1m30s") == 90s);
  CHECK(*parse_duration("1.5h") == 90min);
  CHECK(*parse_duration("0.25s") == 250ms);
  CHECK(*parse_duration("1d2h3m4s5ms6us7ns") == 26h + 3min + 4s + 5ms + 6us + 7ns);
  CHECK(*parse_duration("0") == 0s);
  CHECK(*parse_duration("0.9999999999ns") == 0ns);
}

TEST_CASE("base: the error of a refused duration names the fix") {
  CHECK(contains(why_not("10"), "the unit is missing; write 10s or 10ms"));
  CHECK(contains(why_not(""), "write a number and a unit"));
  CHECK(contains(why_not("s"), "needs a number before each unit"));
  CHECK(contains(why_not("1 s"), "\" s\" is not a unit; use ns, us, ms, s, m, h or d"));
  CHECK(contains(why_not("10sec"), "\"sec\" is not a unit"));
  CHECK(contains(why_not("30s1m"), "larger units first"));
  CHECK(contains(why_not("1s1s"), "each unit once"));
  CHECK(contains(why_not("-1s"), "negative"));
  CHECK(contains(why_not("1.s"), "digits are missing after the point"));
  CHECK(contains(why_not("300000d"), "too long"));
  CHECK(contains(why_not("99999999999999999999999999999999999999999999999999s"), "too long"));
  CHECK(contains(why_not("106751d23h47m16s854ms775us808ns"), "too long"));
}

TEST_CASE("base: a written duration reads back as itself") {
  CHECK(m3::format_duration(90s) == "1m30s");
  CHECK(m3::format_duration(1500ms) == "1s500ms");
  CHECK(m3::format_duration(24h) == "1d");
  CHECK(m3::format_duration(0s) == "0s");
  CHECK(m3::format_duration(-1s) == "-1s");
  for (std::int64_t ns : {std::int64_t{1}, std::int64_t{999}, std::int64_t{123456789012345},
                          std::numeric_limits<std::int64_t>::max()})
    CHECK(parse_duration(m3::format_duration(Duration(ns))).value() == Duration(ns));
  CHECK(m3::format_duration(Duration(std::numeric_limits<std::int64_t>::min())).front() == '-');
}

TEST_CASE("base: a traceparent is read and written as W3C says") {
  constexpr std::string_view kText = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  auto context = m3::TraceContext::parse(kText);
  REQUIRE(context);
  CHECK(context->trace_id[0] == 0x4b);
  CHECK(context->span_id[7] == 0xb7);
  CHECK(context->sampled());
  CHECK(context->to_string() == kText);
  auto later =
      m3::TraceContext::parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-comes");
  REQUIRE(later);
  CHECK_FALSE(later->sampled());
}

TEST_CASE("base: a malformed traceparent starts a new trace") {
  for (std::string_view bad : {"", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
                               "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                               "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                               "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
                               "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                               "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                               "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                               "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                               "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                               "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01"}) {
    INFO(bad);
    CHECK_FALSE(m3::TraceContext::parse(bad));
  }
}

TEST_CASE("base: edit distance counts insert, delete, change and swap") {
  CHECK(m3::edit_distance("", "abc") == 3);
  CHECK(m3::edit_distance("listen", "listen") == 0);
  CHECK(m3::edit_distance("lisetn", "listen") == 1);
  CHECK(m3::edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("base: near names are offered best first, and nothing when nothing is near") {
  const std::vector<std::string_view> keys{"listen", "broadcast_timeout", "cores", "call_timeout",
                                           "core_pinning"};
  CHECK(m3::did_you_mean("lisen", keys) == "did you mean \"listen\"?");
  CHECK(m3::did_you_mean("BroadcastTimeout", keys) == "did you mean \"broadcast_timeout\"?");
  CHECK(m3::near_names("core", keys) == std::vector<std::string_view>{"cores", "core_pinning"});
  CHECK(m3::did_you_mean("zzz", keys).empty());
  CHECK(m3::did_you_mean("", keys).empty());
  CHECK(m3::did_you_mean(std::string(100000, 'l'), keys).empty());
}

TEST_CASE("base: a size is read and written with its unit") {
  using m3::ByteSize;
  CHECK(ByteSize::parse("64KiB")->bytes == 65536);
  CHECK(ByteSize::parse("10MB")->bytes == 10000000);
  CHECK(ByteSize::parse("0")->bytes == 0);
  CHECK(ByteSize::parse("16777215TiB")->to_string() == "16777215TiB");
  CHECK(ByteSize{1500}.to_string() == "1500B");
  CHECK(ByteSize{0}.to_string() == "0B");
  CHECK(m3::operator""_MiB(3).to_string() == "3MiB");
  CHECK(contains(ByteSize::parse("64").status().text(), "the unit is missing; write 64B or 64KiB"));
  CHECK(contains(ByteSize::parse("64kb").status().text(), "\"kb\" is not a unit"));
  CHECK(contains(ByteSize::parse("-1B").status().text(), "whole number"));
  CHECK(contains(ByteSize::parse("1.5MiB").status().text(), "\".5MiB\" is not a unit"));
  CHECK(contains(ByteSize::parse("").status().text(), "like 64KiB"));
  CHECK(contains(ByteSize::parse("16777216TiB").status().text(), "too large"));
  CHECK(contains(ByteSize::parse("99999999999999999999B").status().text(), "too large"));
}
