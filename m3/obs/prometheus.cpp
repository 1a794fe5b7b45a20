// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/prometheus.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace m3 {
namespace {

constexpr std::array<const char*, 4> kKindNames{"counter", "gauge", "histogram", "summary"};

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

struct Extra {
  std::string_view name;
  std::string value;
};

void append_label(std::string& out, std::string_view name, std::string_view value, bool& first) {
  out += first ? '{' : ',';
  first = false;
  out += name;
  out += "=\"";
  append_escaped(out, value, true);
  out += '"';
}

void append_line(std::string& out, std::string_view name, const MetricLabels& labels,
                 const Extra& extra, const std::string& value) {
  out += name;
  bool first = true;
  for (const auto& [label, text] : labels) append_label(out, label, text, first);
  if (!extra.name.empty()) append_label(out, extra.name, extra.value, first);
  if (!first) out += '}';
  out += ' ';
  out += value;
  out += '\n';
}

void append_totals(std::string& out, const std::string& name, const MetricSeries& series) {
  append_line(out, name + "_sum", series.labels, {}, number(series.sum));
  append_line(out, name + "_count", series.labels, {}, std::to_string(series.count));
}

void append_series(std::string& out, const MetricFamily& family, const MetricSeries& series) {
  switch (family.kind) {
    case MetricKind::counter:
    case MetricKind::gauge:
      append_line(out, family.name, series.labels, {}, number(series.value));
      break;
    case MetricKind::histogram:
      for (const auto& [bound, count] : series.buckets)
        append_line(out, family.name + "_bucket", series.labels, {"le", number(bound)},
                    std::to_string(count));
      append_totals(out, family.name, series);
      break;
    case MetricKind::summary:
      for (const auto& [quantile, value] : series.quantiles)
        append_line(out, family.name, series.labels, {"quantile", number(quantile)}, number(value));
      append_totals(out, family.name, series);
      break;
  }
}

}  // namespace

std::string render_prometheus(std::span<const MetricFamily> families) {
  std::string out;
  for (const MetricFamily& family : families) {
    if (!family.help.empty()) {
      out += "# HELP " + family.name + " ";
      append_escaped(out, family.help, false);
      out += '\n';
    }
    out += "# TYPE " + family.name + " " + kKindNames[static_cast<std::size_t>(family.kind)] + "\n";
    for (const MetricSeries& series : family.series) append_series(out, family, series);
  }
  return out;
}

}  // namespace m3
