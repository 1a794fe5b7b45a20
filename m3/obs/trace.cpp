// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/trace.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <random>

namespace m3 {
namespace {

constexpr std::array<std::string_view, 5> kKindNames{"internal", "server", "client", "producer",
                                                     "consumer"};

std::uint64_t thread_random() {
  thread_local std::mt19937_64 generator = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return generator();
}

template <std::size_t Size>
void fill(std::array<std::uint8_t, Size>& id, const std::function<std::uint64_t()>& random) {
  for (std::size_t at = 0; at < Size; at += 8) {
    std::uint64_t bits = random();
    for (std::size_t i = 0; i < 8; ++i) id[at + i] = static_cast<std::uint8_t>(bits >> (8 * i));
  }
  if (std::all_of(id.begin(), id.end(), [](std::uint8_t byte) { return byte == 0; })) id.back() = 1;
}

}  // namespace

std::string_view span_kind_name(SpanKind kind) noexcept {
  auto index = static_cast<std::size_t>(kind);
  return index < kKindNames.size() ? kKindNames[index] : "unknown";
}

struct Tracer::Impl {
  TracerOptions options;
  std::atomic<bool> enabled{false};
  std::mutex mutex;
  std::shared_ptr<SpanSink> sink;

  std::shared_ptr<SpanSink> current() {
    std::lock_guard lock(mutex);
    return sink;
  }
  bool take_sample() const {
    if (options.sample_ratio >= 1) return true;
    return static_cast<double>(options.random() >> 11) * 0x1p-53 < options.sample_ratio;
  }
};

Tracer::Tracer(TracerOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  if (!impl_->options.random) impl_->options.random = thread_random;
  if (!impl_->options.clock) impl_->options.clock = [] { return std::chrono::system_clock::now(); };
}
Tracer::~Tracer() = default;

void Tracer::set_sink(std::shared_ptr<SpanSink> sink) {
  std::lock_guard lock(impl_->mutex);
  impl_->enabled.store(sink != nullptr, std::memory_order_relaxed);
  impl_->sink = std::move(sink);
}

bool Tracer::enabled() const noexcept { return impl_->enabled.load(std::memory_order_relaxed); }

void Tracer::flush() {
  if (auto sink = impl_->current()) sink->flush();
}

Span Tracer::start(std::string_view name, SpanKind kind, const TraceContext& parent) const {
  Span span;
  if (!enabled()) {
    span.context_ = parent;
    return span;
  }
  const TracerOptions& options = impl_->options;
  span.context_ = parent;
  if (!parent.valid()) {
    fill(span.context_.trace_id, options.random);
    span.context_.flags = impl_->take_sample() ? 1 : 0;
  }
  fill(span.context_.span_id, options.random);
  if (!span.context_.sampled()) return span;
  span.tracer_ = this;
  span.record_ = std::make_unique<SpanRecord>();
  span.record_->name = name;
  span.record_->kind = kind;
  span.record_->context = span.context_;
  if (parent.valid()) span.record_->parent_span_id = parent.span_id;
  span.record_->start = options.clock();
  span.record_->app = options.app;
  return span;
}

Span& Span::operator=(Span&& other) noexcept {
  if (this == &other) return *this;
  end();
  context_ = other.context_;
  record_ = std::move(other.record_);
  tracer_ = other.tracer_;
  return *this;
}

void Span::set_attribute(std::string_view key, std::string_view value) {
  if (record_) record_->attributes.emplace_back(key, std::string(value));
}
void Span::set_attribute(std::string_view key, std::int64_t value) {
  if (record_) record_->attributes.emplace_back(key, value);
}
void Span::set_attribute(std::string_view key, double value) {
  if (record_) record_->attributes.emplace_back(key, value);
}
void Span::set_attribute(std::string_view key, bool value) {
  if (record_) record_->attributes.emplace_back(key, value);
}

void Span::set_status(const Status& status) {
  if (record_) record_->status = status;
}

void Span::end() noexcept {
  if (!record_) return;
  try {
    std::unique_ptr<SpanRecord> record = std::move(record_);
    Tracer::Impl& tracer = *tracer_->impl_;
    record->end = tracer.options.clock();
    if (auto sink = tracer.current()) sink->finished(std::move(*record));
  } catch (...) {  // NOLINT(bugprone-empty-catch): a trace that fails must not end its caller
  }
}

}  // namespace m3
