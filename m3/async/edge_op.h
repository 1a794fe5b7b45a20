// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/version.hpp>
#include <cstddef>
#include <memory>

// Included by .cpp files only: Asio's reactor, without a read attempt that would fail.
//
// Asio's own async_read_some begins with a recv; on a connection that was just drained it fails
// with EAGAIN and costs a syscall per turn. An operation of our own tells the reactor "exhausted"
// after a short read, so the next one waits for the edge at once. That relies on
// boost::asio::detail, so it is used for the Boost versions it was tested with; others get
// async_wait (M3_EDGE_OP 0).
#if !defined(M3_EDGE_OP)
#if defined(BOOST_ASIO_HAS_EPOLL) && BOOST_VERSION >= 108100 && BOOST_VERSION < 108400 && \
    !defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)
#define M3_EDGE_OP 1
#else
#define M3_EDGE_OP 0
#endif
#endif

namespace m3 {
class Core;
}

namespace m3::async_detail {

/// Bytes were read from a socket of this core, on its thread: after many, the turn should end soon,
/// so that the other side has work again.
void count_read(Core& core, std::size_t bytes) noexcept;

/// Watches one non-blocking descriptor. Core-local; the caller owns the descriptor and closes it
/// after close(). Callbacks get `arg`, from the loop.
///
/// Edges, not levels: after on_ready read until a read returns fewer bytes than asked for (or
/// EAGAIN), then wait() again; bytes that arrived in between raise it at once.
class EdgeWatch {
 public:
  EdgeWatch(boost::asio::io_context& io, int fd, void (*on_ready)(void*), void* arg);
  EdgeWatch(const EdgeWatch&) = delete;
  EdgeWatch& operator=(const EdgeWatch&) = delete;
  ~EdgeWatch();

  /// One on_ready follows (the first may come without a byte to read). Do not call it again before
  /// that.
  void wait();
  /// One on_writable follows when the descriptor takes bytes again (or a connect has ended).
  void wait_writable(void (*on_writable)(void*));
  /// Takes the descriptor out of the loop; no callback follows.
  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace m3::async_detail
