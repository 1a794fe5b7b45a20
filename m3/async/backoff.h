// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>

namespace m3 {

struct BackoffConfig {
  std::chrono::milliseconds least{10};     // never wait less
  std::chrono::milliseconds first{100};    // the ceiling of the first wait
  std::chrono::milliseconds most{10'000};  // the ceiling is never higher
};

/// For a server that everybody waits for: back in use within a second of its return.
inline BackoffConfig server_backoff() {
  BackoffConfig config;
  config.most = std::chrono::seconds(1);
  return config;
}

/// How long to wait before the next attempt: "full jitter", uniform between `least` and a ceiling
/// that doubles with every attempt. It spreads a crowd of reconnecting peers with the least total
/// work (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). A config
/// that is out of order (least > first > most) is corrected: `most` wins, then `least`.
class Backoff {
 public:
  explicit Backoff(BackoffConfig config = {});

  /// The wait before the next attempt. `random`: 64 uniform bits.
  std::chrono::milliseconds next(std::uint64_t random);
  /// An attempt succeeded: start over.
  void reset() { attempts_ = 0; }
  /// Waits handed out since the last reset.
  std::uint32_t attempts() const { return attempts_; }

 private:
  std::chrono::milliseconds ceiling() const;

  BackoffConfig config_;
  std::uint32_t attempts_ = 0;
};

}  // namespace m3
