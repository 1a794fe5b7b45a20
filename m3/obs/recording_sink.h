// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "m3/obs/detail/log_rate.h"
#include "m3/obs/log.h"

namespace m3 {

/// Keeps every event, for tests.
class RecordingSink final : public LogSink {
 public:
  struct Event {
    LogLevel level;
    std::string text;
    std::map<std::string, std::string> plus;
    std::string app;
    std::string trace_id;  ///< 32 hex digits, or empty
    std::string file;
    std::uint32_t line;
  };

  void write(const LogRecord& record) override;
  void flush() override;

  std::vector<Event> events() const;
  /// How many events have `part` in their text.
  std::size_t count(std::string_view part) const;
  int flushes() const;
  void clear();

 private:
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  int flushes_ = 0;
};

/// Sends the process's log to `sink` at level `level` while it exists, then restores both. Resets
/// the limits of the _limited forms.
class ScopedLogSink {
 public:
  explicit ScopedLogSink(std::shared_ptr<LogSink> sink, LogLevel level = LogLevel::debug)
      : level_before_(log::get_level()), before_(log::set_sink(std::move(sink))) {
    log::set_level(level);
    obs_detail::reset_limits();
  }
  ~ScopedLogSink() {
    log::set_sink(std::move(before_));
    log::set_level(level_before_);
  }
  ScopedLogSink(const ScopedLogSink&) = delete;
  ScopedLogSink& operator=(const ScopedLogSink&) = delete;

 private:
  LogLevel level_before_;
  std::shared_ptr<LogSink> before_;
};

}  // namespace m3
