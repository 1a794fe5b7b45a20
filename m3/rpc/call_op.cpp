// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <string>

#include "m3/rpc/call_op.h"
#include "m3/rpc/caller.h"
#include "m3/rpc/detail/call_frame.h"
#include "m3/rpc/detail/client_connection.h"
#include "m3/rpc/detail/link.h"
#include "m3/rpc/detail/local_call.h"
#include "m3/rpc/detail/rpc_core.h"
#include "m3/wire/metadata_codec.h"

namespace m3 {

using rpc_detail::ClientConnection;
using rpc_detail::LocalCall;
using rpc_detail::request_metadata_of;
using rpc_detail::Serves;

namespace {
/// A larger budget would allow a retry storm.
constexpr double kMostRetries = 100;
/// This many unreachable instances cost a call none of its attempts.
constexpr std::uint8_t kMostUnreached = 8;
/// Calls inside a process begin on the stack of the call that makes them.
constexpr std::uint8_t kMostNested = 64;

Peers::By chosen_by(RouteMode mode) {
  if (mode == RouteMode::p2p || mode == RouteMode::actor) return Peers::By::name;
  return mode == RouteMode::random ? Peers::By::chance : Peers::By::key;
}

}  // namespace

/// A call for which there is no instance yet.
struct CallOp::RouteWait final : RouteWaiter, async_detail::TimerNode {
  RouteWait(CallOp& owner, Nanos limit)
      : TimerNode(async_detail::run_member<TimerNode, &RouteWait::on_timer>),
        op(owner),
        until(op.ctx().core().read_clock() + limit) {}
  ~RouteWait() { RouteWaiters::remove(*this); }
  void on_route_change() override { op.on_route_change(); }
  void on_timer() {
    RouteWaiters::remove(*this);
    op.phase_ = Phase::idle;
    op.end(std::move(why));
  }
  CallOp& op;
  TimePoint until;
  Status why;
};

CallOp::CallOp(Caller& caller, Ctx& ctx, const ServiceId& service, const MethodInfo& method,
               const google::protobuf::MessageLite& request,
               google::protobuf::MessageLite* response, Route route)
    : CtxOp(ctx),
      caller_(caller),
      service_(service),
      method_(method),
      request_(request),
      response_(response),
      route_(std::move(route)) {}

CallOp::CallOp(CallOp&& other) noexcept
    : CtxOp(other.ctx()),
      caller_(other.caller_),
      service_(other.service_),
      method_(other.method_),
      request_(other.request_),
      response_(other.response_),
      route_(std::move(other.route_)) {}

CallOp::~CallOp() = default;

bool CallOp::start(async_detail::Waiter& waiter) {
  if (refused()) {
    error() = std::move(error()).not_executed();
    tally(error());
    return true;
  }
  const Nanos timeout = method_.timeout_ms ? std::chrono::milliseconds(method_.timeout_ms)
                                           : caller_.core_.config().default_timeout;
  // A context's deadline limits the call; a method's own timeout may be shorter.
  deadline_ = ctx().deadline();
  if (method_.timeout_ms)
    deadline_ = deadline_.sooner(Deadline(ctx().core().read_clock() + timeout));
  else if (deadline_.is_never())
    deadline_ = Deadline(ctx().core().now() + timeout);
  caller_.core_.metrics().calls.inc();
  caller_.retries_ = std::min(caller_.retries_ + caller_.core_.config().retry_budget, kMostRetries);
  if (attempt()) {
    count_out();
    tally(error());
    return true;
  }
  if (ctx().cancelled()) {  // by a handler of this process that ran during the attempt
    forget();
    error() = cancel_status();
    tally(error());
    return true;
  }
  suspend(waiter);
  if (deadline_ < ctx().deadline()) ctx().core().timers().add(timer_, deadline_.at());
  return false;
}

void CallOp::tally(Status& outcome) {
  if (!outcome.is_ok()) outcome = std::move(outcome).of_callee();
  const auto code = static_cast<std::size_t>(outcome.code());
  auto& outcomes = caller_.core_.metrics().outcomes;
  outcomes[code < outcomes.size() ? code : static_cast<std::size_t>(Errc::unknown)].inc();
}

/// One instance for this attempt; the last one tried is avoided.
Pick CallOp::pick() {
  const RouteMode mode = this->mode();
  std::string key_buffer;
  std::string_view key = route_.key();
  auto wrong = [](std::string text) {
    return Pick{nullptr, Status(Errc::invalid_argument, std::move(text)), {}, nullptr};
  };
  const std::string_view name = method_.full_name;
  if (mode == RouteMode::hash && (route_.mode() == RouteMode::none || route_.key_from_request())) {
    if (!method_.route_key)
      return wrong(std::string(name) +
                   " has no route_key to hash: name one in its .proto, or add m3::to::hash(key)");
    key_buffer = method_.route_key(request_);
    key = key_buffer;
  }
  if (mode == RouteMode::p2p && key.empty())
    return wrong(std::string(name) + " is sent to a named app: add m3::to::app(id)");
  if (mode == RouteMode::actor && key.empty())
    return wrong(std::string(name) + " is sent to an actor: add m3::to::actor(id)");
  if (mode != RouteMode::p2p && service_.empty())
    return wrong("the client's world or func cannot be part of an app id");
  return caller_.pick({service_, mode, key, slot_, caller_.peers_, lacking_ ? &method_ : nullptr});
}

void CallOp::count_in(const Instance& instance) {
  count_out();
  counted_ = instance.slot;
  Peers::State& state = caller_.peers_[counted_];
  ++state.in_flight;
  if (state.standing != Peers::Standing::trusted && may_choose()) [[unlikely]]
    trial_ = caller_.peers_.begin_trial(state);
}

void CallOp::count_out() noexcept {
  const std::uint32_t slot = std::exchange(counted_, kNoSlot);
  if (slot == kNoSlot) return;
  Peers::State& state = caller_.peers_[slot];
  --state.in_flight;
  if (std::exchange(trial_, false)) [[unlikely]]
    caller_.peers_.end_trial(state);
}

/// Before count_out(): what it says about the instance that has the call.
void CallOp::note(const Status& outcome) {
  caller_.note(connection_->instance(), outcome, trial_, chosen_by(mode()));
}

/// True: ended now, error() says how. False: something will call settle() or end().
bool CallOp::attempt() {
  for (bool again = false;; again = true) {
    const bool knows_who_lacks = lacking_;
    const Pick found = pick();
    if (!found.instance) {
      if (wait_for_route(found)) return false;
      error() = Status(found.why).not_executed();
      return true;
    }
    const Instance& instance = *found.instance;
    const bool elsewhere = instance.slot != slot_;
    if (!refusal_.is_ok() && !elsewhere) {
      error() = std::move(refusal_);
      return true;
    }
    if (again && !refusal_.is_ok()) caller_.core_.metrics().retries.inc();
    const Sent how = try_on(instance);
    if (how == Sent::waiting || how == Sent::ended) return how == Sent::ended;
    if (how == Sent::lacks) {
      if (may_choose() && !knows_who_lacks) continue;
      error() = !refusal_.is_ok() ? std::move(refusal_) : lacking();
      return true;
    }
    refusal_ = std::exchange(error(), Status()).not_executed();
    if (may_retry(refusal_) && elsewhere) continue;
    error() = std::move(refusal_);
    return true;
  }
}

CallOp::Sent CallOp::try_on(const Instance& instance) {
  if (!instance.id.empty() && instance.id == caller_.core_.shared().id)
    return start_local(instance);
  link_ = &caller_.link_to(instance);
  connection_ = link_->ready();
  if (connection_)
    if (const Sent found = look_up(); found != Sent::waiting) return found;
  slot_ = instance.slot;
  ++attempts_;
  if (connection_) return send();
  Status status = link_->wait(*this);
  if (!status.is_ok()) {
    error() = std::move(status);
    return Sent::refused;
  }
  phase_ = Phase::connecting;
  count_in(instance);
  return Sent::waiting;
}

bool CallOp::wait_for_route(const Pick& found) {
  const TimePoint now = ctx().core().now();
  if (found.worth_waiting <= Nanos(0) || !found.waiters) return false;
  if (!route_wait_) route_wait_ = std::make_unique<RouteWait>(*this, found.worth_waiting);
  if (route_wait_->until <= now) return false;
  route_wait_->why = Status(found.why).not_executed();
  phase_ = Phase::routing;
  found.waiters->add(*route_wait_);
  ctx().core().timers().add(*route_wait_, route_wait_->until);
  return true;
}

void CallOp::on_route_change() {
  route_wait_->cancel();
  settle_later(ok);
}

/// The metadata of the request; most calls have none.
std::optional<Metadata> CallOp::request_metadata() const {
  return request_metadata_of(ctx(), method_, route_);
}

/// Whether the instance serves the method. `waiting`: it does.
CallOp::Sent CallOp::look_up() {
  switch (connection_->serves(method_)) {
    case Serves::yes:
      return Sent::waiting;
    case Serves::no:
      lacking_ = true;
      return Sent::lacks;
    default:
      error() = connection_->refusal_of(method_);
      return Sent::ended;
  }
}

Status CallOp::lacking() const {
  if (connection_) return connection_->refusal_of(method_);
  return Status(Errc::unimplemented, "this app does not serve " + std::string(method_.full_name))
      .not_executed();
}

/// Writes the frame. A notify is then finished.
CallOp::Sent CallOp::send() {
  ClientConnection& connection = *connection_;
  phase_ = Phase::idle;
  if (ctx().facts().hops >= kMostHops) [[unlikely]] {
    error() = rpc_detail::circle_status(method_);
    return Sent::ended;
  }
  if (connection.is_full()) {
    error() =
        Status(Errc::resource_exhausted, "too many calls in flight to " + connection.peer_name())
            .not_executed();
    return Sent::refused;
  }
  const std::optional<Metadata> metadata = request_metadata();
  const std::size_t meta = metadata ? encoded_metadata_size(*metadata) : 0;
  const std::size_t body = request_.ByteSizeLong();
  const WireLimits& limits = connection.peer().limits;
  if (kLeastLength + meta + body > limits.max_frame_bytes || meta > limits.max_metadata_bytes) {
    error() = Status(Errc::invalid_argument,
                     "the request of " + std::to_string(body) + " bytes with " +
                         std::to_string(meta) + " of metadata is over the connection's limits of " +
                         std::to_string(limits.max_frame_bytes) + " and " +
                         std::to_string(limits.max_metadata_bytes))
                  .not_executed();
    return Sent::ended;
  }
  const FrameKind kind = method_.notify ? FrameKind::notify : FrameKind::request;
  char* to = connection.reserve(kind, frame_size(meta, body));
  if (!to) {
    auto& metrics = caller_.core_.metrics();
    (method_.notify ? metrics.shed_notify : metrics.shed_request).inc();
    error() = connection.refusal().not_executed();
    return Sent::refused;
  }
  FrameHeader header;
  header.kind = kind;
  header.method = method_.hash;
  header.flags = static_cast<std::uint8_t>(ctx().facts().hops << kHopsShift);
  header.deadline = connection.wire_deadline(deadline_);
  if (!method_.notify) {
    call_id_ = connection.add(*this);
    header.call_id = call_id_;
    phase_ = Phase::waiting;
    count_in(connection.instance());
  } else {
    connection.note_use();
  }
  rpc_detail::write_call(to, header, metadata, meta, request_, body);
  connection.commit();
  sent_ = true;
  return method_.notify ? Sent::ended : Sent::waiting;
}

CallOp::Sent CallOp::start_local(const Instance& instance) {
  slot_ = instance.slot;
  connection_ = nullptr;
  const Dispatcher::Entry* entry = caller_.core_.shared().dispatcher.find(method_.hash);
  if (!entry) {
    lacking_ = true;
    return Sent::lacks;
  }
  ++attempts_;
  if (ctx().facts().depth >= kMostNested) {
    error() = Status(Errc::failed_precondition,
                     "calls inside this process form a cycle: " + std::string(method_.full_name) +
                         " is called by itself, or by calls that it made, " +
                         std::to_string(kMostNested) + " deep")
                  .not_executed();
    return Sent::ended;
  }
  if (caller_.core_.draining()) {
    error() = Status(Errc::unavailable, "draining").not_executed();
    return Sent::refused;
  }
  sent_ = true;
  auto* sink = new LocalCall(method_.notify ? nullptr : this);
  rpc_detail::Ref<LocalCall> keep(sink);
  phase_ = Phase::idle;  // an answer that arrives now is taken directly
  local_ = sink;
  if (!method_.notify) count_in(instance);
  const std::optional<Metadata> metadata = request_metadata();
  caller_.core_.dispatch_local(*sink, *entry, request_, metadata ? &*metadata : nullptr, deadline_,
                               0, ctx().facts());
  if (sink->gave_up()) return Sent::waiting;  // the cancellation has ended the call
  if (method_.notify || !local_) {
    local_ = nullptr;
    return Sent::ended;
  }
  phase_ = Phase::local;
  return Sent::waiting;
}

void CallOp::on_local_answer(const google::protobuf::MessageLite* answer, const Metadata* reply,
                             Status outcome) {
  local_ = nullptr;
  count_out();
  ctx().set_last_reply(reply);
  if (answer) {
    response_->Clear();
    response_->CheckTypeAndMergeFrom(*answer);
  }
  timer_.cancel();
  if (phase_ == Phase::idle) {
    error() = std::move(outcome);
    return;
  }
  phase_ = Phase::idle;
  tally(outcome);
  finish(std::move(outcome));
}

/// A call that was not sent, or that an instance refused, may be sent to any other; one that may
/// have run only if its connection was lost and it is idempotent.
bool CallOp::may_retry(const Status& outcome) const {
  if (attempts_ >= caller_.core_.config().max_attempts || mode() == RouteMode::p2p) return false;
  if (sent_) {
    if (outcome.maybe_executed()) {
      if (outcome != Errc::unavailable || !method_.idempotent) return false;
    } else if (Peers::answer_of(outcome, chosen_by(mode())) != Peers::Answer::refusal) {
      return false;
    }
  }
  return !deadline_.passed(caller_.core_.core().now());
}

void CallOp::on_link_ready() {
  phase_ = Phase::idle;
  connection_ = link_->ready();
  if (!connection_)
    return settle_later(Status(Errc::unavailable, "the connection closed at once").not_executed());
  Sent how = look_up();
  if (how == Sent::waiting) how = send();
  switch (how) {
    case Sent::waiting:
      return;
    case Sent::ended:
      return end(std::move(error()));
    case Sent::refused:
      return settle_later(std::move(error()));
    case Sent::lacks:
      --attempts_;  // nobody was asked
      return settle_later(ok);
  }
}

void CallOp::on_link_failed(const Status& why) {
  not_asked();
  settle_later(why);
}

/// An attempt is a request that was sent. Listed instances that do not answer take no attempts from
/// calls to the others.
void CallOp::not_asked() noexcept {
  if (unreached_ >= kMostUnreached) return;
  ++unreached_;
  --attempts_;
}

/// Another instance is better than a connection that takes long, or one to an instance that is
/// leaving; if there is no other, keep waiting for this one.
bool CallOp::goes_elsewhere() {
  if (!may_choose() || attempts_ >= caller_.core_.config().max_attempts) return false;
  const Pick other = pick();
  const bool usable = other.instance && caller_.peers_.usable(*other.instance);
  (void)caller_.peers_.take_to_dial();  // ensured by pick()
  if (!usable || other.instance->slot == slot_) return false;
  caller_.core_.metrics().retries.inc();
  not_asked();
  settle_later(ok);
  return true;
}

void CallOp::on_lost(const Status& why) {
  connection_ = nullptr;
  settle_later(why);
}

/// OK: pick again, for another reason than an error.
void CallOp::settle_later(Status outcome) {
  count_out();
  phase_ = Phase::settling;
  error() = std::move(outcome);
  ctx().core().ready(settle_);
}

void CallOp::on_settle() {
  if (phase_ != Phase::settling) return;  // cancelled or too late meanwhile
  phase_ = Phase::idle;
  Status outcome = std::exchange(error(), Status());
  if (!outcome.is_ok()) return settle(std::move(outcome));
  if (attempt()) end(std::move(error()));
}

/// An attempt failed while the caller waits: try another instance, or fail the call. A request that
/// was never sent can be moved freely; one that was sent is retried within the budget.
void CallOp::settle(Status outcome) {
  if (may_retry(outcome) && (!sent_ || caller_.take_retry())) {
    const bool was_sent = std::exchange(sent_, false);
    may_have_run_ |= outcome.maybe_executed();
    // The same instance would refuse it again.
    refusal_ = was_sent && !outcome.maybe_executed() ? std::move(outcome) : Status();
    const bool ended = attempt();
    if (!ended || sent_) caller_.core_.metrics().retries.inc();
    if (!ended) return;
    if (was_sent && !sent_) caller_.return_retry();
    outcome = std::move(error());
  }
  end(std::move(outcome));
}

void CallOp::on_response(const Metadata* metadata, std::string_view body, bool not_executed) {
  phase_ = Phase::idle;
  if (metadata || ctx().last_reply()) ctx().set_last_reply(metadata);
  Status outcome;
  if (metadata && metadata->status && metadata->status->code != 0) {
    outcome = metadata->status->to_status();
    if (not_executed) outcome = std::move(outcome).not_executed();
  } else if (!response_->ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    outcome = Status(Errc::internal, "the answer of " + std::string(method_.full_name) +
                                         " is not a valid " + response_->GetTypeName());
  }
  note(outcome);
  connection_ = nullptr;
  if (!outcome.is_ok() && may_retry(outcome)) return settle_later(std::move(outcome));
  end(std::move(outcome));
}

void CallOp::end(Status outcome) {
  timer_.cancel();
  count_out();
  // An earlier attempt may have run, whatever the outcome of the last one.
  if (may_have_run_ && !outcome.maybe_executed())
    outcome = Status(outcome.code(), outcome.text())
                  .with_app_code(outcome.app_code())
                  .with_retry_after(outcome.retry_after());
  tally(outcome);
  finish(std::move(outcome));
}

void CallOp::on_timer() {
  Status late(Errc::deadline_exceeded,
              std::string(method_.full_name) + " was not answered in time");
  if (phase_ == Phase::waiting) note(late);
  forget();
  end(sent_ || may_have_run_ ? std::move(late) : std::move(late).not_executed());
}

void CallOp::forget() noexcept {
  count_out();
  switch (std::exchange(phase_, Phase::idle)) {
    case Phase::routing:
      route_wait_.reset();
      break;
    case Phase::connecting:
      link_->leave(*this);
      break;
    case Phase::waiting:
      connection_->forget(call_id_, true);
      break;
    case Phase::local:
      local_->give_up(CancelReason::caller_gone);
      break;
    case Phase::idle:  // its handler of this process runs now, if there is one
      if (local_) local_->give_up(CancelReason::caller_gone);
      break;
    case Phase::settling:
      break;
  }
  connection_ = nullptr;
  local_ = nullptr;
  timer_.cancel();
}

void CallOp::detach() noexcept {
  Status why = ctx().status();
  // Whose deadline it was, the context's or the call's, says nothing about the instance.
  if (phase_ == Phase::waiting && why == Errc::deadline_exceeded) note(why);
  forget();
  tally(why);
}

Status CallOp::cancel_status() const {
  Status status = CtxOp::cancel_status();
  if (!sent_ && !may_have_run_) return std::move(status).not_executed().of_callee();
  return status;
}

}  // namespace m3
