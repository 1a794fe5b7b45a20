// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>

#include "m3/async/clock.h"
#include "m3/testing/catch.h"
#include "m3/testing/eventually.h"

namespace fault {

using m3::Nanos;
using m3::TimePoint;
using namespace std::chrono_literals;

/// M3_LONG is set: faults last as long as the matrix says, and its pass marks are asserted. Else
/// they are short, and three times the mark is allowed: machines that run other things at the same
/// time are slow, a defect is much slower.
bool long_run();
Nanos short_or_long(Nanos brief, Nanos full);
int short_or_long(int brief, int full);

inline TimePoint now() { return std::chrono::steady_clock::now(); }
std::string ms(Nanos time);

using m3::testing::eventually;
/// Nothing happens but the load that runs beside it.
void let_run(Nanos time);

/// One row of the matrix: what it measured and checked is printed when it ends, whatever becomes of
/// it, with the command that runs it again.
class Row {
 public:
  explicit Row(std::string fault);
  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;
  ~Row();

  /// What is allowed for a mark of the matrix.
  static Nanos allowed(Nanos mark) { return long_run() ? mark : 3 * mark; }
  static double allowed(double mark) { return long_run() ? mark : 3 * mark; }
  /// Asserts `took` against the mark, and prints both.
  void within_mark(const std::string& what, Nanos took, Nanos mark);
  void within_mark(const std::string& what, double value, double mark);
  /// Asserts `holds`.
  void holds(const std::string& invariant, bool holds);
  void note(const std::string& line);
  /// The command that runs this row again; for INFO.
  std::string replay() const;

 private:
  const std::string fault_;
  std::string lines_;
};

}  // namespace fault
