// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "support/clock.h"
#include "support/json_line.h"

namespace bench {

/// The text of a broadcast: 64 bytes, the first of which says what it is.
inline constexpr std::size_t kBroadcastBytes = 64;
inline std::string probe_text() { return std::string(kBroadcastBytes, 'p'); }
inline std::string first_text() { return std::string(kBroadcastBytes, 'f'); }
inline std::string message_text() { return std::string(kBroadcastBytes, 'm'); }
inline std::string last_text() { return std::string(kBroadcastBytes, 'l'); }

/// What one receiver of broadcasts has heard. A probe asks whether it listens; a round begins with
/// a first message and ends with a last one, at which it says how many it heard and when.
class Hearing {
 public:
  void heard(std::string_view text) {
    switch (text.empty() ? '\0' : text.front()) {
      case 'p':
        JsonLine().text("event", "probed").print();
        return;
      case 'f':
        count_ = 1;
        cpu_ns_ = own_cpu_ns();
        return;
      case 'l':
        JsonLine()
            .text("event", "heard")
            .count("messages", count_ + 1)
            .count("ended_ns", now_ns())
            .count("cpu_ns", own_cpu_ns() - cpu_ns_)
            .print();
        return;
      default:
        ++count_;
    }
  }

 private:
  std::uint64_t count_ = 0;
  std::uint64_t cpu_ns_ = 0;
};

/// What a publisher says of a round.
inline void print_published(std::uint64_t messages, std::uint64_t began_ns, std::uint64_t cpu_ns) {
  JsonLine()
      .text("event", "published")
      .count("messages", messages)
      .count("began_ns", began_ns)
      .count("cpu_ns", cpu_ns)
      .print();
}

}  // namespace bench
