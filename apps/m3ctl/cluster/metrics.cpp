// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/metrics.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

namespace m3ctl {
namespace {

constexpr std::string_view kCalls = "m3_rpc_requests_total";
constexpr double kMost = 1e18;
constexpr std::string_view kLatency = "m3_rpc_handler_seconds_bucket";

/// name{labels} value
struct Sample {
  std::string_view name;
  std::string_view labels;
  double value = 0;
};

/// A value that is not a number of calls, or not a time, counts as 0.
double number(std::string_view text) {
  double out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out > 0 && out < kMost ? out : 0;
}

Sample sample_of(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t name = line.find_first_of("{ ");
  const std::size_t value = line.rfind(' ');
  if (line.starts_with('#') || name == std::string_view::npos) return {};
  return {line.substr(0, name), line.substr(name, value - name), number(line.substr(value + 1))};
}

double upper_bound(std::string_view labels) {
  constexpr std::string_view kLe = "le=\"";
  const std::size_t begin = labels.find(kLe);
  if (begin == std::string_view::npos) return 0;
  labels.remove_prefix(begin + kLe.size());
  labels = labels.substr(0, labels.find('"'));
  return labels == "+Inf" ? std::numeric_limits<double>::infinity() : number(labels);
}

}  // namespace

PaceMeter::Totals PaceMeter::read(std::string_view text) {
  Totals out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const Sample sample = sample_of(text.substr(0, end));
    if (sample.name == kCalls) out.calls += sample.value;
    if (sample.name == kLatency) out.buckets[upper_bound(sample.labels)] += sample.value;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return out;
}

std::optional<double> PaceMeter::p99(const Totals& before, const Totals& now) {
  const auto since = [&](double bound, double count) {
    const auto old = before.buckets.find(bound);
    return count - (old == before.buckets.end() ? 0 : old->second);
  };
  if (now.buckets.empty()) return std::nullopt;
  const auto& [last, all] = *now.buckets.rbegin();
  const double calls = since(last, all);
  double below = 0;
  double from = 0;
  for (const auto& [bound, count] : now.buckets) {
    const double here = since(bound, count);
    if (calls > 0 && here >= 0.99 * calls) {
      if (here <= below || bound == last) return from;
      return from + (bound - from) * std::clamp((0.99 * calls - below) / (here - below), 0.0, 1.0);
    }
    below = here;
    from = bound;
  }
  return std::nullopt;
}

Pace PaceMeter::update(std::string_view text, std::chrono::steady_clock::time_point now) {
  const Totals totals = read(text);
  Pace out;
  if (last_ && now > at_) {
    const double seconds = std::chrono::duration<double>(now - at_).count();
    out.calls_per_second = std::max(0.0, totals.calls - last_->calls) / seconds;
    out.p99_seconds = p99(*last_, totals);
  }
  last_ = totals;
  at_ = now;
  return out;
}

}  // namespace m3ctl
