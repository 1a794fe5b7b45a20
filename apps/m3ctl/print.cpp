// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/print.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/m3ctl/exit_code.h"
#include "apps/m3ctl/json.h"
#include "m3/base/duration.h"

namespace m3ctl {
namespace {

std::string advice(const m3::Status& status) {
  switch (exit_code(status.code())) {
    case kLookAtState:
      return status.code() == m3::Errc::moved ? "ask " + status.owner() : "";
    case kTryElsewhere:
      return "another instance may answer, or this one later";
    case kTryLater:
      return status.retry_after().count() > 0
                 ? "try again in " + m3::format_duration(status.retry_after())
                 : "try again later";
    default:
      return "";
  }
}

}  // namespace

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string show_time(m3::Nanos time) {
  const double ms = std::chrono::duration<double, std::milli>(time).count();
  if (ms >= 1000) return fmt::format("{:.2f} s", ms / 1000);
  return fmt::format("{:.2f} ms", ms);
}

std::string show_error(const m3::Status& status) {
  std::string out = "error: " + status.to_string() + "\n";
  if (status.app_code() != 0) out += fmt::format("  the app's own code: {}\n", status.app_code());
  if (!status.maybe_executed()) out += "  the call was not executed\n";
  if (const std::string hint = advice(status); !hint.empty()) out += "  " + hint + "\n";
  return out;
}

std::string error_json(const m3::Status& status) {
  std::string out = R"({"code":)" + json_string(m3::errc_name(status.code())) + R"(,"text":)" +
                    json_string(status.text());
  if (status.app_code() != 0) out += fmt::format(R"(,"app_code":{})", status.app_code());
  if (status.retry_after().count() > 0)
    out += fmt::format(R"(,"retry_after_ms":{})", status.retry_after().count());
  if (!status.owner().empty()) out += R"(,"owner":)" + json_string(status.owner());
  return out + fmt::format(R"(,"maybe_executed":{},"exit":{}}})", status.maybe_executed(),
                           static_cast<int>(exit_code(status.code())));
}

std::string error_line(const m3::Status& status) {
  return R"({"ok":false,"error":)" + error_json(status) + "}\n";
}

}  // namespace m3ctl
