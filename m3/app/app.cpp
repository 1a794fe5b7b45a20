// SPDX-License-Identifier: BSL-1.0
#include "m3/app/app.h"

#include <cassert>
#include <mutex>
#include <stdexcept>
#include <string>

#include "m3/app/detail/app_impl.h"
#include "m3/app/detail/program.h"
#include "m3/obs/log.h"
#include "m3/plugin/builtin.h"

namespace m3 {

App::App(std::string func)
    : impl_(std::make_unique<Impl>(*this, std::move(func))),
      program_(std::make_unique<app_detail::Program>(*impl_)) {
  add_builtin(impl_->registry);
}

App::~App() {
  if (impl_->own_runtime) {
    if (Status status = stop(); !status) log::error("stop: {}", status.to_string());
  }
  assert(!impl_->life.started() && "an App was destroyed before its stop(Ctx&) had returned");
  end_life();  // on cores of another owner it has not ended yet
}

App& App::add_factory(std::function<ServiceSlot(App&)> make) {
  impl_->service_makers.push_back(std::move(make));
  return *this;
}

App& App::intercept(std::shared_ptr<Interceptor> interceptor, Intercepts which) {
  impl_->interceptors.requests.push_back(std::move(interceptor), which);
  return *this;
}

App& App::client_interceptor(std::shared_ptr<Interceptor> interceptor, Intercepts which) {
  impl_->interceptors.calls.push_back(std::move(interceptor), which);
  return *this;
}

App& App::add_part(std::function<Result<std::unique_ptr<Part>>(Env&, PartIndex&)> make) {
  impl_->part_makers.push_back(std::move(make));
  return *this;
}

void* App::find_part(std::type_index type) { return impl_->index.find(type); }

Registry& App::registry() { return impl_->registry; }
Plugin* App::find_plugin(std::string_view kind) const { return impl_->plugins.find(kind); }

App& App::set_section(const ConfigType& type) {
  impl_->section_type = &type;
  impl_->section = type.defaults();
  return *this;
}

std::shared_ptr<const void> App::section_value(const ConfigType& type) const {
  assert(&type == impl_->section_type && "section<T>() needs use_section<T>() with the same T");
  if (&type != impl_->section_type) return nullptr;
  std::lock_guard lock(impl_->section_mutex);
  return impl_->section;
}

App& App::version(std::string text) {
  impl_->version = std::move(text);
  return *this;
}

App& App::on_start(Hook hook) {
  impl_->start_hooks.push_back(std::move(hook));
  return *this;
}
App& App::on_stop(Hook hook) {
  impl_->stop_hooks.push_back(std::move(hook));
  return *this;
}
App& App::on_reload(Hook hook) {
  impl_->reload_hooks.push_back(std::move(hook));
  return *this;
}
App& App::health(Hook hook) {
  impl_->checks.add("", std::move(hook));
  return *this;
}
App& App::page(std::string path, HttpHandler handler) {
  impl_->extra_pages.emplace_back(std::move(path), std::move(handler));
  return *this;
}

int App::run(int argc, char** argv) {
  const std::string name = argc > 0 ? argv[0] : func();
  return program_->run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc), name);
}

void App::shutdown() { program_->shutdown(); }

Status App::start(Embedding embedding) {
  if (impl_->phase != Impl::Phase::idle)
    return Status(Errc::failed_precondition, "an App can be started only once");
  if (embedding.runtime)
    return Status(Errc::invalid_argument, "with Embedding::runtime, call start(Ctx&, …)");
  impl_->embedding = std::move(embedding);
  if (Status prepared = impl_->prepare(); !prepared) {
    impl_->let_go();
    return prepared;
  }
  impl_->runtime->start();
  auto begin = [this](Ctx&) -> Task<> {
    Ctx work(impl_->core(), Deadline::never(), this);
    Ctx undo(impl_->core(), Deadline::never(), this);
    co_await impl_->bring_up(work, undo);
    co_return ok;
  };
  Status started = impl_->runtime->block_on(impl_->core(), begin).status();
  if (!started) end_life();
  return started;
}

Status App::stop() {
  if (!impl_->own_runtime) return ok;
  auto end = [this](Ctx&) -> Task<> {
    Ctx work(impl_->core(), Deadline::never(), this);
    co_await impl_->take_down(work);
    co_return ok;
  };
  Status stopped = impl_->runtime->block_on(impl_->core(), end).status();
  if (impl_->phase != Impl::Phase::stopped) return stopped;  // the stop could not be requested
  end_life();
  return stopped;
}

/// Tasks that were left behind refer to all the parts, so these are kept until the process ends.
void App::end_life() {
  if (!impl_->left_behind()) return impl_->let_go();
  if (impl_->own_runtime) impl_->own_runtime->stop();
  static std::mutex mutex;
  static auto* kept = new std::vector<std::unique_ptr<Impl>>;
  auto rest = std::make_unique<Impl>(*this, impl_->func);
  rest->phase = Impl::Phase::stopped;
  std::swap(rest, impl_);
  const std::lock_guard lock(mutex);
  kept->push_back(std::move(rest));
}

Task<> App::start(Ctx& ctx, Embedding embedding) {
  if (impl_->phase != Impl::Phase::idle)
    co_return Status(Errc::failed_precondition, "an App can be started only once");
  if (!embedding.runtime)
    co_return Status(Errc::invalid_argument, "start(Ctx&, …) needs Embedding::runtime");
  impl_->embedding = std::move(embedding);
  if (Status prepared = impl_->prepare(); !prepared) co_return prepared;
  Ctx work(ctx.core(), ctx.deadline(), this);
  Ctx undo(ctx.core(), Deadline::never(), this);
  co_await impl_->bring_up(work, undo);
  co_return ok;
}

Task<> App::stop(Ctx& ctx) {
  Ctx work(ctx.core(), ctx.deadline(), this);
  co_await impl_->take_down(work);
  co_return ok;
}

Task<> App::reload(Ctx& ctx) { return impl_->reload(ctx); }
Task<> App::check_health(Ctx& ctx) { return impl_->check_health(ctx); }

namespace {

/// Objects that are created when the app starts; `what()` is the function that returns one.
template <class Made>
auto& made(const Made& part, const char* what) {
  if (!part) [[unlikely]]
    throw std::logic_error(std::string("app.") + what +
                           "() was called before the app started, when there is none: call it in a "
                           "service's or a part's constructor, in on_start, or later");
  return *part;
}

}  // namespace

const AppId& App::app_id() const { return impl_->id; }
Broadcaster* App::broadcaster() { return impl_->broadcasts.get(); }
Caller& App::caller() { return made(impl_->node, "caller").caller(); }
const std::string& App::func() const { return impl_->func; }
const AppConfig& App::config() const { return impl_->config; }
RpcNode& App::node() { return made(impl_->node, "node"); }
Runtime& App::runtime() { return made(impl_->runtime, "runtime"); }
MetricRegistry& App::metrics() { return made(impl_->metrics, "metrics"); }
HostPort App::address() const { return impl_->calls ? impl_->calls->address() : HostPort(); }
HostPort App::admin_address() const { return impl_->admin ? impl_->admin->address() : HostPort(); }

std::vector<std::string> App::service_names() const {
  return impl_->services ? impl_->services->names() : std::vector<std::string>();
}

}  // namespace m3
