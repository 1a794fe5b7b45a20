// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "m3/base/status.h"
#include "m3/base/trace_context.h"

namespace m3 {

enum class SpanKind : std::uint8_t { internal, server, client, producer, consumer };
std::string_view span_kind_name(SpanKind kind) noexcept;

/// A finished span, as a sink gets it.
struct SpanRecord {
  using Value = std::variant<std::string, std::int64_t, double, bool>;

  std::string name;
  SpanKind kind = SpanKind::internal;
  TraceContext context;                          ///< of the span itself
  std::array<std::uint8_t, 8> parent_span_id{};  ///< zero: a root
  std::chrono::system_clock::time_point start;
  std::chrono::system_clock::time_point end;
  Status status;
  std::vector<std::pair<std::string, Value>> attributes;
  std::string app;
};

/// Where sampled spans go. Called from any thread, several at once; must not block.
class SpanSink {
 public:
  virtual ~SpanSink() = default;
  virtual void finished(SpanRecord span) = 0;
  virtual void flush() {}
};

class Tracer;

/// One piece of work in a trace: ends when it is destroyed or when end() is called. Move-only; used
/// by one thread at a time. A span that is not recorded costs nothing and still provides the
/// context to pass on. Its tracer outlives it.
class Span {
 public:
  Span() = default;
  Span(Span&&) noexcept = default;
  Span& operator=(Span&& other) noexcept;
  ~Span() { end(); }

  /// To pass on as traceparent, and the parent of inner spans. Not valid() when tracing is off.
  const TraceContext& context() const noexcept { return context_; }
  bool recording() const noexcept { return record_ != nullptr; }
  void set_attribute(std::string_view key, std::string_view value);
  void set_attribute(std::string_view key, const char* value) {
    set_attribute(key, std::string_view(value));
  }
  void set_attribute(std::string_view key, std::int64_t value);
  void set_attribute(std::string_view key, int value) { set_attribute(key, std::int64_t{value}); }
  void set_attribute(std::string_view key, double value);
  void set_attribute(std::string_view key, bool value);
  void set_status(const Status& status);
  /// Passes the record to the sink; later calls do nothing.
  void end() noexcept;

 private:
  friend class Tracer;
  TraceContext context_;
  std::unique_ptr<SpanRecord> record_;
  const Tracer* tracer_ = nullptr;
};

struct TracerOptions {
  std::string app;          ///< env.world.func.ins
  double sample_ratio = 1;  ///< of new traces; for a trace from elsewhere that was decided there
  std::function<std::uint64_t()> random;  ///< empty: this thread's own generator
  std::function<std::chrono::system_clock::time_point()> clock;  ///< empty: the system's
};

/// Makes spans. Owned by App. Thread-safe. Until a sink is installed every span is a no-op that
/// passes its parent's context on.
class Tracer {
 public:
  explicit Tracer(TracerOptions options = {});
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  /// nullptr switches tracing off. Spans that started before are passed to the sink installed when
  /// they end.
  void set_sink(std::shared_ptr<SpanSink> sink);
  bool enabled() const noexcept;
  void flush();

  /// `parent`: the context of the work around it, or of the caller; not valid() begins a new trace.
  Span start(std::string_view name, SpanKind kind, const TraceContext& parent = {}) const;

 private:
  friend class Span;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m3
