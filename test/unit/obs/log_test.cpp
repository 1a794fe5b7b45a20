// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/log.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "m3/base/trace_context.h"
#include "m3/config/document.h"
#include "m3/obs/log_limit.h"
#include "m3/obs/recording_sink.h"
#include "m3/testing/catch.h"

using namespace std::chrono_literals;
using m3::LogLevel;
using m3::RecordingSink;
namespace log_front = m3::log;

namespace {

struct Loud {};
int times_formatted = 0;

struct FakeCtx {
  m3::TraceContext trace;
};
m3::LogContext log_context(const FakeCtx& ctx) { return {"d.w.ctx.1", &ctx.trace}; }

using m3::testing::contains;

class ThrowingSink final : public m3::LogSink {
 public:
  void write(const m3::LogRecord&) override { throw std::runtime_error("disk full"); }
};

/// What a child process that runs `body` exits with, and what it wrote to stderr.
std::pair<int, std::string> in_child(void (*body)()) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    body();
    std::_Exit(42);
  }
  ::close(ends[1]);
  std::string text;
  char buffer[512];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int state = 0;
  ::waitpid(child, &state, 0);
  return {WIFEXITED(state) ? WEXITSTATUS(state) : -1, text};
}

}  // namespace

template <>
struct fmt::formatter<Loud> {
  constexpr auto parse(format_parse_context& ctx) { return ctx.begin(); }
  auto format(const Loud&, format_context& ctx) const {
    ++times_formatted;
    return ctx.out();
  }
};

TEST_CASE("obs: an event reaches the sink with its level, place and fields") {
  auto sink = std::make_shared<RecordingSink>();
  m3::ScopedLogSink installed(sink);
  std::string name = "ann";
  std::uint32_t line = __LINE__ + 1;
  log_front::warn_p({{"player", 7}, {"name", name}, {"ok", true}, {"ratio", 0.5}}, "slow {} of {}",
                    "call", 3);
  REQUIRE(sink->events().size() == 1);
  auto event = sink->events().front();
  CHECK(event.level == LogLevel::warn);
  CHECK(event.text == "slow call of 3");
  CHECK(event.plus == std::map<std::string, std::string>{
                          {"player", "7"}, {"name", "ann"}, {"ok", "true"}, {"ratio", "0.5"}});
  CHECK(event.line == line);
  CHECK(contains(event.file, "test/unit/obs/log_test.cpp"));
}

TEST_CASE("obs: plus fields can be collected first") {
  auto sink = std::make_shared<RecordingSink>();
  m3::ScopedLogSink installed(sink);
  std::vector<m3::LogField> fields;
  fields.emplace_back("a", std::uint64_t{1});
  fields.emplace_back("b", "two");
  log_front::info_p(fields, "x");
  CHECK(sink->events().front().plus ==
        std::map<std::string, std::string>{{"a", "1"}, {"b", "two"}});
}

TEST_CASE("obs: events below the level are dropped before they are formatted") {
  auto sink = std::make_shared<RecordingSink>();
  m3::ScopedLogSink installed(sink, LogLevel::warn);
  CHECK(log_front::get_level() == LogLevel::warn);
  times_formatted = 0;
  log_front::debug("{}", Loud{});
  log_front::info_p({{"k", 1}}, "{}", Loud{});
  CHECK(times_formatted == 0);
  CHECK(sink->events().empty());
  log_front::warn("{}", Loud{});
  log_front::error("x");
  CHECK(times_formatted == 1);
  CHECK(sink->events().size() == 2);
  log_front::set_level(LogLevel::debug);
  log_front::debug("y");
  CHECK(sink->count("y") == 1);
}

TEST_CASE("obs: the app is the context's, else the thread's") {
  auto sink = std::make_shared<RecordingSink>();
  m3::ScopedLogSink installed(sink);
  FakeCtx ctx{*m3::TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")};
  std::thread([&] {
    log_front::info("nobody");
    log_front::set_thread_app("d.w.thread.1");
    log_front::info("thread");
    log_front::info(ctx, "ctx {}", 1);
    log_front::error_p(ctx, {{"k", "v"}}, "ctx {}", 2);
  }).join();
  auto events = sink->events();
  REQUIRE(events.size() == 4);
  CHECK(events[0].app.empty());
  CHECK(events[1].app == "d.w.thread.1");
  CHECK(events[1].trace_id.empty());
  CHECK(events[2].app == "d.w.ctx.1");
  CHECK(events[2].trace_id == "4bf92f3577b34da6a3ce929d0e0e4736");
  CHECK(events[3].text == "ctx 2");
  CHECK(events[3].plus.at("k") == "v");
}

TEST_CASE("obs: fatal logs, flushes and then asks to end, unless told not to") {
  auto sink = std::make_shared<RecordingSink>();
  m3::ScopedLogSink installed(sink);
  int ended = 0;
  log_front::set_fatal_hook([&] {
    ++ended;
    CHECK(sink->events().size() == 1);
    CHECK(sink->flushes() == 1);
  });
  log_front::fatal("the end");
  CHECK(ended == 1);
  log_front::set_fatal_exits(false);
  log_front::fatal("not the end");
  CHECK(ended == 1);
  CHECK(sink->flushes() == 2);
  log_front::set_fatal_exits(true);
  log_front::set_fatal_hook({});
}

TEST_CASE("obs: fatal ends the process with code 1 after its line is on stderr") {
  auto [code, text] = in_child([] {
    m3::log::set_sink(nullptr);
    m3::log::fatal_p({{"port", 80}}, "cannot bind");
  });
  CHECK(code == 1);
  CHECK(contains(text, "FATAL obs/log_test.cpp:"));
  CHECK(contains(text, "cannot bind port=80\n"));
}

TEST_CASE("obs: fatal ends the process even if its line is not read") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_NONBLOCK) == 0);
  const std::string filling(4096, '.');
  while (::write(ends[1], filling.data(), filling.size()) > 0) continue;
  REQUIRE(::fcntl(ends[1], F_SETFL, 0) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    m3::log::set_sink(nullptr);
    m3::log::fatal("cannot go on");  // would hang
    std::_Exit(42);
  }
  int state = 0;
  ::waitpid(child, &state, 0);
  CHECK(WIFEXITED(state));
  CHECK(WEXITSTATUS(state) == 1);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("obs: lines logged just before a normal exit are not lost") {
  auto [code, text] = in_child([] {
    m3::log::set_sink(nullptr);
    for (int i = 0; i < 100; ++i) m3::log::warn("line {}", i);
    std::exit(7);
  });
  CHECK(code == 7);
  CHECK(contains(text, " line 99\n"));
}

TEST_CASE("obs: a child process logs although its parent had logged before") {
#if defined(__SANITIZE_THREAD__) || (defined(__has_feature) && __has_feature(thread_sanitizer))
  M3_SKIP("ThreadSanitizer allows no thread in the child of a process with threads");
#endif
  m3::log::set_sink(nullptr);
  m3::log::set_level(LogLevel::error);
  m3::log::error("the test wrote this line");
  auto [code, text] = in_child([] {
    m3::log::error("from the child");
    m3::log::flush();
  });
  m3::log::set_level(LogLevel::info);
  CHECK(code == 42);
  CHECK(contains(text, "from the child\n"));
}

TEST_CASE("obs: a sink that throws does not end its caller") {
  m3::ScopedLogSink installed(std::make_shared<ThrowingSink>());
  log_front::error("x");
  SUCCEED();
}

TEST_CASE("obs: several threads log at once while the sink and the level change") {
  auto first = std::make_shared<RecordingSink>();
  auto second = std::make_shared<RecordingSink>();
  m3::ScopedLogSink installed(first);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 500; ++i) log_front::info("thread {} event {}", t, i);
    });
  log_front::set_sink(second);
  for (auto& thread : threads) thread.join();
  CHECK(first->events().size() + second->events().size() == 2000);
}

TEST_CASE("obs: level names are read in any case and with m3game's blanks") {
  CHECK(*m3::parse_log_level("INFO ") == LogLevel::info);
  CHECK(*m3::parse_log_level("warn") == LogLevel::warn);
  CHECK(*m3::parse_log_level("Fatal") == LogLevel::fatal);
  CHECK(m3::log_level_name(LogLevel::error) == "ERROR");
  auto bad = m3::parse_log_level("VERBOSE");
  REQUIRE_FALSE(bad);
  CHECK(bad.status().text() ==
        "\"VERBOSE\" is not a log level; use DEBUG, INFO, WARN, ERROR or FATAL");
  CHECK_FALSE(m3::parse_log_level(""));
}

TEST_CASE("obs: a level can be a key of a configuration") {
  struct Config {
    LogLevel level = LogLevel::info;
    static void describe(m3::Schema<Config>& s) { s.add("level", &Config::level).reloadable(); }
  };
  auto read = [](std::string_view text, m3::ErrorList& errors) {
    return m3::Document::parse(text, "a.toml", errors).root().decode<Config>(errors);
  };
  m3::ErrorList errors;
  CHECK(read("level = \"debug\"", errors)->level == LogLevel::debug);
  CHECK(read("level = \"WARN \"", errors)->level == LogLevel::warn);
  CHECK(errors.empty());
  CHECK_FALSE(read("level = \"eror\"", errors));
  CHECK(errors.to_string() ==
        "a.toml:1: level: \"eror\" is not one of debug, info, warn, error, fatal (did you mean "
        "\"error\"?)\n");
}

TEST_CASE("obs: a log line has time, level, app, place, text, fields and trace") {
  m3::LogRecord record;
  record.level = LogLevel::info;
  record.time = std::chrono::system_clock::time_point(1700000000s + 1234us);
  record.text = "logged in";
  std::vector<m3::LogField> plus{{"player", 7}, {"name", "A n\"n"}, {"none", ""}};
  record.plus = plus;
  record.app = "d.w.f.1";
  auto trace = m3::TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  record.trace = &*trace;
  record.file = "/src/app/hello/main.cpp";
  record.line = 12;
  CHECK(m3::format_log_line(record) ==
        "2023-11-14T22:13:20.001234Z INFO  d.w.f.1 hello/main.cpp:12 logged in player=7 name=\"A "
        "n\\\"n\" none=\"\" "
        "trace=4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST_CASE("obs: text typed by a player cannot forge a log line") {
  m3::LogRecord record;
  record.text = "hi\n2023 FATAL x\x1b[31m\x7f";
  std::vector<m3::LogField> plus{{"name", "a\r\nb"}};
  record.plus = plus;
  std::string line = m3::format_log_line(record);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.find('\r') == std::string::npos);
  CHECK(line.find('\x1b') == std::string::npos);
  CHECK(contains(line, "hi\\n2023 FATAL x\\x1b[31m\\x7f"));
  CHECK(contains(line, "name=a\\x0d\\nb"));
}

TEST_CASE("obs: a log line is UTF-8 without characters that a viewer obeys") {
  const auto text_of = [](std::string_view text) {
    m3::LogRecord record;
    record.text = text;
    const std::string line = m3::format_log_line(record);
    return line.substr(line.find('[') + 1, line.rfind(']') - line.find('[') - 1);
  };
  for (const std::string shown :
       {"é€😀", "\u00a0", "\u2027\u202f", "\u2065\u206a", "\ud7ff\ue000", "\U0010ffff"})
    CHECK(text_of("[" + shown + "]") == shown);
  CHECK(text_of("[\xff\xfe]") == "\\xff\\xfe");
  CHECK(text_of("[\x80\xc1\xbf]") == "\\x80\\xc1\\xbf");
  CHECK(text_of("[\xe2\x82]") == "\\xe2\\x82");                    // torn
  CHECK(text_of("[\xe0\x80\xaf]") == "\\xe0\\x80\\xaf");           // longer than needed
  CHECK(text_of("[\xed\xa0\x80]") == "\\xed\\xa0\\x80");           // half of a surrogate pair
  CHECK(text_of("[\xf4\x90\x80\x80]") == "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  CHECK(text_of("[\xc2\x9b"
                "31m]") == "\\xc2\\x9b31m");  // the CSI of one character
  CHECK(text_of("[\u2028\u202e]") == "\\xe2\\x80\\xa8\\xe2\\x80\\xae");
  CHECK(text_of("[\u2066]") == "\\xe2\\x81\\xa6");
}

TEST_CASE("obs: a line is bounded, keeps its trace and says how long the text was") {
  m3::LogRecord record;
  const auto trace =
      m3::TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  record.trace = &*trace;
  const std::string end = " trace=4bf92f3577b34da6a3ce929d0e0e4736";
  for (const char* unit : {"x", "\x01", "é", "€"}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    record.text = text;
    std::vector<m3::LogField> plus{{"k", "v"}};
    record.plus = plus;
    const std::string line = m3::format_log_line(record);
    CHECK(line.size() <= m3::kMaxLogLine);
    CHECK(line.size() > m3::kMaxLogLine - 200);
    CHECK(contains(line, "… (cut; text: " + std::to_string(text.size()) + " bytes)" + end));
    CHECK((line[line.find("…") - 1] & 0xc0) != 0xc0);  // no first byte of a torn character
  }
  const std::string value(100'000, 'y');
  std::vector<m3::LogField> plus{{"long", value}, {"after", "z"}};
  record.text = "short";
  record.plus = plus;
  const std::string line = m3::format_log_line(record);
  CHECK(line.size() <= m3::kMaxLogLine);
  CHECK_FALSE(contains(line, "after=z"));
  CHECK(line.ends_with("… (cut; text: 5 bytes)" + end));
}

TEST_CASE("obs: a noisy key is held back and counted, others pass") {
  m3::LogLimit limit(2, 1s);
  m3::LogLimit::Time now{100s};
  CHECK(limit.pass("a", now) == 0U);
  CHECK(limit.pass("a", now) == 0U);
  CHECK_FALSE(limit.pass("a", now));
  CHECK_FALSE(limit.pass("a", now + 999ms));
  CHECK(limit.pass("b", now) == 0U);
  CHECK(limit.pass("a", now + 1s) == 2U);
  CHECK(limit.pass("a", now + 1s) == 0U);
}

TEST_CASE("obs: keys beyond the limit's memory share one allowance until old ones expire") {
  m3::LogLimit limit(1, 1s, 2);
  m3::LogLimit::Time now{100s};
  CHECK(limit.pass("a", now));
  CHECK(limit.pass("b", now));
  CHECK(limit.pass("c", now));
  CHECK_FALSE(limit.pass("d", now));
  CHECK(limit.pass("e", now + 2s));
  CHECK(limit.pass("f", now + 2s));
}
