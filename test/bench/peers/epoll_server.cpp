// SPDX-License-Identifier: BSL-1.0
// The limit: what an echo server costs when it does nothing but m3's frames and protobuf.
// No deadlines, no pending table, no metadata, no hello; never a system call more than needed.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <cstdio>
#include <cstdlib>

#include "echo.pb.h"
#include "peers/frame_io.h"
#include "support/options.h"
#include "support/server_page.h"

namespace bench {
namespace {

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int listen_on(int& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("bind");
  if (listen(fd, 1024) != 0) die("listen");
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

class EchoServer {
 public:
  explicit EchoServer(int listener) : listener_(listener), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    watch(listener_, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    epoll_event events[256];
    for (;;) {
      const int count = epoll_wait(epoll_, events, 256, -1);
      for (int i = 0; i < count; ++i) {
        auto* stream = static_cast<Stream*>(events[i].data.ptr);
        if (stream == nullptr)
          accept_all();
        else if (!serve(*stream, events[i].events))
          delete stream;
      }
    }
  }

 private:
  void watch(int fd, std::uint32_t what, Stream* stream) const {
    epoll_event event{};
    event.events = what;
    event.data.ptr = stream;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }

  void accept_all() const {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, new Stream(fd));
    }
  }

  bool serve(Stream& stream, std::uint32_t what) {
    const bool hung_up = (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    const bool open = io_.read(
        stream, hung_up, [this](const FrameHeader& header, const char* body, std::size_t size) {
          return echo(header, body, size);
        });
    return io_.flush(stream) && open;
  }

  bool echo(const FrameHeader& header, const char* body, std::size_t size) {
    if (header.kind != kRequest || header.method != kEchoMethod) return false;
    if (!request_.ParseFromArray(body, static_cast<int>(size))) return false;
    response_.set_data(request_.data());
    FrameHeader answer;
    answer.kind = kResponse;
    answer.method = header.method;
    answer.call_id = header.call_id;
    io_.put(answer, response_);
    return true;
  }

  int listener_;
  int epoll_;
  FrameIo io_;
  EchoReq request_;
  EchoRsp response_;
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  auto options = bench::parse_server(argc, argv);
  bench::allow_many_files();
  std::string page;
  bench::ServerPage::publish(page);
  const int listener = bench::listen_on(options.port);
  bench::print_ready("peer_epoll_server", options.port, page);
  bench::EchoServer(listener).run();
}
