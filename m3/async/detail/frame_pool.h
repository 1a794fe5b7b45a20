// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define M3_FRAME_POOL 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define M3_FRAME_POOL 0
#endif
#endif
#ifndef M3_FRAME_POOL
#define M3_FRAME_POOL 1  // sanitizers see every frame when the pool is out of the way
#endif

namespace m3::async_detail {

/// Free lists of small blocks, one set per thread, for coroutine frames and call records.
/// A block may be freed on another thread than it came from: it joins that thread's list.
/// Each list keeps at most kKeep blocks, so a burst does not stay in memory for ever.
class FramePool {
  struct Block {
    Block* next;
  };
  struct List {
    Block* head;
    std::size_t count;
  };

 public:
  static constexpr std::size_t kGrain = 64;
  static constexpr std::size_t kClasses = 64;  // blocks up to 4 KiB
  static constexpr std::size_t kKeep = 2048;

  static void* allocate(std::size_t size) {
#if M3_FRAME_POOL
    const std::size_t index = (size + kGrain - 1) / kGrain;
    if (index < kClasses) {
      List& list = lists_[index];
      if (Block* block = list.head) {
        list.head = block->next;
        --list.count;
        return block;
      }
      return ::operator new(index * kGrain);
    }
#endif
    return ::operator new(size);
  }

  static void release(void* memory, std::size_t size) noexcept {
#if M3_FRAME_POOL
    const std::size_t index = (size + kGrain - 1) / kGrain;
    if (index < kClasses) {
      List& list = lists_[index];
      if (list.count < kKeep) {
        list.head = ::new (memory) Block{list.head};
        ++list.count;
        return;
      }
    }
#endif
    static_cast<void>(size);
    ::operator delete(memory);
  }

  /// Returns this thread's blocks to the heap; each core's thread does so when it ends.
  static void drain() noexcept {
    for (List& list : lists_) {
      while (Block* block = list.head) {
        list.head = block->next;
        ::operator delete(block);
      }
      list.count = 0;
    }
  }

 private:
  static inline constinit thread_local List lists_[kClasses] = {};
};

/// Base of types whose objects are allocated in the pool.
struct Pooled {
  static void* operator new(std::size_t size) { return FramePool::allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept {
    FramePool::release(memory, size);
  }
};

/// For Asio's handlers: their memory is from the pool, too.
template <class T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>&) noexcept {
  }  // NOLINT(google-explicit-constructor): rebinding
  T* allocate(std::size_t count) { return static_cast<T*>(FramePool::allocate(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t count) noexcept {
    FramePool::release(memory, count * sizeof(T));
  }
  template <class U>
  bool operator==(const PoolAllocator<U>&) const noexcept {
    return true;
  }
};

}  // namespace m3::async_detail
