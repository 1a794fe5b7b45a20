// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/detail/rpc_core.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <chrono>
#include <string>
#include <vector>

#include "m3/obs/log.h"
#include "m3/rpc/detail/client_connection.h"
#include "m3/rpc/detail/server_connection.h"
#include "m3/wire/metadata_codec.h"

namespace m3::rpc_detail {

RpcMetrics::RpcMetrics(MetricRegistry& registry) {
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const std::string code = errc_name(static_cast<Errc>(i));
    if (i == 11) continue;
    answers[i] = registry.counter("m3_rpc_answers_total", "Calls handled here, by outcome",
                                  {{"code", code}});
    outcomes[i] = registry.counter("m3_rpc_outcomes_total", "Calls made from here, by outcome",
                                   {{"code", code}});
  }
  auto refused = [&](const char* reason) {
    return registry.counter("m3_rpc_refused_total", "Calls refused before their handler",
                            {{"reason", reason}});
  };
  late = refused("late");
  not_admitted = refused("admission");
  saturated = refused("saturated");
  overloaded = refused("in_flight");
  unknown_method = refused("unknown_method");
  draining = refused("draining");
  bad_request = refused("bad_request");
  auto shed = [&](const char* kind) {
    return registry.counter("m3_rpc_shed_total", "Frames dropped because too many were waiting",
                            {{"kind", kind}});
  };
  shed_request = shed("request");
  shed_notify = shed("notify");
  calls = registry.counter("m3_rpc_calls_total", "Calls sent from here");
  retries = registry.counter("m3_rpc_retries_total", "Calls sent again to another instance");
  retries_denied =
      registry.counter("m3_rpc_retries_denied_total", "Retries that the budget did not allow");
  ejected =
      registry.counter("m3_rpc_ejected_total", "Instances left out for their errors or refusals");
  auto broken = [&](const char* reason) {
    return registry.counter("m3_rpc_connections_broken_total", "Connections ended by a fault",
                            {{"reason", reason}});
  };
  bad_frame = broken("bad_frame");
  dead_link = broken("dead_link");
  handshake_failed = broken("handshake");
  too_many_connections = broken("too_many");
  too_many_handshakes = broken("too_many_handshakes");
  answers_too_large = registry.counter("m3_rpc_answers_dropped_total",
                                       "Answers dropped because the caller does not read fast "
                                       "enough: it got resource_exhausted instead");
  notifies_unsent = registry.counter("m3_rpc_notifies_unsent_total",
                                     "Notifies that were unsent when their connection was lost");
  escaped = registry.counter("m3_rpc_escaped_contexts_total",
                             "Calls that ended while work was still waiting under their context");
  unexpected_response = registry.counter("m3_rpc_unexpected_responses_total",
                                         "Answers that no caller was waiting for");
  server_connections = registry.core_gauge("m3_rpc_server_connections", "Accepted connections");
  client_connections = registry.core_gauge("m3_rpc_client_connections", "Dialled connections");
  running = registry.core_gauge("m3_rpc_running_handlers", "Handlers that are running");
}

/// Concurrent handshakes per core.
constexpr std::size_t kMostHandshakes = 1024;

RpcCore::RpcCore(Core& core, RpcShared& shared, std::unique_ptr<Transport> transport)
    : core_(core),
      shared_(shared),
      transport_(std::move(transport)),
      metrics_(shared.metrics),
      times_(core, shared.metrics, alive_),
      caller_(*this),
      scope_(core, shared.host) {}

RpcCore::~RpcCore() {
  assert(connections_ == nullptr && running_.count() == 0 &&
         "an RpcCore was destroyed before stop()");
}

void RpcCore::add(Connection& connection) {
  connection.ref();
  connection.list_next = connections_;
  connection.list_prev = nullptr;
  if (connections_) connections_->list_prev = &connection;
  connections_ = &connection;
  ++connection_count_;
}

void RpcCore::remove(Connection& connection) {
  (connection.list_prev ? connection.list_prev->list_next : connections_) = connection.list_next;
  if (connection.list_next) connection.list_next->list_prev = connection.list_prev;
  --connection_count_;
  connection.unref();
}

void RpcCore::accept(std::unique_ptr<Stream> stream) {
  if (stopping_) return stream->close();
  Ref<ServerConnection> connection(new ServerConnection(*this, std::move(stream)));
  connection->open();
  if (handshakes_.size() <= kMostHandshakes) return;
  // The oldest has had the most time; an honest peer needs little of it.
  metrics_.too_many_handshakes.inc();
  const Ref<ServerConnection> oldest(handshakes_.front());
  oldest->close(Status(Errc::resource_exhausted, "too many connections").not_executed(), true);
}

ServerCall& RpcCore::take(CallSink& sink, const Dispatcher::Entry& entry, Deadline deadline,
                          std::uint64_t id) {
  ServerCall& call = *entry.binding.take(core_);
  call.ctx.reset(core_, deadline, shared_.host);
  call.ctx.set_name(entry.binding.info->full_name.data());
  call.home = this;
  call.method = entry.binding.info;
  call.sink = Ref<CallSink>(&sink);
  call.id = id;
  call.response_bytes = 0;
  call.began = ServerCall::kNotHandled;
  call.wants_answer = !entry.binding.info->notify;
  return call;
}

void RpcCore::dispatch(CallSink& sink, const Dispatcher::Entry& entry, const FrameHeader& header,
                       std::string_view metadata, std::string_view body, Deadline deadline,
                       const ProvenPeer& peer) {
  ServerCall& call = take(sink, entry, deadline, header.call_id);
  call.ctx.set_caller(peer.app_id, peer.is_operator);
  call.ctx.set_trail(0, static_cast<std::uint8_t>((header.flags >> kHopsShift) + 1));
  call.request_bytes = static_cast<std::uint32_t>(body.size());
  call.admitted = has_admissions();
  Status bad;
  if (!metadata.empty()) {
    bad = decode_metadata(metadata, call.metadata);
    call.ctx.set_incoming(&call.metadata);
  }
  if (bad.is_ok() && !call.request().ParseFromArray(body.data(), static_cast<int>(body.size())))
    bad = Status(Errc::invalid_argument,
                 "the request is not a valid " + call.request().GetTypeName());
  if (bad.is_ok()) return run(call, entry);
  metrics_.bad_request.inc();
  fail(call, std::move(bad).not_executed());
}

/// Without its handler.
void RpcCore::fail(ServerCall& call, Status why) {
  struct Bad {
    static Task<> with(Status status) { co_return status; }
  };
  running_.add();
  metrics_.running.inc();
  call.chain = Bad::with(std::move(why));
  auto frame = call.chain.frame();
  async_detail::start_root(frame, frame.promise(), &ServerCall::ended, &call);
  finish(call);
}

Status RpcCore::admit(const AdmissionRequest& request) {
  for (std::size_t i = 0; i < admissions_.size(); ++i) {
    Status status = admissions_[i]->admit(request);
    if (status.is_ok()) continue;
    metrics_.not_admitted.inc();
    for (std::size_t before = i; before-- > 0;)
      admissions_[before]->ended(request.method, status, Nanos(0));
    return std::move(status).not_executed();
  }
  return ok;
}

/// For a request that all had admitted.
void RpcCore::tell_admissions(ServerCall& call, const Status& outcome) {
  if (!std::exchange(call.admitted, false)) return;
  const bool handled = call.began != ServerCall::kNotHandled;
  const Nanos took = handled ? core_.now() - call.began : Nanos(0);
  for (const auto& admission : admissions_) admission->ended(*call.method, outcome, took);
}

void RpcCore::dispatch_local(CallSink& sink, const Dispatcher::Entry& entry,
                             const google::protobuf::MessageLite& request, const Metadata* metadata,
                             Deadline deadline, std::uint64_t id, const Ctx::Facts& from) {
  ServerCall& call = take(sink, entry, deadline, id);
  call.ctx.set_caller(shared_.id.to_string(), shared_.all_are_operators());
  call.ctx.set_trail(static_cast<std::uint8_t>(from.depth + 1), from.hops);
  call.request().Clear();
  call.request().CheckTypeAndMergeFrom(request);
  call.request_bytes = static_cast<std::uint32_t>(request.ByteSizeLong());
  if (metadata) {
    call.metadata = *metadata;
    call.ctx.set_incoming(&call.metadata);
  }
  if (has_admissions()) {
    Status admitted = admit(
        {*call.method, call.ctx.caller(), {}, call.request_bytes, Nanos(0), call.ctx.remaining()});
    if (!admitted.is_ok()) return fail(call, std::move(admitted));
    call.admitted = true;
  }
  run(call, entry);
}

Status RpcCore::deliver(std::string_view bytes, Deadline deadline, std::string_view peer) {
  /// The sink of a notify: no answer is expected. Keeps the peer's name for the handler.
  struct Nowhere final : CallSink, async_detail::Pooled {
    Nowhere(std::string_view from, std::size_t& under_way)
        : size(from.copy(name.data(), name.size())), count(under_way) {
      ++count;
    }
    /// Not in the destructor: a call that was left behind may outlive the core.
    void answer(ServerCall&, Status) override { --count; }
    void suspended(ServerCall&) override {}
    bool abandon(ServerCall&) override { return false; }  // the handler may ask for its caller
    void expire() noexcept override { delete this; }
    std::string_view peer() const { return {name.data(), size}; }
    std::array<char, 4 * kMaxIdPart + 3> name;  // an app id: no other allocation
    const std::size_t size;
    std::size_t& count;
  };
  const auto refuse = [](Counter& counter, Errc code, std::string why) {
    counter.inc();
    return Status(code, std::move(why));
  };
  FrameReader reader(bytes, config().limits);
  Frame frame;
  if (!reader.next(frame) || frame.header.kind != FrameKind::notify ||
      reader.consumed() != bytes.size())
    return refuse(metrics_.bad_request, Errc::invalid_argument, "not one notify frame");
  if (draining()) return refuse(metrics_.draining, Errc::unavailable, "draining");
  const Dispatcher::Entry* entry = shared_.dispatcher.find(frame.header.method);
  if (!entry)
    return refuse(metrics_.unknown_method, Errc::unimplemented,
                  "no method has the number " + std::to_string(frame.header.method));
  if (!entry->binding.info->notify)
    return refuse(
        metrics_.bad_request, Errc::invalid_argument,
        std::string(entry->binding.info->full_name) + " is not a notify method: it has a response");
  if (deadline.passed(core_.now()))
    return refuse(metrics_.late, Errc::deadline_exceeded,
                  "its deadline had passed when its turn came");
  if (delivered_ >= config().limits.max_calls || memory_full(frame.body.size()))
    return refuse(metrics_.overloaded, Errc::resource_exhausted,
                  "too many notifies, or bytes of calls, are in progress here");
  if (has_admissions()) {
    Status admitted = admit({*entry->binding.info, peer, frame.metadata, frame.body.size(),
                             Nanos(0), deadline.remaining(core_.now())});
    if (!admitted.is_ok()) return admitted;
  }
  auto* sink = new Nowhere(peer, delivered_);
  const Ref<CallSink> keep(sink);
  dispatch(*sink, *entry, frame.header, frame.metadata, frame.body, deadline,
           {sink->peer(), shared_.all_are_operators()});
  return ok;
}

/// Moves a quarter of the way to what was measured last.
void RpcCore::learn_cost(const Dispatcher::Entry& entry, Nanos took) {
  if (entry.index >= costs_.size()) costs_.resize(entry.index + 1);
  Nanos& cost = costs_[entry.index];
  cost += (took - cost) / 4;
  mean_cost_ += (took - mean_cost_) / 16;
}

void RpcCore::wait_for(ServerCall& call) {
  call.waiting_prev = nullptr;
  call.waiting_next = waiting_;
  if (waiting_) waiting_->waiting_prev = &call;
  waiting_ = &call;
  call.waits = true;
  waiting_bytes_ += call.request_bytes;
}

void RpcCore::no_longer_waits(ServerCall& call) {
  if (!std::exchange(call.waits, false)) return;
  (call.waiting_prev ? call.waiting_prev->waiting_next : waiting_) = call.waiting_next;
  if (call.waiting_next) call.waiting_next->waiting_prev = call.waiting_prev;
  waiting_bytes_ -= call.request_bytes;
}

void RpcCore::run(ServerCall& call, const Dispatcher::Entry& entry) {
  assert(!core_.walking() && "a handler starts while a list is being walked");
  entry.requests.inc();
  call.began = core_.now();
  running_.add();
  metrics_.running.inc();
  core_.set_task_name(call.ctx.name());
  bool ended = false;
  if (shared_.server_interceptors.around(*call.method).empty() && !entry.runner) {
    ended = call.start(*entry.service);
  } else {
    call.chain = intercepted(call, entry);
    auto frame = call.chain.frame();
    ended = async_detail::start_root(frame, frame.promise(), &ServerCall::ended, &call);
  }
  if (ended) return finish(call);
  wait_for(call);
  call.sink->suspended(call);
}

/// The inner end of the interceptors: the handler, or the service that runs it.
class RpcCore::Handling final : public Interceptor::Next, public IncomingCall {
 public:
  Handling(ServerCall& call, const Dispatcher::Entry& entry, InterceptedCall& info)
      : call_(call), entry_(entry), info_(info) {}

  Task<> operator()(Ctx&) override {
    if (std::exchange(entered_, true))
      co_return Status(Errc::internal,
                       "an interceptor called next() again: a request is handled once, and only "
                       "its caller may retry it");
    if (entry_.runner) {
      const Status ran = (co_await as_result(entry_.runner->run(call_.ctx, *this))).status();
      call_.ctx.put_reply(std::move(reply_));
      if (!ran.is_ok()) co_return ran;
      if (!handled_)
        co_return Status(Errc::internal, "its service ended the call without handling it");
    } else {
      co_await call_.handler(*entry_.service, call_.ctx);
    }
    info_.response = call_.response();
    co_return ok;
  }

  const MethodInfo& method() const noexcept override { return *call_.method; }
  const google::protobuf::MessageLite& request() const noexcept override { return call_.request(); }
  Task<> handle(Ctx& ctx) override {
    if (std::exchange(handled_, true))
      co_return Status(Errc::internal, "its service handled the call a second time");
    Status outcome = (co_await as_result(call_.handler(*entry_.service, ctx))).status();
    if (&ctx != &call_.ctx) reply_ = ctx.take_reply();
    co_return outcome;
  }

 private:
  ServerCall& call_;
  const Dispatcher::Entry& entry_;
  InterceptedCall& info_;
  std::unique_ptr<Metadata> reply_;  // of another context
  bool entered_ = false;
  bool handled_ = false;
};

Task<> RpcCore::intercepted(ServerCall& call, const Dispatcher::Entry& entry) {
  InterceptedCall info{*call.method, call.request(), nullptr, call.ctx.caller()};
  Handling handling(call, entry, info);
  Chain chain(shared_.server_interceptors.around(*call.method), info, handling);
  co_await chain.run(call.ctx);
  co_return ok;
}

std::coroutine_handle<> ServerCall::ended(void* call) {
  auto* self = static_cast<ServerCall*>(call);
  if (self->home) {
    self->home->finish(*self);
  } else {  // left behind by a stop: its answer is no longer expected
    calls_left_behind.fetch_sub(1, std::memory_order_relaxed);
    self->chain = Task<>();
    const Ref<CallSink> sink = std::move(self->sink);
    self->recycle();
  }
  return std::noop_coroutine();
}

bool ServerCall::clear() {
  if (ctx.in_use()) {
    if (home) home->metrics().escaped.inc();
    log::error_limited(
        "{} has ended, but work that it started still waits under its Ctx: that work is cancelled. "
        "Work that outlives a call needs a Ctx of its own: scope.spawn(name, [](m3::Ctx& own) "
        "{{ … }})",
        method->full_name);
    ctx.cancel(CancelReason::ended);
    // Escaped work may use the context again later, so the record must not be reused for another
    // call.
    static std::atomic<ServerCall*> kept_for_good{nullptr};
    bucket_next = kept_for_good.load(std::memory_order_relaxed);
    while (!kept_for_good.compare_exchange_weak(bucket_next, this)) {
    }
    return false;
  }
  if (ctx.incoming()) metadata.clear();
  ctx.reset(ctx.core(), Deadline::never(), nullptr);
  home = nullptr;
  return true;
}

void RpcCore::finish(ServerCall& call) {
  metrics_.running.dec();
  no_longer_waits(call);
  if (call.began != ServerCall::kNotHandled) times_.ended(call.began);
  Status outcome = call.chain.valid() ? call.chain.frame().promise().take_result().status()
                                      : call.take_outcome();
  // An error of a call that the handler made is its outcome: this call has run.
  if (!outcome.is_ok()) outcome = std::move(outcome).of_handler();
  if (call.admitted) [[unlikely]]
    tell_admissions(call, outcome);
  const auto code = static_cast<std::size_t>(outcome.code());
  metrics_.answers[code < metrics_.answers.size() ? code : 2].inc();
  if (outcome == Errc::internal)
    log::error_limited(call.ctx, "{} failed: {}", call.method->full_name, outcome.to_string());
  if (!call.wants_answer && !outcome.is_ok() && outcome != Errc::internal)
    log::warn_limited(call.ctx, "notify {} failed: {}", call.method->full_name,
                      outcome.to_string());
  call.sink->answer(call, std::move(outcome));
  call.chain = Task<>();
  Ref<CallSink> sink = std::move(call.sink);  // lets go last
  call.recycle();
  running_.done();
}

void RpcCore::begin_drain() {
  draining_ = true;
  begin_leave();
}

void RpcCore::begin_leave() {
  if (std::exchange(leaving_, true)) return;
  const Walk walk;
  for (Connection* c = connections_; c; c = c->list_next)
    if (c->is_established()) c->ask_to_drain();
}

Task<> RpcCore::drained(Ctx& ctx) {
  co_await running_.zero(ctx);
  co_return ok;
}

void RpcCore::close_connections(const Status& why) {
  std::vector<Ref<Connection>> all;
  for (Connection* c = connections_; c; c = c->list_next) all.emplace_back(c);
  for (auto& connection : all) connection->close(why, true);
}

void RpcCore::cancel_waiting(CancelReason reason) {
  const Walk walk;
  for (ServerCall* call = waiting_; call; call = call->waiting_next) call->ctx.cancel(reason);
}

/// Cancelled handlers that do not finish wait for something that ignores the cancellation.
Status RpcCore::leave_behind() {
  std::size_t count = 0;
  while (ServerCall* call = waiting_) {
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(core_.read_clock() - call->began);
    log::error_limited("{} was cancelled but has not finished after {} ms: left behind{}",
                       call->method->full_name, ms.count(),
                       call->ctx.in_use() ? "" : " (it waits, but not under its call's Ctx)");
    ++count;
    no_longer_waits(*call);
    tell_admissions(*call, Status(Errc::cancelled, "left behind"));
    calls_left_behind.fetch_add(1, std::memory_order_relaxed);
    call->home = nullptr;
    if (call->sink->abandon(*call)) call->sink.reset();
    metrics_.running.dec();
    running_.done();
  }
  if (count == 0) return ok;
  return Status(Errc::deadline_exceeded,
                std::to_string(count) + " handlers did not finish and were left behind");
}

Task<> RpcCore::stop(Ctx& ctx) {
  begin_drain();
  const Status why(Errc::unavailable, "shutting down");
  caller_.close(why);
  stopping_ = true;
  close_connections(why);
  cancel_waiting(CancelReason::shutdown);
  (void)co_await as_result(drained(ctx));
  Status left = leave_behind();
  Ctx rest(core_);  // what is left ends by itself
  co_await scope_.close(rest);
  close_connections(why);  // of peers that were dialling meanwhile
  // Closed connections are deleted when the queues that know them have run.
  co_await alive_.zero(rest);
  co_return left;
}

}  // namespace m3::rpc_detail
