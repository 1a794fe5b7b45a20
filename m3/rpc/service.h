// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "m3/async/task.h"
#include "m3/rpc/detail/server_call.h"
#include "m3/rpc/method.h"

namespace m3 {

/// The dispatcher's entry point to one rpc of a service. Created by bind() and bind_notify().
struct MethodBinding {
  const MethodInfo* info = nullptr;
  rpc_detail::ServerCall* (*take)(Core& core) = nullptr;  ///< a record from the pool
};

/// For generated services, never called: takes the address of a handler that `Declarer` declares
/// and that has not been overridden where the address was taken.
template <class Declarer, class Answer, class Request>
void as_declared(Task<Answer> (Declarer::*handler)(Ctx&, const Request&));

/// For generated services: whether a member function of S has the signature of the handler.
template <class Req, class Rsp, class S, class Member>
constexpr bool is_handler(Member S::*) {
  using Value = Task<Rsp> (S::*)(Ctx&, const Req&);
  if constexpr (std::is_void_v<Rsp>) {
    return std::is_convertible_v<Member S::*, Value>;
  } else {
    using Pooled = Task<> (S::*)(Ctx&, const Req&, Rsp&);
    return std::is_convertible_v<Member S::*, Value> || std::is_convertible_v<Member S::*, Pooled>;
  }
}

/// A call that its service runs: see Service::run(). Valid until the Task of run() has ended.
class IncomingCall {
 public:
  virtual const MethodInfo& method() const noexcept = 0;
  /// Does not change; may be read on the core where the handler runs.
  virtual const google::protobuf::MessageLite& request() const noexcept = 0;
  /// The handler, as a Task under `ctx`: the call's own context, a child of it, or the one of
  /// m3::run_on on another core. Only once: a second Task fails with `internal`.
  virtual Task<> handle(Ctx& ctx) = 0;

 protected:
  ~IncomingCall() = default;
};

/// Decides where and when the handlers of a service run. Owned by the app; outlives their calls.
class CallRunner {
 public:
  /// Called on the core where the call arrived, inside the interceptors, with the call's context;
  /// ends when the handler has. The record of the call, its request and its answer stay on that
  /// core: only the reference is passed to another core, for as long as this waits for it.
  ///   Task<> run(Ctx& ctx, IncomingCall& call) override {
  ///     co_await run_on(ctx, home_, [&](Ctx& there) { return call.handle(there); });
  ///     co_return ok;
  ///   }
  /// Every call must be handled or fail: ending without either is `internal`.
  virtual Task<> run(Ctx& ctx, IncomingCall& call) = 0;

 protected:
  ~CallRunner() = default;
};

/// Base of every generated service. One object per app answers on all cores at once (Multi), so its
/// own state must be safe for that. Owned by the app; outlives its calls.
///
/// A service that decides where and when its handlers run (one after the other, by key, on another
/// core) overrides takes_over() and run(). Each call then costs one more coroutine.
class Service : public CallRunner {
 public:
  virtual ~Service() = default;
  virtual std::string_view service_name() const = 0;  ///< "hello.Hello"
  virtual std::span<const MethodBinding> bindings() const = 0;
  /// Where its state is, as declared in its .proto: "stateless", "activated", "resident_dynamic" or
  /// "resident_fixed".
  virtual std::string_view placement() const { return "stateless"; }

  /// Called once, before the app listens. True: run() runs the calls.
  virtual bool takes_over() const { return false; }
  /// See CallRunner.
  Task<> run(Ctx& ctx, IncomingCall& call) override { return call.handle(ctx); }
};

namespace rpc_detail {

/// Bytes of messages that all pools of a thread may keep, and that they keep now.
inline constexpr std::size_t kPooledBytes = 16u << 20;
inline thread_local std::size_t pooled_bytes = 0;

/// Free records of one type on this thread. A message keeps the memory of the largest call that it
/// was used for, so records that grew large are not kept, and no more than kPooledBytes in all.
template <class Call>
class CallPool {
 public:
  static constexpr std::size_t kKeep = 1024;
  static constexpr std::uint32_t kLargeBytes = 64u << 10;

  static Call* take(Core& core) {
    CallPool& pool = local();
    Call* call = pool.head_;
    if (!call) return new Call(core);
    pool.head_ = static_cast<Call*>(call->bucket_next);
    --pool.count_;
    pooled_bytes -= call->kept_bytes;
    call->bucket_next = nullptr;
    return call;
  }
  static void give(Call* call) {
    CallPool& pool = local();
    const std::uint32_t bytes = call->request_bytes + call->response_bytes;
    call->kept_bytes = std::max(call->kept_bytes, bytes);
    if (pool.count_ >= kKeep || bytes > kLargeBytes ||
        pooled_bytes + call->kept_bytes > kPooledBytes) {
      delete call;
      return;
    }
    pooled_bytes += call->kept_bytes;
    call->bucket_next = pool.head_;
    pool.head_ = call;
    ++pool.count_;
  }
  ~CallPool() {
    while (Call* call = head_) {
      head_ = static_cast<Call*>(call->bucket_next);
      pooled_bytes -= call->kept_bytes;
      delete call;
    }
  }

 private:
  static CallPool& local() {
    static thread_local CallPool pool;
    return pool;
  }
  Call* head_ = nullptr;
  std::size_t count_ = 0;
};

template <class S, class Req, class Rsp, Task<> (S::*Pooled)(Ctx&, const Req&, Rsp&),
          Task<Rsp> (S::*Value)(Ctx&, const Req&)>
class TypedCall final : public ServerCall {
 public:
  explicit TypedCall(Core& core) noexcept : ServerCall(core) {}
  static ServerCall* take(Core& core) { return CallPool<TypedCall>::take(core); }

  google::protobuf::MessageLite& request() override { return req_; }
  const google::protobuf::MessageLite* response() override {
    if (!by_value_.valid()) return &rsp_;
    const auto& value = by_value_.frame().promise().value;
    return value ? &*value : nullptr;
  }
  bool start(Service& service) override {
    S& self = static_cast<S&>(service);
    // An override need not be a coroutine: its exception is then thrown here.
    try {
      pooled_ = (self.*Pooled)(ctx, req_, rsp_);
    } catch (...) {
      pooled_ = async_detail::failed_task<void>(async_detail::status_of_exception());
    }
    if (pooled_.valid()) {
      auto frame = pooled_.frame();
      return async_detail::start_root(frame, frame.promise(), &ServerCall::ended, this);
    }
    by_value_ = async_detail::task_of([&] { return (self.*Value)(ctx, req_); });
    auto frame = by_value_.frame();
    return async_detail::start_root(frame, frame.promise(), &ServerCall::ended, this);
  }
  Task<> handler(Service& service, Ctx& under) override {
    S& self = static_cast<S&>(service);
    Task<> pooled = (self.*Pooled)(under, req_, rsp_);
    if (pooled.valid()) return pooled;
    return fill(self, under);
  }
  Status take_outcome() override {
    if (pooled_.valid()) return pooled_.frame().promise().take_result().status();
    async_detail::PromiseBase& promise = by_value_.frame().promise();
    return promise.failed ? std::move(promise.error) : Status();
  }
  void recycle() override {
    pooled_ = Task<>();
    by_value_ = Task<Rsp>();
    rsp_.Clear();
    if (clear()) CallPool<TypedCall>::give(this);
  }

 private:
  Task<> fill(S& self, Ctx& under) {
    rsp_ = co_await (self.*Value)(under, req_);
    co_return ok;
  }
  Req req_;
  Rsp rsp_;
  Task<> pooled_;
  Task<Rsp> by_value_;
};

template <class S, class Req, Task<> (S::*Handler)(Ctx&, const Req&)>
class TypedNotify final : public ServerCall {
 public:
  explicit TypedNotify(Core& core) noexcept : ServerCall(core) {}
  static ServerCall* take(Core& core) { return CallPool<TypedNotify>::take(core); }

  google::protobuf::MessageLite& request() override { return req_; }
  const google::protobuf::MessageLite* response() override { return nullptr; }
  bool start(Service& service) override {
    task_ = async_detail::task_of([&] { return handler(service, ctx); });
    auto frame = task_.frame();
    return async_detail::start_root(frame, frame.promise(), &ServerCall::ended, this);
  }
  Task<> handler(Service& service, Ctx& under) override {
    return (static_cast<S&>(service).*Handler)(under, req_);
  }
  Status take_outcome() override { return task_.frame().promise().take_result().status(); }
  void recycle() override {
    task_ = Task<>();
    if (clear()) CallPool<TypedNotify>::give(this);
  }

 private:
  Req req_;
  Task<> task_;
};

}  // namespace rpc_detail

/// Generated code: one rpc with an answer. The dispatcher asks the pooled overload first; its
/// default returns an empty Task, and then the by-value overload is called.
template <class S, class Req, class Rsp, Task<> (S::*Pooled)(Ctx&, const Req&, Rsp&),
          Task<Rsp> (S::*Value)(Ctx&, const Req&)>
constexpr MethodBinding bind(const MethodInfo& info) {
  MethodBinding binding;
  binding.info = &info;
  binding.take = &rpc_detail::TypedCall<S, Req, Rsp, Pooled, Value>::take;
  return binding;
}

/// Generated code: one notify.
template <class S, class Req, Task<> (S::*Handler)(Ctx&, const Req&)>
constexpr MethodBinding bind_notify(const MethodInfo& info) {
  MethodBinding binding;
  binding.info = &info;
  binding.take = &rpc_detail::TypedNotify<S, Req, Handler>::take;
  return binding;
}

}  // namespace m3
