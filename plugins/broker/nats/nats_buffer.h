// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace m3 {

/// What was read from a server and not yet taken. It grows when an operation does not fit, and is
/// never filled with zeros: a read costs what came, not what might have come.
class NatsBuffer {
 public:
  std::string_view unread() const noexcept { return {bytes_.get() + begin_, end_ - begin_}; }
  void take(std::size_t count) noexcept {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  /// Where to read to, at least kRoom bytes. Ends the views of unread().
  std::span<char> room() {
    if (size_ - end_ < kRoom) {
      const std::size_t had = end_ - begin_;
      if (begin_ >= kRoom) {
        std::memmove(bytes_.get(), bytes_.get() + begin_, had);
      } else {
        const std::size_t size = std::max(size_ * 2, 4 * kRoom);
        auto larger = std::make_unique_for_overwrite<char[]>(size);
        if (had) std::memcpy(larger.get(), bytes_.get() + begin_, had);
        bytes_ = std::move(larger);
        size_ = size;
      }
      begin_ = 0;
      end_ = had;
    }
    return {bytes_.get() + end_, size_ - end_};
  }
  void filled(std::size_t count) noexcept { end_ += count; }

 private:
  static constexpr std::size_t kRoom = 16u << 10;
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace m3
