// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fmt/core.h>

#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "m3/base/result.h"

namespace m3 {

struct TraceContext;

enum class LogLevel : std::uint8_t { debug = 1, info = 2, warn = 3, error = 4, fatal = 5 };

/// "DEBUG", "INFO", "WARN", "ERROR", "FATAL".
std::string_view log_level_name(LogLevel level) noexcept;
/// Case-insensitive; spaces around it are ignored (m3game wrote "INFO " and "WARN ").
Result<LogLevel> parse_log_level(std::string_view name);
/// So that a LogLevel can be a key of a configuration.
constexpr std::array<std::pair<std::string_view, LogLevel>, 5> enum_names(LogLevel) {
  return {{{"debug", LogLevel::debug},
           {"info", LogLevel::info},
           {"warn", LogLevel::warn},
           {"error", LogLevel::error},
           {"fatal", LogLevel::fatal}}};
}

/// One key and value beside the text. Holds views: valid only during the call.
struct LogField {
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;
  std::string_view key;
  Value value;

  template <class T>
  LogField(std::string_view field_key, const T& field_value)
      : key(field_key), value(as_value(field_value)) {}

 private:
  template <class T>
  static Value as_value(const T& field_value) {
    if constexpr (std::is_same_v<T, bool>) {
      return field_value;
    } else if constexpr (std::is_enum_v<T>) {
      return static_cast<std::int64_t>(field_value);
    } else if constexpr (std::signed_integral<T>) {
      return static_cast<std::int64_t>(field_value);
    } else if constexpr (std::unsigned_integral<T>) {
      return static_cast<std::uint64_t>(field_value);
    } else if constexpr (std::floating_point<T>) {
      return static_cast<double>(field_value);
    } else {
      return std::string_view(field_value);
    }
  }
};

/// The "plus" of debug_p … fatal_p: `{{"player", id}, {"gold", 7}}`, or fields collected in a
/// vector.
class LogPlus {
 public:
  LogPlus(std::initializer_list<LogField> fields) : fields_(fields.begin(), fields.size()) {}
  LogPlus(const std::vector<LogField>& fields)
      : fields_(fields) {}  // NOLINT(google-explicit-constructor)
  LogPlus(std::span<const LogField> fields)
      : fields_(fields) {}  // NOLINT(google-explicit-constructor)
  std::span<const LogField> fields() const noexcept { return fields_; }

 private:
  std::span<const LogField> fields_;
};

/// The source of an event, if known. A type provides one with a function `LogContext
/// log_context(const T&)` beside it; then `log::info(that, "…")` works: Ctx has one.
struct LogContext {
  std::string_view app;
  const TraceContext* trace = nullptr;
};

template <class T>
concept HasLogContext = requires(const T& source) {
  { log_context(source) } -> std::same_as<LogContext>;
};

/// One event, as a sink gets it. Every view ends with the call.
struct LogRecord {
  LogLevel level = LogLevel::info;
  std::chrono::system_clock::time_point time;
  std::string_view text;
  std::span<const LogField> plus;
  std::string_view app;                 ///< env.world.func.ins; may be empty
  const TraceContext* trace = nullptr;  ///< may be null
  const char* file = "";
  std::uint32_t line = 0;
  const char* function = "";
};

/// Where events go. Called from any thread, several at once; must not log, and must not wait: its
/// caller is a core. An exception from it is swallowed: logging never fails a caller.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(const LogRecord& record) = 0;
  /// Returns when everything written so far has been stored, or after about a second; called when
  /// the process ends.
  virtual void flush() {}
};

/// `2026-11-22T22:30:41.123456Z INFO  dev.w.hello.1 app/main.cpp:12 text key=value trace=4bf9…`,
/// without a line end and at most kMaxLogLine bytes long. Control characters are escaped: text
/// typed by a player cannot forge a line.
std::string format_log_line(const LogRecord& record);
inline constexpr std::size_t kMaxLogLine = 8192;

/// The logging functions. Usable anywhere and from any thread, with or without a Ctx. The text is a
/// compile-time checked fmt string; file and line are the caller's. A call below the level costs
/// one relaxed load.
namespace log {

/// Events below it are dropped before they are formatted. Starts at info.
void set_level(LogLevel level) noexcept;
LogLevel get_level() noexcept;

/// The process's one sink; nullptr puts the stderr sink back. Returns the previous one, which calls
/// that started earlier may still be using.
///
/// The stderr sink never makes its caller wait: a separate thread writes the lines, at most 1 MiB
/// of them are buffered, and lines that do not fit are dropped and counted.
std::shared_ptr<LogSink> set_sink(std::shared_ptr<LogSink> sink);
/// Waits at most a second for the stderr sink. fatal(), App::run and a normal exit of the process
/// call it.
void flush();
/// Lines that could not be written to stderr (not read, or refused) since the process started.
std::uint64_t dropped() noexcept;
/// Events that the _limited forms held back since the process started.
std::uint64_t held_back() noexcept;

/// The app that this thread's events belong to when they carry no LogContext. Copied.
void set_thread_app(std::string_view app);

/// Whether fatal() ends the process, with exit code 1, after flushing. Starts true.
void set_fatal_exits(bool exits) noexcept;
/// Called by fatal() instead of ending the process; empty restores that. For tests.
void set_fatal_hook(std::function<void()> hook);

}  // namespace log

namespace obs_detail {

inline std::atomic<LogLevel> log_level{LogLevel::info};
inline bool log_enabled(LogLevel level) noexcept {
  return level >= log_level.load(std::memory_order_relaxed);
}

/// A checked format string that knows where it was written.
template <class... Args>
struct LogFormat {
  template <class Text>
    requires std::convertible_to<const Text&, std::string_view>
  consteval LogFormat(const Text& format,  // NOLINT(google-explicit-constructor)
                      std::source_location location = std::source_location::current())
      : text(format), where(location) {}
  fmt::format_string<Args...> text;
  std::source_location where;
};
template <class... Args>
using Format = LogFormat<std::type_identity_t<Args>...>;

struct LogHead {
  LogLevel level;
  const std::source_location& where;
  LogContext context;
  std::span<const LogField> plus;
  bool limited = false;
  std::uint64_t held_back = 0;  // limited: how many events of this place were not logged before it
};
void write_log(const LogHead& head, fmt::string_view format, fmt::format_args args) noexcept;

template <LogLevel level, class... Args>
void log_event(const LogFormat<std::type_identity_t<Args>...>& format, LogContext context,
               std::span<const LogField> plus, Args&&... args) {
  write_log({level, format.where, context, plus}, format.text, fmt::make_format_args(args...));
}

/// Empty: the place has logged too often recently.
std::optional<std::uint64_t> pass_limit(const std::source_location& where) noexcept;

template <LogLevel level, class... Args>
void log_limited(const LogFormat<std::type_identity_t<Args>...>& format, LogContext context,
                 Args&&... args) {
  if (!log_enabled(level)) return;
  if (const std::optional<std::uint64_t> held_back = pass_limit(format.where))
    write_log({level, format.where, context, {}, true, *held_back}, format.text,
              fmt::make_format_args(args...));
}

}  // namespace obs_detail

namespace log {

// Each level has four forms: plain, with plus fields, with a context, with both.
#define M3_LOG_LEVEL(name, name_p)                                                                 \
  template <class... Args>                                                                         \
  void name(obs_detail::Format<Args...> format, Args&&... args) {                                  \
    if (obs_detail::log_enabled(LogLevel::name))                                                   \
      obs_detail::log_event<LogLevel::name, Args...>(format, {}, {}, std::forward<Args>(args)...); \
  }                                                                                                \
  template <class... Args>                                                                         \
  void name_p(LogPlus plus, obs_detail::Format<Args...> format, Args&&... args) {                  \
    if (obs_detail::log_enabled(LogLevel::name))                                                   \
      obs_detail::log_event<LogLevel::name, Args...>(format, {}, plus.fields(),                    \
                                                     std::forward<Args>(args)...);                 \
  }                                                                                                \
  template <HasLogContext Source, class... Args>                                                   \
  void name(const Source& source, obs_detail::Format<Args...> format, Args&&... args) {            \
    if (obs_detail::log_enabled(LogLevel::name))                                                   \
      obs_detail::log_event<LogLevel::name, Args...>(format, log_context(source), {},              \
                                                     std::forward<Args>(args)...);                 \
  }                                                                                                \
  template <HasLogContext Source, class... Args>                                                   \
  void name_p(const Source& source, LogPlus plus, obs_detail::Format<Args...> format,              \
              Args&&... args) {                                                                    \
    if (obs_detail::log_enabled(LogLevel::name))                                                   \
      obs_detail::log_event<LogLevel::name, Args...>(format, log_context(source), plus.fields(),   \
                                                     std::forward<Args>(args)...);                 \
  }

M3_LOG_LEVEL(debug, debug_p)
M3_LOG_LEVEL(info, info_p)
M3_LOG_LEVEL(warn, warn_p)
M3_LOG_LEVEL(error, error_p)
M3_LOG_LEVEL(fatal, fatal_p)
#undef M3_LOG_LEVEL

/// For events that others can cause repeatedly: a peer, a client, a broker, a registry, a failing
/// handler. Each place in the source logs at most 10 events in a second; the next one that is
/// logged ends with how many were not: "(123 more not logged)". The text is cut after
/// kMaxLimitedText bytes, so that a stranger cannot fill the log with long lines either.
inline constexpr std::size_t kMaxLimitedText = 400;

#define M3_LOG_LIMITED(name, level)                                                     \
  template <class... Args>                                                              \
  void name(obs_detail::Format<Args...> format, Args&&... args) {                       \
    obs_detail::log_limited<level, Args...>(format, {}, std::forward<Args>(args)...);   \
  }                                                                                     \
  template <HasLogContext Source, class... Args>                                        \
  void name(const Source& source, obs_detail::Format<Args...> format, Args&&... args) { \
    obs_detail::log_limited<level, Args...>(format, log_context(source),                \
                                            std::forward<Args>(args)...);               \
  }

M3_LOG_LIMITED(info_limited, LogLevel::info)
M3_LOG_LIMITED(warn_limited, LogLevel::warn)
M3_LOG_LIMITED(error_limited, LogLevel::error)
#undef M3_LOG_LIMITED

}  // namespace log
}  // namespace m3
