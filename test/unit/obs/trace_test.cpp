// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/trace.h"

#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "m3/testing/catch.h"

using m3::SpanKind;
using m3::Tracer;
using m3::TracerOptions;

namespace {

class Kept final : public m3::SpanSink {
 public:
  void finished(m3::SpanRecord span) override { spans.push_back(std::move(span)); }
  std::vector<m3::SpanRecord> spans;
};

class Throwing final : public m3::SpanSink {
 public:
  void finished(m3::SpanRecord) override { throw std::runtime_error("no exporter"); }
};

TracerOptions counted() {
  TracerOptions options;
  options.app = "d.w.f.1";
  options.random = [next = std::uint64_t{0}]() mutable { return ++next; };
  options.clock = [now = std::chrono::system_clock::time_point()]() mutable {
    return now += std::chrono::milliseconds(1);
  };
  return options;
}

const auto kCaller =
    *m3::TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
const auto kUnsampled =
    *m3::TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");

}  // namespace

TEST_CASE("obs: without a sink a span passes its parent's context on and records nothing") {
  Tracer tracer;
  CHECK_FALSE(tracer.enabled());
  auto span = tracer.start("work", SpanKind::server, kCaller);
  CHECK_FALSE(span.recording());
  CHECK(span.context() == kCaller);
  CHECK_FALSE(tracer.start("work", SpanKind::server).context().valid());
  span.set_attribute("k", 1);
  span.end();
}

TEST_CASE("obs: a span has an id of its own inside its parent's trace") {
  auto sink = std::make_shared<Kept>();
  Tracer tracer(counted());
  tracer.set_sink(sink);
  auto outer = tracer.start("outer", SpanKind::server, kCaller);
  {
    auto inner = tracer.start("inner", SpanKind::client, outer.context());
    inner.set_attribute("method", "/a.B/C");
    inner.set_attribute("bytes", 64);
    inner.set_attribute("ok", true);
    inner.set_status(m3::Status(m3::Errc::unavailable, "refused"));
  }
  outer.end();
  outer.end();
  REQUIRE(sink->spans.size() == 2);
  const auto& inner = sink->spans[0];
  const auto& record = sink->spans[1];
  CHECK(record.context.trace_id == kCaller.trace_id);
  CHECK(record.parent_span_id == kCaller.span_id);
  CHECK(record.context.span_id != kCaller.span_id);
  CHECK(inner.context.trace_id == kCaller.trace_id);
  CHECK(inner.parent_span_id == record.context.span_id);
  CHECK(inner.kind == SpanKind::client);
  CHECK(inner.status == m3::Errc::unavailable);
  REQUIRE(inner.attributes.size() == 3);
  CHECK(std::get<std::string>(inner.attributes[0].second) == "/a.B/C");
  CHECK(std::get<std::int64_t>(inner.attributes[1].second) == 64);
  CHECK(std::get<bool>(inner.attributes[2].second));
  CHECK(record.start < inner.start);
  CHECK(inner.end < record.end);
  CHECK(record.app == "d.w.f.1");
}

TEST_CASE("obs: a new trace has ids that differ and no parent") {
  auto sink = std::make_shared<Kept>();
  Tracer tracer;
  tracer.set_sink(sink);
  auto a = tracer.start("a", SpanKind::internal).context();
  auto b = tracer.start("b", SpanKind::internal).context();
  CHECK(a.valid());
  CHECK(a.sampled());
  CHECK(a.trace_id != b.trace_id);
  CHECK(sink->spans[0].parent_span_id == std::array<std::uint8_t, 8>{});
}

TEST_CASE("obs: a trace that was not sampled by its beginner is carried, not recorded") {
  auto sink = std::make_shared<Kept>();
  Tracer tracer;
  tracer.set_sink(sink);
  auto span = tracer.start("x", SpanKind::server, kUnsampled);
  CHECK_FALSE(span.recording());
  CHECK(span.context().trace_id == kUnsampled.trace_id);
  CHECK_FALSE(span.context().sampled());
}

TEST_CASE("obs: the sample ratio decides new traces only") {
  auto sink = std::make_shared<Kept>();
  TracerOptions options;
  options.sample_ratio = 0.25;
  Tracer tracer(options);
  tracer.set_sink(sink);
  for (int i = 0; i < 4000; ++i) tracer.start("x", SpanKind::server).end();
  CHECK(sink->spans.size() > 800);
  CHECK(sink->spans.size() < 1200);
  sink->spans.clear();
  for (int i = 0; i < 10; ++i) tracer.start("x", SpanKind::server, kCaller).end();
  CHECK(sink->spans.size() == 10);
}

TEST_CASE("obs: a moved span ends once, an overwritten one ends first") {
  auto sink = std::make_shared<Kept>();
  Tracer tracer;
  tracer.set_sink(sink);
  auto a = tracer.start("a", SpanKind::internal);
  auto moved = std::move(a);
  moved = tracer.start("b", SpanKind::internal);
  CHECK(sink->spans.size() == 1);
  moved.end();
  REQUIRE(sink->spans.size() == 2);
  CHECK(sink->spans[0].name == "a");
}

TEST_CASE("obs: a span sink that throws or is gone does not end the caller") {
  Tracer tracer;
  tracer.set_sink(std::make_shared<Throwing>());
  tracer.start("x", SpanKind::internal).end();
  auto late = tracer.start("y", SpanKind::internal);
  tracer.set_sink(nullptr);
  late.end();
  CHECK_FALSE(tracer.enabled());
}
