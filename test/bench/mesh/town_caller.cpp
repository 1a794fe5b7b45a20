// SPDX-License-Identifier: BSL-1.0
// Calls and broadcasts to the instances of crier, as its standard input says, one command a line:
//   probe      one broadcast that asks who listens
//   shout N    N broadcasts, as fast as the broker takes them
//   call       from now on eight calls every millisecond or two; each instance that answers first
//   is told report     when each instance answered last, and when a call failed last
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "m3/app/app.h"
#include "m3/async/timer.h"
#include "m3/async/when.h"
#include "mesh/crier.m3.h"
#include "support/hearing.h"
#include "support/options.h"

namespace bench {
namespace {

using namespace std::chrono_literals;
using m3::as_result;

constexpr int kCallers = 8;
constexpr std::uint64_t kShoutsInARow = 64;  // before it lets the core send them

m3::Task<> shout(m3::Ctx& ctx, CrierClient& criers, std::string text) {
  Notice notice;
  notice.set_text(std::move(text));
  for (;;) {
    auto sent = co_await as_result(criers.shout(ctx, notice));
    if (sent.is_ok()) co_return m3::ok;
    if (sent.status().code() != m3::Errc::resource_exhausted) co_return std::move(sent).status();
    co_await m3::sleep(ctx, 1ms);  // the broker is full
  }
}

m3::Task<> shout_many(m3::Ctx& ctx, CrierClient& criers, std::uint64_t count) {
  const std::uint64_t cpu = own_cpu_ns();
  const std::uint64_t began = now_ns();
  co_await shout(ctx, criers, first_text());
  Notice notice;
  notice.set_text(message_text());
  for (std::uint64_t i = 2; i < count; ++i) {
    auto sent = co_await as_result(criers.shout(ctx, notice));
    if (!sent.is_ok()) {
      if (sent.status().code() != m3::Errc::resource_exhausted) co_return std::move(sent).status();
      co_await m3::sleep(ctx, 1ms);
      --i;
    } else if (i % kShoutsInARow == 0) {
      co_await m3::yield(ctx);
    }
  }
  co_await shout(ctx, criers, last_text());
  print_published(count, began, own_cpu_ns() - cpu);
  co_return m3::ok;
}

/// What is known of the instances, by their ids.
struct Seen {
  std::map<std::string, std::uint64_t> last_answer_ns;
  std::uint64_t last_failure_ns = 0;
  std::uint64_t failures = 0;
  std::atomic<bool> stop{false};
};

m3::Task<> call_on(m3::Ctx& ctx, CrierClient& criers, Seen& seen) {
  while (!seen.stop) {
    auto answer = co_await as_result(criers.who(ctx, WhoReq()));
    const std::uint64_t now = now_ns();
    if (answer.is_ok()) {
      auto [at, fresh] = seen.last_answer_ns.try_emplace(answer->id());
      at->second = now;
      if (fresh)
        JsonLine().text("event", "answered").text("id", answer->id()).count("at_ns", now).print();
    } else {
      seen.last_failure_ns = now;
      ++seen.failures;
    }
    co_await m3::sleep(ctx, 1ms);
  }
  co_return m3::ok;
}

void report(const Seen& seen) {
  JsonLine line;
  line.text("event", "report").count("failures", seen.failures);
  line.count("last_failure_ns", seen.last_failure_ns);
  for (const auto& [id, at] : seen.last_answer_ns) line.count(id, at);
  line.print();
}

class Town {
 public:
  explicit Town(std::string config) : app_("town"), config_(std::move(config)) {}

  int run() {
    m3::App::Embedding how;
    how.id = *m3::AppId::parse("bench.world1.town.1");
    how.config_file = config_;
    if (m3::Status started = app_.start(std::move(how)); !started) return fail(started);
    criers_.emplace(app_);
    JsonLine().text("event", "ready").print();
    std::string word;
    m3::Status status;
    while (status && std::cin >> word) status = obey(word);
    if (calling_.joinable()) {
      seen_.stop = true;
      calling_.join();
    }
    m3::Status stopped = app_.stop();
    if (!status) return fail(status);
    return stopped ? 0 : fail(stopped);
  }

 private:
  static int fail(const m3::Status& why) {
    std::fprintf(stderr, "m3_town_caller: %s\n", why.to_string().c_str());
    return 1;
  }
  /// On core 0, in a context of the app.
  template <class What>
  m3::Status on_core(What what) {
    return app_.runtime()
        .block_on(app_.runtime().core(0),
                  [&](m3::Ctx&) -> m3::Task<> {
                    m3::Ctx own(app_.runtime().core(0), m3::Deadline::never(), &app_);
                    co_await what(own);
                    co_return m3::ok;
                  })
        .status();
  }
  m3::Status obey(const std::string& word) {
    if (word == "probe")
      return on_core([&](m3::Ctx& ctx) { return shout(ctx, *criers_, probe_text()); });
    if (word == "shout") {
      std::uint64_t count = 0;
      std::cin >> count;
      return on_core([&](m3::Ctx& ctx) { return shout_many(ctx, *criers_, count); });
    }
    if (word == "call") {
      calling_ = std::thread([this] {
        const auto done = on_core([&](m3::Ctx& ctx) -> m3::Task<> {
          std::vector<m3::Task<>> all;
          for (int i = 0; i < kCallers; ++i) all.push_back(call_on(ctx, *criers_, seen_));
          auto ended = m3::when_all(ctx.core(), std::move(all));
          co_await std::move(ended);
          co_return m3::ok;
        });
        if (!done) (void)fail(done);
      });
      return m3::ok;
    }
    if (word == "report")
      return on_core([&](m3::Ctx&) -> m3::Task<> {
        report(seen_);
        co_return m3::ok;
      });
    return m3::Status(m3::Errc::invalid_argument, "no such command: " + word);
  }

  m3::App app_;
  const std::string config_;
  std::optional<CrierClient> criers_;  // once the app knows who it is
  Seen seen_;
  std::thread calling_;
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: m3_town_caller CONFIG\n");
    return 2;
  }
  bench::end_with_parent(600);
  return bench::Town(argv[1]).run();
}
