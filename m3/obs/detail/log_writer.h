// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace m3::obs_detail {

/// Writes lines to a descriptor from its own thread, so that no caller waits for the reader. At
/// most `most_bytes` wait; further lines are dropped and counted, and one line says how many were
/// dropped once the others are written. The thread starts with the first line and blocks every
/// signal. Every member may be called from any thread.
class LogWriter {
 public:
  static constexpr std::size_t kMostBytes = 1 << 20;

  explicit LogWriter(int descriptor, std::size_t most_bytes = kMostBytes);
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;
  /// Waits until the lines that wait are written, without a limit.
  ~LogWriter();

  /// Adds the line end. Never waits for the descriptor. An urgent line (the last words of a
  /// process) is taken although the others have filled the queue.
  void write(std::string_view line, bool urgent = false);
  /// Whether everything taken before this call was written, or was lost, within `limit`. After a
  /// failed flush it waits again only if something was written since.
  bool flush(std::chrono::nanoseconds limit);
  /// Lines for which there was no room, or that the descriptor refused.
  std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

 private:
  bool has_room(std::size_t bytes, bool urgent) const;
  void start();
  void run();
  void write_batch(std::string_view batch);
  bool report(std::uint64_t dropped) const;
  bool write_piece(std::string_view piece) const;

  const int descriptor_;
  const std::size_t most_bytes_;
  std::atomic<std::uint64_t> dropped_{0};

  std::mutex mutex_;
  std::condition_variable changed_;     // for the thread
  std::condition_variable progressed_;  // for flush()
  std::string queue_;
  std::size_t in_hand_ = 0;                       // bytes of the batch that are not written yet
  std::uint64_t unreported_ = 0;                  // dropped, and not reported by a line yet
  std::uint64_t taken_ = 0;                       // bytes, ever
  std::uint64_t done_ = 0;                        // of them written or lost
  std::uint64_t in_vain_at_ = ~std::uint64_t{0};  // done_ when a flush gave up
  bool idle_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace m3::obs_detail
