// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace bench {

/// Contiguous bytes that are written at the end and consumed from the front; never zero-filled.
class Buffer {
 public:
  Buffer() = default;
  ~Buffer() { std::free(bytes_); }
  Buffer(Buffer&& other) noexcept
      : bytes_(other.bytes_), begin_(other.begin_), end_(other.end_), capacity_(other.capacity_) {
    other.bytes_ = nullptr;
    other.begin_ = other.end_ = other.capacity_ = 0;
  }
  Buffer& operator=(Buffer&&) = delete;

  bool empty() const { return begin_ == end_; }
  std::size_t size() const { return end_ - begin_; }
  char* data() { return bytes_ + begin_; }

  /// Room for `size` more bytes; valid until the next call of anything.
  char* prepare(std::size_t size) {
    if (capacity_ - end_ < size) make_room(size);
    return bytes_ + end_;
  }
  void commit(std::size_t size) { end_ += size; }

  void consume(std::size_t size) {
    begin_ += size;
    if (begin_ == end_) begin_ = end_ = 0;
  }

  void append(const char* from, std::size_t size) {
    std::memcpy(prepare(size), from, size);
    commit(size);
  }

  void release() {
    std::free(bytes_);
    bytes_ = nullptr;
    begin_ = end_ = capacity_ = 0;
  }

 private:
  void make_room(std::size_t size) {
    const std::size_t used = end_ - begin_;
    if (capacity_ - used >= size && begin_ >= used) {
      std::memcpy(bytes_, bytes_ + begin_, used);
    } else {
      const std::size_t capacity = std::max({capacity_ * 2, used + size, std::size_t{4096}});
      char* bytes = static_cast<char*>(std::malloc(capacity));
      if (bytes == nullptr) throw std::bad_alloc();
      if (used != 0) std::memcpy(bytes, bytes_ + begin_, used);
      std::free(bytes_);
      bytes_ = bytes;
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = used;
  }

  char* bytes_ = nullptr;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace bench
