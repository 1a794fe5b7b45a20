// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/async/bound.h"
#include "m3/async/clock.h"
#include "m3/async/leaf.h"
#include "m3/async/timer_wheel.h"
#include "m3/base/metadata.h"
#include "m3/base/status.h"

namespace m3 {

class Host;

class Core;
class Ctx;
class SerialTurn;
struct LogContext;

/// Why a context was cancelled.
enum class CancelReason : std::uint8_t {
  none,
  caller_gone,
  deadline,
  overload,
  shutdown,
  superseded,
  ended  ///< the call it belonged to has ended: a bug in the code that still waits under it
};

namespace async_detail {

/// Something that ends when a Ctx is cancelled. Core-local, linked into the Ctx.
class CancelNode {
 public:
  /// `on_cancel` runs once, after the node was unlinked. It must not resume coroutines itself: it
  /// passes them to the core's ready queue.
  explicit CancelNode(void (*on_cancel)(CancelNode&)) noexcept : on_cancel_(on_cancel) {}
  CancelNode(const CancelNode&) = delete;
  CancelNode& operator=(const CancelNode&) = delete;
  ~CancelNode() { unlink(); }
  void unlink() noexcept;

 private:
  friend class m3::Ctx;
  CancelNode* prev_ = nullptr;
  CancelNode* next_ = nullptr;
  void (*on_cancel_)(CancelNode&);
};

}  // namespace async_detail

/// The context of a piece of work: its deadline, its cancellation, and, for a call, the caller and
/// the metadata. Owned by the code that runs the work (the dispatcher, a Scope); handlers get a
/// reference that is valid until their Task has ended: work that outlives it takes its own
/// (Scope::spawn). A Ctx that is destroyed while operations wait under it ends the process.
///
/// Core-local. On another core its operations fail with failed_precondition, and cancel() ends the
/// process.
class Ctx {
 public:
  /// Facts about the call that the context works for. A child context, or one on another core
  /// (run_on), has the same facts.
  struct Facts {
    Host* host = nullptr;                ///< the app, which m3::call uses
    const char* name = "";               ///< static text
    const Metadata* incoming = nullptr;  ///< stays as it is while a context refers to it
    std::string_view caller;             ///< as proven by its connection
    bool by_operator = false;            ///< the caller has proven the operator's token, too
    SerialTurn* turn = nullptr;          ///< of the serial service whose handler this is
    std::uint8_t depth = 0;              ///< calls inside this process that led here
    std::uint8_t hops = 0;               ///< calls between processes that led here
  };

  /// A root. `host` is the app it runs in, which m3::call uses; may be null.
  explicit Ctx(Core& core, Deadline deadline = Deadline::never(), Host* host = nullptr) noexcept;
  /// For the call described by `facts`, which must outlive it.
  Ctx(Core& core, Deadline deadline, const Facts& facts) noexcept;
  /// Cancelled with `parent`, and at `deadline` if that is sooner; has the parent's facts.
  Ctx(Ctx& parent, Deadline deadline) noexcept;
  Ctx(const Ctx&) = delete;
  Ctx& operator=(const Ctx&) = delete;
  ~Ctx();

  Core& core() const noexcept { return *core_; }
  Host* host() const noexcept { return facts_.host; }
  const Facts& facts() const noexcept { return facts_; }

  Deadline deadline() const noexcept { return deadline_; }
  /// Time left by the clock, Nanos::max() when there is no deadline.
  Nanos remaining() const;

  bool cancelled() const noexcept { return reason_ != CancelReason::none; }
  CancelReason reason() const noexcept { return reason_; }
  /// OK, or the error of the operations that wait.
  Status status() const;
  /// All operations that wait under this context fail. The first reason is kept.
  void cancel(CancelReason reason);

  /// The request's metadata; "" when absent. Keys are case-insensitive.
  std::string_view meta(std::string_view key) const;
  /// The caller's app id, as its connection has proven it; "" when there is none (a Scope's own
  /// work, an anonymous tool).
  std::string_view caller() const noexcept { return facts_.caller; }
  /// Whether the caller may change the state of this app: it has proven rpc.operator_token, or none
  /// is configured.
  bool by_operator() const noexcept { return facts_.by_operator; }
  /// W3C traceparent of the request; "" when absent.
  std::string_view traceparent() const;
  /// The request's metadata; null when there is none.
  const Metadata* incoming() const noexcept { return facts_.incoming; }

  /// Metadata of the calls made with this context from now on. Metadata of the request is not
  /// forwarded automatically. invalid_argument when the key is not one (is_metadata_key).
  Status set_outgoing_meta(std::string_view key, std::string value);
  void clear_outgoing_meta() noexcept;
  const Metadata* outgoing() const noexcept { return outgoing_.get(); }
  /// Metadata for this request's answer.
  Status set_reply_meta(std::string_view key, std::string value);
  const Metadata* reply() const noexcept { return reply_.get(); }
  /// For code that runs a call under another context: moves the metadata that was set there.
  std::unique_ptr<Metadata> take_reply() noexcept { return std::move(reply_); }
  /// Beside what is set here already.
  void put_reply(std::unique_ptr<Metadata> reply);
  /// Metadata that came with the answer of the last call made with this context; null when none
  /// did.
  const Metadata* last_reply() const noexcept { return last_reply_.get(); }

  /// Whether an operation, or a context made from this one, still depends on it.
  bool in_use() const noexcept { return waiting_.next_ != &waiting_ || resuming_ > 0; }

  /// Static text that names this work for the stall watchdog and the log.
  const char* name() const noexcept { return facts_.name; }
  void set_name(const char* name) noexcept { facts_.name = name; }

  /// For the dispatcher only.
  void set_incoming(const Metadata* metadata) noexcept { facts_.incoming = metadata; }
  /// `app_id` stays valid as long as the context.
  void set_caller(std::string_view app_id, bool by_operator = false) noexcept {
    facts_.caller = app_id;
    facts_.by_operator = by_operator;
  }
  void set_trail(std::uint8_t depth, std::uint8_t hops) noexcept {
    facts_.depth = depth;
    facts_.hops = hops;
  }
  /// `turn` outlives the context.
  void set_turn(SerialTurn* turn) noexcept { facts_.turn = turn; }
  void set_last_reply(const Metadata* metadata);
  void add(async_detail::CancelNode& node);
  /// An operation has ended, and its coroutine is in the ready queue; then it is resumed.
  void will_resume() noexcept { ++resuming_; }
  void resumes() noexcept { --resuming_; }
  /// Starts the deadline's timer; waiting operations do so when they suspend.
  void watch_deadline();
  /// Back to the state after construction, for pooled records.
  void reset(Core& core, Deadline deadline, Host* host) noexcept;

 private:
  void demand_core() const noexcept;
  [[noreturn]] void end_with_waiters() const noexcept;
  void on_deadline() { cancel(CancelReason::deadline); }
  void on_parent_cancelled() { cancel(parent_->reason_); }

  Core* core_;
  Ctx* parent_ = nullptr;
  Deadline deadline_;
  CancelReason reason_ = CancelReason::none;
  unsigned resuming_ = 0;
  Facts facts_;
  std::unique_ptr<Metadata> outgoing_;
  std::unique_ptr<Metadata> reply_;
  std::unique_ptr<Metadata> last_reply_;
  async_detail::CancelNode waiting_{nullptr};  // list head
  async_detail::Bound<async_detail::TimerNode, &Ctx::on_deadline> timer_{*this};
  async_detail::Bound<async_detail::CancelNode, &Ctx::on_parent_cancelled> parent_link_{*this};
};

/// So that `log::info(ctx, "…")` carries the trace of the request (m3/obs/log.h).
LogContext log_context(const Ctx& ctx);

namespace async_detail {

/// A callback to run soon on a core: in this turn (Core::ready) or from another thread
/// (Core::post). Intrusive: linked at most once at a time; the owner keeps it alive until it has
/// run.
struct Runnable {
  explicit Runnable(void (*fn)(Runnable&)) noexcept : run(fn) {}
  Runnable(const Runnable&) = delete;
  Runnable& operator=(const Runnable&) = delete;
  void (*run)(Runnable&);
  Runnable* next = nullptr;
};

class CoreBound;

/// Base of leaf ops that end early when their Ctx is cancelled or its deadline passes. Derived
/// classes call suspend() when they really wait, finish() or finish(error) when done, and implement
/// detach(), which is called when the op is cancelled and must remove it from all lists. The
/// coroutine is resumed by the ready queue.
class CtxOp : CancelNode, Runnable {
 public:
  using m3_leaf_op = void;

  Status& error() noexcept { return error_; }

 protected:
  explicit CtxOp(Ctx& ctx) noexcept;
  /// Only an op that has not started moves (into as_result).
  CtxOp(CtxOp&& other) noexcept : CtxOp(other.ctx_) {}
  virtual ~CtxOp() = default;

  Ctx& ctx() const noexcept { return ctx_; }
  /// True: the context is over, or belongs to another core; error() says so and start() must return
  /// true. The first question of every start().
  bool refused();
  /// True: the context belongs to another core; likewise.
  bool misplaced();
  /// True: the object that the op waits for (`what` names its type) belongs to another core;
  /// likewise.
  bool misplaced(CoreBound& object, const char* what);
  void suspend(Waiter& waiter);
  bool suspended() const noexcept { return waiter_ != nullptr; }
  /// From anywhere on this core, once: the coroutine is resumed when the ready queue runs.
  void finish(Status error = {});
  virtual void detach() noexcept = 0;
  /// True: the op has handled the cancellation and will finish by itself; detach() is not called.
  virtual bool ends_itself_when_cancelled() noexcept { return false; }
  /// The error of a cancelled op; by default the context's status.
  virtual Status cancel_status() const;

 private:
  void on_cancel();
  void queue();
  void wake();

  Ctx& ctx_;
  Waiter* waiter_ = nullptr;
  Status error_;
};

}  // namespace async_detail
}  // namespace m3
