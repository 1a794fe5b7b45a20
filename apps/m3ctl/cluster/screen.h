// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "apps/m3ctl/cluster/patient_output.h"

namespace m3ctl {

enum class Tint { none, head, good, busy, bad };

/// A line of the block, and its colour on a terminal with colours.
struct ScreenLine {
  std::string text;
  Tint tint = Tint::none;
};

/// Standard output while a cluster runs. On a terminal a block of lines stays at the end and is
/// redrawn in place; elsewhere only the event lines are printed. Nothing waits for a reader that
/// has stopped: lines that exceed its backlog are dropped and counted.
class Screen {
 public:
  /// `block`: whether draw() shows anything, if this is a terminal.
  explicit Screen(bool block);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  bool colours() const { return colours_; }
  bool shows_block() const { return block_; }
  /// One line that stays.
  void say(const std::string& line);
  /// Replaces the block; lines that are too many or too long for the terminal are cut.
  void draw(std::vector<ScreenLine> lines);
  /// The block stays as it is; further output is printed below it.
  void settle() { block_lines_ = 0; }
  /// Continues writing what the reader did not accept at once; call it now and then.
  void flush();

 private:
  void erase();
  void put(const std::string& text) { output_.write(text); }
  PatientOutput output_;
  std::size_t dropped_ = 0;  // lines
  bool block_;
  bool colours_;
  std::size_t block_lines_ = 0;
  std::vector<ScreenLine> last_;  // the block, redrawn below new lines
};

/// Whether standard output is a terminal and NO_COLOR is not set.
bool has_colours();

/// `text` in the n-th of a few different colours.
std::string coloured(const std::string& text, std::size_t n);

}  // namespace m3ctl
