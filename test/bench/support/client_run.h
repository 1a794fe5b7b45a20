// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "clock.h"
#include "options.h"
#include "server_page.h"
#include "syscalls.h"

namespace bench {

/// The measured window of one client: warms up, notes every cost of both ends at its two edges,
/// prints the result. The client says when a call has finished and stops when told to.
/// Single-threaded. Latency is recorded when one call is in flight in all (reading the clock for
/// every call would cost a good part of a pipelined call).
class ClientRun {
 public:
  explicit ClientRun(ClientOptions options);

  /// The first call is about to be sent.
  void begin();

  /// One more call is answered. False when the time is over: send no more.
  bool finished_call() {
    ++calls_;
    if (timed_) return finished_timed_call();
    return (calls_ & 63u) != 0 ? !over_ : advance(now_ns());
  }

  bool over() const { return over_; }
  void print(const char* peer) const;

 private:
  struct Costs {
    std::uint64_t at_ns = 0;
    std::uint64_t calls = 0;
    std::uint64_t own_cpu_ns = 0;
    std::uint64_t server_cpu_ns = 0;
    std::uint64_t own_allocations = 0;
    std::uint64_t server_allocations = 0;
    std::optional<std::uint64_t> own_syscalls;
    std::optional<std::uint64_t> server_syscalls;
  };

  bool finished_timed_call();
  bool advance(std::uint64_t now);
  Costs costs(std::uint64_t now) const;

  ClientOptions options_;
  const ServerPage* page_ = nullptr;
  std::unique_ptr<SyscallCounter> own_syscalls_;
  std::unique_ptr<SyscallCounter> server_syscalls_;
  bool timed_;
  bool measuring_ = false;
  bool over_ = false;
  std::uint64_t calls_ = 0;
  std::uint64_t started_ns_ = 0;  ///< the timed call's beginning
  std::uint64_t warm_ns_ = 0;
  std::uint64_t end_ns_ = 0;
  Costs first_;
  Costs last_;
  std::vector<std::uint32_t> latencies_ns_;
};

}  // namespace bench
