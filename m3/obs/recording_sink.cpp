// SPDX-License-Identifier: BSL-1.0
#include "m3/obs/recording_sink.h"

#include <fmt/format.h>

#include "m3/base/trace_context.h"

namespace m3 {

void RecordingSink::write(const LogRecord& record) {
  Event event;
  event.level = record.level;
  event.text = record.text;
  for (const LogField& field : record.plus)
    event.plus[std::string(field.key)] =
        std::visit([](const auto& value) { return fmt::format("{}", value); }, field.value);
  event.app = record.app;
  if (record.trace) {
    auto id = record.trace->trace_id_text();
    event.trace_id.assign(id.data(), id.size());
  }
  event.file = record.file;
  event.line = record.line;
  std::lock_guard lock(mutex_);
  events_.push_back(std::move(event));
}

void RecordingSink::flush() {
  std::lock_guard lock(mutex_);
  ++flushes_;
}

std::vector<RecordingSink::Event> RecordingSink::events() const {
  std::lock_guard lock(mutex_);
  return events_;
}

std::size_t RecordingSink::count(std::string_view part) const {
  std::lock_guard lock(mutex_);
  std::size_t found = 0;
  for (const Event& event : events_) found += event.text.find(part) != std::string::npos ? 1 : 0;
  return found;
}

int RecordingSink::flushes() const {
  std::lock_guard lock(mutex_);
  return flushes_;
}

void RecordingSink::clear() {
  std::lock_guard lock(mutex_);
  events_.clear();
}

}  // namespace m3
