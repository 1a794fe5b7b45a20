// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/log.h"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "m3/base/cut_text.h"
#include "m3/obs/detail/log_rate.h"
#include "m3/obs/detail/log_writer.h"

namespace m3 {
namespace {

constexpr std::chrono::seconds kFlushTime{1};

std::atomic<obs_detail::LogWriter*> the_stderr{nullptr};

void hold_sink();
void let_go_of_sink();

/// A child process has no such thread, and its copy of the mutex may be held by a thread it lacks.
/// Its parent's writer is never used again; it stays reachable, so it is not a leak.
void begin_anew_in_child() {
  static obs_detail::LogWriter* of_parent = nullptr;
  of_parent = the_stderr.exchange(new obs_detail::LogWriter(STDERR_FILENO));
  (void)of_parent;
  let_go_of_sink();
}

/// Lines of a program without App would be lost when it returns from main() at once.
void flush_at_exit() { (void)the_stderr.load()->flush(kFlushTime); }

/// Never destroyed: threads may log while the process ends, and its own may be blocked for ever.
obs_detail::LogWriter& stderr_writer() {
  static const bool made = [] {
    the_stderr = new obs_detail::LogWriter(STDERR_FILENO);
    (void)pthread_atfork(&hold_sink, &let_go_of_sink, &begin_anew_in_child);
    (void)std::atexit(&flush_at_exit);
    return true;
  }();
  (void)made;
  return *the_stderr;
}

class StderrSink final : public LogSink {
 public:
  void write(const LogRecord& record) override {
    stderr_writer().write(format_log_line(record), record.level == LogLevel::fatal);
  }
  void flush() override { (void)stderr_writer().flush(kFlushTime); }
};

/// The state of the process: the sink and the action of fatal().
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

/// No thread is changing the sink when the process is forked.
void hold_sink() { process().mutex.lock(); }
void let_go_of_sink() { process().mutex.unlock(); }

thread_local std::string thread_app;

std::shared_ptr<LogSink> current_sink() {
  std::lock_guard lock(process().mutex);
  return process().sink;
}

/// Flushes the program's own output. The reader of stdout may have stopped, or another thread may
/// hold it.
void flush_printed() try {
  std::promise<void> done;
  std::future<void> flushed = done.get_future();
  std::thread([done = std::move(done)]() mutable {
    std::fflush(nullptr);
    done.set_value();
  }).detach();
  (void)flushed.wait_for(kFlushTime);
} catch (const std::exception&) {  // no thread is available: not worth a hang
  return;
}

void end_after_fatal() {
  if (!process().fatal_exits.load(std::memory_order_relaxed)) return;
  std::function<void()> hook;
  {
    std::lock_guard lock(process().mutex);
    hook = process().fatal_hook;
  }
  if (hook) return hook();
  flush_printed();
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
std::uint64_t dropped() noexcept {
  const obs_detail::LogWriter* writer = the_stderr;
  return writer ? writer->dropped() : 0;
}
std::uint64_t held_back() noexcept { return obs_detail::held_back(); }
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

using Text = fmt::memory_buffer;

/// At most this much of the arguments is kept, however long they are.
void format_limited(Text& text, const LogHead& head, fmt::string_view format,
                    fmt::format_args args) {
  std::array<char, log::kMaxLimitedText + 1> start;
  const std::size_t size = fmt::vformat_to_n(start.data(), start.size(), format, args).size;
  const std::string_view kept(start.data(), std::min(size, start.size()));
  text.append(text_start(kept, log::kMaxLimitedText));
  if (size > text.size()) fmt::format_to(fmt::appender(text), "… ({} bytes)", size);
  if (head.held_back > 0)
    fmt::format_to(fmt::appender(text), " ({} more not logged)", head.held_back);
}

void format_and_write(const LogHead& head, fmt::string_view format, fmt::format_args args) {
  Text text;
  try {
    if (head.limited)
      format_limited(text, head, format, args);
    else
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
