// SPDX-License-Identifier: BSL-1.0
// The app as a program: command line, signals, exit code.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>

#include "m3/app/detail/app_impl.h"
#include "m3/app/detail/signal_watch.h"
#include "m3/app/process.h"
#include "m3/async/timer.h"
#include "m3/obs/log.h"

namespace m3 {
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

/// What was asked for goes to stdout; the exit code says whether it arrived there.
int answer(const std::string& text) {
  tell(stdout, text);
  if (std::ferror(stdout) == 0) return kOk;
  tell(stderr, "cannot write to stdout");
  return kFailed;
}

/// Last resort, when something does not let itself be stopped.
void leave_at_once(const char* why) {
  log::error("{}: leaving at once", why);
  log::flush();
  std::_Exit(kFailed);
}

}  // namespace

int App::Impl::run(const std::vector<std::string>& words, const std::string& program) {
  prepare_process();
  auto parsed = CommandLine::parse(words);
  if (!parsed.is_ok()) {
    tell(stderr, program + ": " + parsed.status().text());
    return kUsage;
  }
  const CommandLine line = *std::move(parsed);
  if (line.mode == CommandLine::Mode::help)
    return answer(command_line_help(std::filesystem::path(program).filename().string(), func));
  if (line.mode == CommandLine::Mode::run) app_detail::catch_signals();
  embedding.config_file = line.config_file;
  if (!line.id.empty()) {
    auto given = AppId::parse(line.id);
    if (!given.is_ok()) {
      tell(stderr, "--id: " + given.status().text());
      return kUsage;
    }
    embedding.id = *std::move(given);
  }
  if (line.mode != CommandLine::Mode::run) return inspect(line);

  ErrorList errors;
  LoadedConfig loaded = load(errors);
  id = choose_id(embedding.id, loaded, errors);
  if (!errors.empty()) {
    tell(stderr, errors.to_string());
    return kUsage;
  }
  log::set_thread_app(id.to_string());
  config = loaded.app;
  take(loaded);
  Status outcome = make_parts();
  if (outcome) {
    runtime->start();
    outcome = runtime->block_on(core(), [this](Ctx&) { return live(); }).status();
  }
  if (rpc_detail::calls_left_behind > 0)
    leave_at_once("handlers that did not end still use what would be destroyed now");
  let_go();
  if (!outcome) log::error("{}", outcome.to_string());
  log::flush();
  return outcome ? kOk : kFailed;
}

int App::Impl::inspect(const CommandLine& line) {
  using Mode = CommandLine::Mode;
  if (line.mode == Mode::config_reference) return answer(reference());
  if (line.mode == Mode::list_plugins) {
    std::string titles;
    for (const auto& type : registry.types()) titles += type->title() + "\n";
    return answer(titles);
  }
  ErrorList errors;
  LoadedConfig loaded = load(errors);
  const bool has_id = !embedding.id.empty() || loaded.app.id;
  if (has_id) loaded.app.id = choose_id(embedding.id, loaded, errors);
  if (!errors.empty()) {
    tell(stderr, errors.to_string());
    return kUsage;
  }
  const std::string name = line.config_file.empty() ? "the configuration" : line.config_file;
  return answer(line.mode == Mode::print_config ? print(loaded) : name + " is good");
}

Status App::Impl::watch_signals(std::optional<app_detail::SignalWatch>& watch) {
  try {
    watch.emplace(core(), [this](int signal) { on_signal(signal); });
  } catch (const std::exception& e) {
    return Status(Errc::resource_exhausted, std::string("cannot wait for signals: ") + e.what() +
                                                " (raise the limit of open files: ulimit -n)");
  }
  return ok;
}

Task<> App::Impl::live() {
  std::optional<app_detail::SignalWatch> watch;
  Status watching = watch_signals(watch);
  if (!watching) co_return watching;
  Host* host = &app;
  work_ctx.emplace(core(), Deadline::never(), host);
  stop_ctx.emplace(core(), Deadline::never(), host);
  scope.emplace(core(), host);
  wake.emplace(1);

  Status outcome = (co_await as_result(bring_up(*work_ctx))).status();
  if (!came_up && stops_asked > 0) outcome = ok;  // as it was asked to
  while (came_up && stops_asked == 0) {
    if (std::exchange(reload_asked, false)) {
      Status status = (co_await as_result(reload(*work_ctx))).status();
      if (!status && status != Errc::invalid_argument) log::error("reload: {}", status.to_string());
      continue;
    }
    (void)co_await as_result(wake->receive(*stop_ctx));
  }
  if (came_up) {
    outcome = (co_await as_result(take_down(*stop_ctx))).status();
  }
  Ctx last(core());
  co_await scope->close(last);
  scope.reset();
  wake.reset();
  work_ctx.reset();
  stop_ctx.reset();
  co_return outcome;
}

void App::Impl::wake_up() {
  if (wake) (void)wake->try_send(0);  // full: it wakes up already
}

void App::Impl::on_signal(int signal) {
  log::info("signal {}", signal);
  if (signal == SIGTERM || signal == SIGINT) return ask_to_stop();
  reload_asked = true;
  wake_up();
}

void App::Impl::ask_to_stop() {
  ++stops_asked;
  if (stops_asked == 1) {
    if (work_ctx) work_ctx->cancel(CancelReason::shutdown);
    wake_up();
  } else if (stops_asked == 2 && scope) {
    stop_ctx->cancel(CancelReason::shutdown);
    struct Impatience {
      static Task<> wait(Ctx& ctx) {
        co_await sleep(ctx, kImpatience);
        leave_at_once("something does not end although it is cancelled");
        co_return ok;
      }
    };
    scope->spawn("impatience", &Impatience::wait);
  } else if (stops_asked > 2) {
    leave_at_once("asked to stop once more");
  }
}

void App::shutdown() {
  struct Message final : async_detail::Runnable {
    explicit Message(Impl& owner) : Runnable(&Message::fire), impl(owner) {}
    static void fire(async_detail::Runnable& work) {
      std::unique_ptr<Message> self(static_cast<Message*>(&work));
      if (self->impl.stops_asked == 0) self->impl.ask_to_stop();
    }
    Impl& impl;
  };
  if (impl_->runtime) impl_->core().post(*new Message(*impl_));
}

}  // namespace m3
