// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/message_lite.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "m3/async/ctx.h"
#include "m3/async/task.h"
#include "m3/rpc/method.h"
#include "m3/wire/frame.h"

namespace m3 {
class Service;
}

namespace m3::rpc_detail {

class RpcCore;
class ServerCall;

/// Handlers of this process that did not finish when their app stopped, and are still running:
/// everything they use must be kept.
inline std::atomic<std::size_t> calls_left_behind{0};

/// The origin of a call and the receiver of its answer: a connection, or a caller in this process.
/// Core-local, reference-counted: calls keep it alive.
class CallSink {
 public:
  /// Called once, when the handler has ended; `call` is returned to its pool afterwards.
  virtual void answer(ServerCall& call, Status outcome) = 0;
  /// The handler waits; answer() or abandon() follows later.
  virtual void suspended(ServerCall& call) = 0;
  /// There will be no answer. True: `call` drops the sink, which is destroyed with the app; else it
  /// keeps it until its handler has ended.
  virtual bool abandon(ServerCall& call) = 0;

  void ref() noexcept { ++refs_; }
  void unref() noexcept {
    if (--refs_ == 0) expire();
  }

 protected:
  CallSink() = default;
  CallSink(const CallSink&) = delete;
  CallSink& operator=(const CallSink&) = delete;
  virtual ~CallSink() = default;
  /// It is no longer needed: delete it, but not before the running callbacks have returned.
  virtual void expire() noexcept = 0;
  std::uint32_t refs() const noexcept { return refs_; }

 private:
  std::uint32_t refs_ = 0;
};

template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) noexcept : object_(object) {
    if (object_) object_->ref();
  }
  Ref(const Ref& other) noexcept : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) object_->unref();
  }
  T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  void reset() noexcept { Ref().swap(*this); }
  void swap(Ref& other) noexcept { std::swap(object_, other.object_); }

 private:
  T* object_ = nullptr;
};

/// The record of one call being handled: context, messages, the handler's frame. Pooled per method
/// type and thread, so a call allocates nothing once the pools are warm.
class ServerCall {
 public:
  ServerCall(const ServerCall&) = delete;
  ServerCall& operator=(const ServerCall&) = delete;

  virtual google::protobuf::MessageLite& request() = 0;
  /// The answer, once the handler has succeeded; nullptr for a notify.
  virtual const google::protobuf::MessageLite* response() = 0;
  /// Starts the handler; true when it has ended already. Else ended() is called when it has.
  virtual bool start(Service& service) = 0;
  /// The handler as a Task under `under`, for interceptors and services that run their calls; its
  /// outcome is the chain's. It may run on another core while this one waits for it.
  virtual Task<> handler(Service& service, Ctx& under) = 0;
  /// Reports the handler's outcome. Once.
  virtual Status take_outcome() = 0;
  /// Destroys the handler's frame, and returns the record to its pool if clear() allows.
  virtual void recycle() = 0;

  static constexpr TimePoint kNotHandled = TimePoint::min();

  Ctx ctx;
  Metadata metadata;  // of the request
  RpcCore* home = nullptr;
  const MethodInfo* method = nullptr;
  Ref<CallSink> sink;
  std::uint64_t id = 0;
  TimePoint began = kNotHandled;  // Core::now() when it came to its handler
  std::uint32_t request_bytes = 0;
  std::uint32_t response_bytes = 0;
  std::uint32_t kept_bytes = 0;  // memory that the messages are known to keep
  bool wants_answer = true;
  bool admitted = false;               // Admissions are notified of its end
  bool parked = false;                 // its sink knows that it waits
  ServerCall* bucket_prev = nullptr;   // the sink's table of suspended calls
  ServerCall* bucket_next = nullptr;   // likewise; in a pool: the next record
  bool waits = false;                  // it is in that list:
  ServerCall* waiting_prev = nullptr;  // the core's list of them
  ServerCall* waiting_next = nullptr;
  Task<> chain;  // the interceptors around the handler, when there are any

  /// Runs when a suspended handler has ended.
  static std::coroutine_handle<> ended(void* call);

 protected:
  explicit ServerCall(Core& core) noexcept : ctx(core) {}
  virtual ~ServerCall() = default;
  /// The handler's frame is destroyed: forgets the call. False: work that outlives the call still
  /// uses its context. That work is cancelled, and the record is never used for another call.
  bool clear();
};

}  // namespace m3::rpc_detail
