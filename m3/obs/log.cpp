// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>

namespace m3 {
namespace {

/// One write(2) per event, so that lines of several threads do not mix.
class StderrSink final : public LogSink {
 public:
  void write(const LogRecord& record) override {
    std::string line = format_log_line(record) + "\n";
    for (std::string_view rest = line; !rest.empty();) {
      ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
  }
};

/// What belongs to the process: the sink and what fatal() does.
struct Process {
  std::mutex mutex;
  std::shared_ptr<LogSink> sink = std::make_shared<StderrSink>();
  std::function<void()> fatal_hook;
  std::atomic<bool> fatal_exits{true};
};
Process& process() {
  static Process* instance =
      new Process;  // never destroyed: threads may log while the process ends
  return *instance;
}

thread_local std::string thread_app;

std::shared_ptr<LogSink> current_sink() {
  std::lock_guard lock(process().mutex);
  return process().sink;
}

void end_after_fatal() {
  if (!process().fatal_exits.load(std::memory_order_relaxed)) return;
  std::function<void()> hook;
  {
    std::lock_guard lock(process().mutex);
    hook = process().fatal_hook;
  }
  if (hook) return hook();
  std::fflush(nullptr);
  std::_Exit(1);  // not exit(): destructors of statics would race with threads that still run
}

}  // namespace

namespace log {

void set_level(LogLevel level) noexcept {
  obs_detail::log_level.store(level, std::memory_order_relaxed);
}
LogLevel get_level() noexcept { return obs_detail::log_level.load(std::memory_order_relaxed); }

std::shared_ptr<LogSink> set_sink(std::shared_ptr<LogSink> sink) {
  if (!sink) sink = std::make_shared<StderrSink>();
  std::lock_guard lock(process().mutex);
  return std::exchange(process().sink, std::move(sink));
}

void flush() { current_sink()->flush(); }
void set_thread_app(std::string_view app) { thread_app = app; }
void set_fatal_exits(bool exits) noexcept {
  process().fatal_exits.store(exits, std::memory_order_relaxed);
}

void set_fatal_hook(std::function<void()> hook) {
  std::lock_guard lock(process().mutex);
  process().fatal_hook = std::move(hook);
}

}  // namespace log

namespace obs_detail {
namespace {

void format_and_write(const LogHead& head, fmt::string_view format, fmt::format_args args) {
  fmt::memory_buffer text;
  try {
    fmt::vformat_to(fmt::appender(text), format, args);
  } catch (const std::exception& error) {
    text.clear();
    fmt::format_to(fmt::appender(text), "could not format \"{}\": {}", format, error.what());
  }
  LogRecord record;
  record.level = head.level;
  record.time = std::chrono::system_clock::now();
  record.text = std::string_view(text.data(), text.size());
  record.plus = head.plus;
  record.app = head.context.app.empty() ? std::string_view(thread_app) : head.context.app;
  record.trace = head.context.trace;
  record.file = head.where.file_name();
  record.line = head.where.line();
  record.function = head.where.function_name();
  std::shared_ptr<LogSink> sink = current_sink();
  sink->write(record);
  if (head.level == LogLevel::fatal) sink->flush();
}

}  // namespace

void write_log(const LogHead& head, fmt::string_view format, fmt::format_args args) noexcept {
  try {
    format_and_write(head, format, args);
  } catch (...) {  // NOLINT(bugprone-empty-catch): a log that fails must not end its caller
  }
  if (head.level == LogLevel::fatal) end_after_fatal();
}

}  // namespace obs_detail
}  // namespace m3
