// SPDX-License-Identifier: BSL-1.0
#include "allocations.h"

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define BENCH_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BENCH_SANITIZED 1
#endif

namespace bench {
namespace {

constinit std::atomic<std::uint64_t> g_local{0};
constinit std::atomic<std::atomic<std::uint64_t>*> g_counter{&g_local};

[[maybe_unused]] inline void count_one() {
  auto* counter = g_counter.load(std::memory_order_relaxed);
  counter->store(counter->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

std::uint64_t Allocations::now() {
  return g_counter.load(std::memory_order_relaxed)->load(std::memory_order_relaxed);
}

void Allocations::keep_at(std::atomic<std::uint64_t>* place) {
  place->store(now(), std::memory_order_relaxed);
  g_counter.store(place, std::memory_order_relaxed);
}

bool Allocations::sanitized() {
#ifdef BENCH_SANITIZED
  return true;
#else
  return false;
#endif
}

}  // namespace bench

#if defined(__GLIBC__) && !defined(BENCH_SANITIZED)

bool bench::Allocations::counted() { return true; }

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) noexcept {
  bench::count_one();
  return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) noexcept {
  bench::count_one();
  return __libc_calloc(count, size);
}

void* realloc(void* old, std::size_t size) noexcept {
  bench::count_one();
  return __libc_realloc(old, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  bench::count_one();
  return __libc_memalign(alignment, size);
}
}

#else

bool bench::Allocations::counted() { return false; }

#endif
