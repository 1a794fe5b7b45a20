// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/version.hpp>
#include <cstddef>
#include <memory>

// Included by .cpp files only: Asio's reactor without the read attempt that is known to fail.
//
// Asio's own async_read_some begins with a recv; on a connection that was just drained it fails
// with EAGAIN and costs a syscall per turn. An operation of our own tells the reactor "exhausted"
// after a short read, so the next one waits for the edge at once. That leans on
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

namespace m3::async_detail {

/// What reading a descriptor came to.
enum class Edge { again, ready, drained };

/// Watches one descriptor for reading. The owner keeps it alive until on_ready came for the last
/// wait() or until after the `closed` callback of close().
class EdgeWatch {
 public:
  /// `poll` reads what is there: `again` (nothing yet), `ready` (more may follow) or `drained`
  /// (a short read: the next byte will raise a new edge). Then `on_ready` is called from the loop.
  /// Both get `arg`. The descriptor must be non-blocking; it stays the caller's to close, after
  /// close().
  EdgeWatch(boost::asio::io_context& io, int fd, Edge (*poll)(void*), void (*on_ready)(void*),
            void* arg);
  EdgeWatch(const EdgeWatch&) = delete;
  EdgeWatch& operator=(const EdgeWatch&) = delete;
  ~EdgeWatch();

  /// One on_ready follows. Not again before it came.
  void wait();
  /// One on_writable follows when the descriptor takes bytes again.
  void wait_writable(void (*on_writable)(void*));
  /// Takes the descriptor out of the loop; no callback comes after this.
  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace m3::async_detail
