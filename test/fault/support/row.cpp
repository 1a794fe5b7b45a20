// SPDX-License-Identifier: BSL-1.0
#include "support/row.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

namespace fault {

bool long_run() {
  const char* value = std::getenv("M3_LONG");
  return value && *value;
}

Nanos short_or_long(Nanos brief, Nanos full) { return long_run() ? full : brief; }
int short_or_long(int brief, int full) { return long_run() ? full : brief; }

std::string ms(Nanos time) {
  return fmt::format("{:.1f} ms", std::chrono::duration<double, std::milli>(time).count());
}

void let_run(Nanos time) { std::this_thread::sleep_for(time); }

Row::Row(std::string fault) : fault_(std::move(fault)) {}

Row::~Row() {
  std::printf("\n%s\n%s  again: %s\n", fault_.c_str(), lines_.c_str(), replay().c_str());
  std::fflush(stdout);
}

std::string Row::replay() const {
  std::error_code error;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  return fmt::format("{}{} '{}'", long_run() ? "M3_LONG=1 " : "", program, fault_);
}

void Row::within_mark(const std::string& what, Nanos took, Nanos mark) {
  note(fmt::format("{}: {} (mark {}, asserted {})", what, ms(took), ms(mark), ms(allowed(mark))));
  INFO(what << " took " << ms(took) << "; the mark is " << ms(mark));
  CHECK(took <= allowed(mark));
}

void Row::within_mark(const std::string& what, double value, double mark) {
  note(fmt::format("{}: {:.2f} (mark {:.2f}, asserted {:.2f})", what, value, mark, allowed(mark)));
  INFO(what << " is " << value << "; the mark is " << mark);
  CHECK(value <= allowed(mark));
}

void Row::holds(const std::string& invariant, bool holds) {
  note(fmt::format("{} {}", holds ? "holds:" : "BROKEN:", invariant));
  INFO(invariant);
  CHECK(holds);
}

void Row::note(const std::string& line) { lines_ += "  " + line + "\n"; }

}  // namespace fault
