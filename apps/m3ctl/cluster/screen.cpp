// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/screen.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

namespace m3ctl {
namespace {

/// Buffered bytes for a reader that has stopped.
constexpr std::size_t kMostWaiting = 1u << 20;
/// At the end, for one that only reads slowly.
constexpr std::chrono::milliseconds kLastPatience{500};

struct Size {
  std::size_t columns = 80;
  std::size_t lines = 24;
};

Size terminal_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    return {};
  return {size.ws_col, size.ws_row};
}

/// Cut to fit, so that the terminal wraps nothing and the block can be redrawn.
std::vector<ScreenLine> fitting(std::vector<ScreenLine> lines) {
  const Size size = terminal_size();
  const std::size_t most = size.lines > 2 ? size.lines - 1 : 1;
  for (ScreenLine& line : lines) line.text = line.text.substr(0, size.columns - 1);
  if (lines.size() <= most) return lines;
  const std::size_t more = lines.size() - most + 1;
  lines.resize(most - 1);
  lines.push_back({fmt::format("... and {} more", more), Tint::none});
  return lines;
}

const char* code_of(Tint tint) {
  switch (tint) {
    case Tint::head:
      return "1";
    case Tint::good:
      return "32";
    case Tint::busy:
      return "33";
    case Tint::bad:
      return "31";
    case Tint::none:
      break;
  }
  return "0";
}

}  // namespace

Screen::Screen(bool block) : block_(block && isatty(STDOUT_FILENO) != 0), colours_(has_colours()) {}

Screen::~Screen() { output_.flush_for(kLastPatience); }

void Screen::flush() {
  output_.flush();
  if (dropped_ == 0 || output_.waiting() > 0) return;
  put(fmt::format("... {} lines were not shown: the terminal did not read them in time\n",
                  dropped_));
  dropped_ = 0;
}

void Screen::erase() {
  if (block_lines_ > 0) put(fmt::format("\x1b[{}A\r\x1b[J", block_lines_));
  block_lines_ = 0;
}

void Screen::say(const std::string& line) {
  flush();
  if (output_.waiting() > kMostWaiting) {
    ++dropped_;
    return;
  }
  const bool again = block_lines_ > 0;
  erase();
  put(line + "\n");
  if (again) draw(last_);
}

void Screen::draw(std::vector<ScreenLine> lines) {
  flush();
  if (!block_ || output_.waiting() > 0) return;
  erase();
  last_ = std::move(lines);
  for (const ScreenLine& line : fitting(last_)) {
    put(colours_ ? fmt::format("\x1b[{}m{}\x1b[0m\n", code_of(line.tint), line.text)
                 : line.text + "\n");
    ++block_lines_;
  }
}

bool has_colours() { return isatty(STDOUT_FILENO) != 0 && !std::getenv("NO_COLOR"); }

std::string coloured(const std::string& text, std::size_t n) {
  constexpr std::array<int, 6> kColours{36, 33, 32, 35, 34, 31};
  return fmt::format("\x1b[{}m{}\x1b[0m", kColours[n % kColours.size()], text);
}

}  // namespace m3ctl
