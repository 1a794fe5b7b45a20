// SPDX-License-Identifier: BSL-1.0
// main() of every Catch2 test. Beside Catch2's own report it appends one line per test case to the
// file named by M3_TEST_RESULTS, as it happens: "begin NAME", then "pass NAME", "fail NAME" or
// "skip NAME". A "begin" without an end is a test case that took its process down.
#if !__has_include(<catch2/catch_test_macros.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include "m3/testing/catch.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_session.hpp>
#include <catch2/catch_test_case_info.hpp>
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
using CatchListener = Catch::EventListenerBase;
#else
using CatchListener = Catch::TestEventListenerBase;
#endif

namespace m3::testing_detail {
namespace {

bool case_was_skipped = false;
int cases_begun = 0;

void write_fate(const char* fate, const std::string& name) {
  const char* path = std::getenv("M3_TEST_RESULTS");
  if (path == nullptr || *path == '\0') return;
  std::FILE* file = std::fopen(path, "a");
  if (file == nullptr) {
    std::fprintf(stderr, "cannot append to M3_TEST_RESULTS=%s\n", path);
    std::abort();
  }
  std::fprintf(file, "%s %s\n", fate, name.c_str());
  std::fclose(file);
}

class FateWriter : public CatchListener {
 public:
  using CatchListener::CatchListener;

  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    case_was_skipped = false;
    ++cases_begun;
    write_fate("begin", info.name);
  }

  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    bool failed = !stats.totals.testCases.allOk();
#if __has_include(<catch2/catch_test_macros.hpp>)
    bool skipped = case_was_skipped || stats.totals.testCases.skipped > 0;
    const std::string& name = stats.testInfo->name;
#else
    bool skipped = case_was_skipped;
    const std::string& name = stats.testInfo.name;
#endif
    write_fate(failed ? "fail" : skipped ? "skip" : "pass", name);
  }
};

CATCH_REGISTER_LISTENER(FateWriter)

}  // namespace

void skip_case(std::string_view reason) {
  case_was_skipped = true;
  std::printf("skipped: %.*s\n", static_cast<int>(reason.size()), reason.data());
}

}  // namespace m3::testing_detail

int main(int argc, char** argv) {
  int code = Catch::Session().run(argc, argv);
  if (code == 0 && m3::testing_detail::cases_begun == 0 &&
      std::getenv("M3_TEST_RESULTS") != nullptr) {
    std::fprintf(stderr, "no test case ran\n");
    return 2;
  }
  return code;
}
