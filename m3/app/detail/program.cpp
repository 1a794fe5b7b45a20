// SPDX-License-Identifier: BSL-1.0
#include "m3/app/detail/program.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>

#include "m3/app/detail/app_impl.h"
#include "m3/app/detail/signal_watch.h"
#include "m3/app/process.h"
#include "m3/app/version.h"
#include "m3/async/once.h"
#include "m3/async/timer.h"
#include "m3/obs/log.h"

namespace m3::app_detail {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr std::chrono::seconds kImpatience{5};

void tell(std::FILE* where, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), where);
  if (!text.empty() && text.back() != '\n') std::fputc('\n', where);
  std::fflush(where);
}

/// The requested output is written to stdout; the exit code tells whether that succeeded.
int answer(const std::string& text) {
  tell(stdout, text);
  if (std::ferror(stdout) == 0) return kOk;
  tell(stderr, "cannot write to stdout");
  return kFailed;
}

/// "simple 1.2 (m3 0.1.0)"; an app need not have a version of its own.
std::string version_line(const std::string& func, const std::string& version) {
  return func + (version.empty() ? "" : " " + version) + " (m3 " + std::string(m3_version()) + ")";
}

/// Last resort, when a task cannot be stopped.
void leave_at_once(const char* why) {
  log::error("{}: leaving at once", why);
  log::flush();
  std::_Exit(kFailed);
}

}  // namespace

int Program::run(const std::vector<std::string>& words, const std::string& name) {
  prepare_process();
  auto parsed = CommandLine::parse(words);
  if (!parsed.is_ok()) {
    tell(stderr, name + ": " + parsed.status().text());
    return kUsage;
  }
  const CommandLine line = *std::move(parsed);
  if (line.mode == CommandLine::Mode::help)
    return answer(command_line_help(std::filesystem::path(name).filename().string(), app_.func));
  if (line.mode == CommandLine::Mode::version) return answer(version_line(app_.func, app_.version));
  if (line.mode == CommandLine::Mode::run) catch_signals();
  app_.embedding.config_file = line.config_file;
  if (!line.id.empty()) {
    auto given = AppId::parse(line.id);
    if (!given.is_ok()) {
      tell(stderr, "--id: " + given.status().text());
      return kUsage;
    }
    app_.embedding.id = *std::move(given);
  }
  if (line.mode != CommandLine::Mode::run) return inspect(line);

  ErrorList errors;
  LoadedConfig loaded = app_.load(errors);
  app_.id = app_.choose_id(app_.embedding.id, loaded, errors);
  if (!errors.empty()) {
    tell(stderr, errors.to_string());
    return kUsage;
  }
  log::set_thread_app(app_.id.to_string());
  app_.config = loaded.app;
  app_.take(loaded);
  Status outcome = app_.make_parts();
  if (outcome) {
    app_.runtime->start();
    take_shutdowns();
    outcome = app_.runtime->block_on(app_.core(), [this](Ctx&) { return live(); }).status();
  }
  refuse_shutdowns();
  if (app_.left_behind())
    leave_at_once("a task that did not finish still uses objects that would be destroyed now");
  app_.let_go();
  if (!outcome) log::error("{}", outcome.to_string());
  log::flush();
  return outcome ? kOk : kFailed;
}

int Program::inspect(const CommandLine& line) {
  using Mode = CommandLine::Mode;
  if (line.mode == Mode::config_reference) return answer(app_.reference());
  if (line.mode == Mode::list_plugins) {
    std::string titles;
    for (const auto& type : app_.registry.types()) titles += type->title() + "\n";
    return answer(titles);
  }
  ErrorList errors;
  LoadedConfig loaded = app_.load(errors);
  const bool has_id = !app_.embedding.id.empty() || loaded.app.id;
  if (has_id) loaded.app.id = app_.choose_id(app_.embedding.id, loaded, errors);
  if (!errors.empty()) {
    tell(stderr, errors.to_string());
    return kUsage;
  }
  const std::string name = line.config_file.empty() ? "the configuration" : line.config_file;
  return answer(line.mode == Mode::print_config ? app_.print(loaded) : name + " is good");
}

Status Program::watch_signals(std::optional<SignalWatch>& watch) {
  try {
    watch.emplace(app_.core(), [this](int signal) { on_signal(signal); });
  } catch (const std::exception& e) {
    return Status(Errc::resource_exhausted, std::string("cannot wait for signals: ") + e.what() +
                                                " (raise the limit of open files: ulimit -n)");
  }
  return ok;
}

Task<> Program::live() {
  std::optional<SignalWatch> watch;
  Status watching = watch_signals(watch);
  if (!watching) co_return watching;
  Core& core = app_.core();
  Host* host = &app_.app;
  work_ctx_.emplace(core, Deadline::never(), host);
  if (stops_asked_ > 0) work_ctx_->cancel(CancelReason::shutdown);  // asked before this began
  stop_ctx_.emplace(core, Deadline::never(), host);
  scope_.emplace(core, host);
  wake_.emplace(1);
  Status outcome = (co_await as_result(serve())).status();
  Ctx last(core);
  co_await scope_->close(last);
  scope_.reset();
  wake_.reset();
  work_ctx_.reset();
  stop_ctx_.reset();
  co_return outcome;
}

Task<> Program::serve() {
  Status started = (co_await as_result(app_.bring_up(*work_ctx_, *stop_ctx_))).status();
  if (!started) co_return stops_asked_ > 0 ? Status() : started;  // ended as it was asked to
  while (stops_asked_ == 0) {
    if (std::exchange(reload_asked_, false)) {
      (void)co_await as_result(app_.reload(*work_ctx_));  // which logs what goes wrong
      continue;
    }
    (void)co_await as_result(wake_->receive(*stop_ctx_));
  }
  co_await app_.take_down(*stop_ctx_);
  co_return ok;
}

void Program::wake_up() {
  if (wake_) (void)wake_->try_send(0);  // full: it wakes up already
}

void Program::on_signal(int signal) {
  log::info("signal {}", signal);
  if (signal == SIGTERM || signal == SIGINT) return ask_to_stop();
  reload_asked_ = true;
  wake_up();
}

void Program::ask_to_stop() {
  ++stops_asked_;
  if (stops_asked_ == 1) {
    if (work_ctx_) work_ctx_->cancel(CancelReason::shutdown);
    wake_up();
  } else if (stops_asked_ == 2 && scope_) {
    stop_ctx_->cancel(CancelReason::shutdown);
    struct Impatience {
      static Task<> wait(Ctx& ctx) {
        co_await sleep(ctx, kImpatience);
        leave_at_once("a cancelled task did not finish within 5 s");
        co_return ok;
      }
    };
    scope_->spawn("impatience", &Impatience::wait);
  } else if (stops_asked_ > 2) {
    leave_at_once("asked to stop once more");
  }
}

void Program::shutdown() {
  const std::lock_guard lock(shutdown_mutex_);
  if (std::exchange(shutdown_asked_, true)) return;
  if (has_core_) post_shutdown();
}

void Program::take_shutdowns() {
  const std::lock_guard lock(shutdown_mutex_);
  has_core_ = true;
  if (shutdown_asked_) post_shutdown();
}

/// Called before core 0 is destroyed.
void Program::refuse_shutdowns() {
  const std::lock_guard lock(shutdown_mutex_);
  has_core_ = false;
}

void Program::post_shutdown() {
  app_.core().post(async_detail::once([this] {
    if (stops_asked_ == 0) ask_to_stop();
  }));
}

}  // namespace m3::app_detail
