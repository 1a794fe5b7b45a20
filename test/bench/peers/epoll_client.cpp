// SPDX-License-Identifier: BSL-1.0
// The other end of the limit: keeps a number of calls in flight with nothing but frames and
// protobuf; one send per connection and turn.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "echo.pb.h"
#include "peers/frame_io.h"
#include "support/client_run.h"

namespace bench {
namespace {

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int connect_to(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("connect");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

class EchoClient {
 public:
  explicit EchoClient(const ClientOptions& options)
      : options_(options), run_(options), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    request_.set_data(std::string(static_cast<std::size_t>(options.payload_bytes), 'x'));
    for (int i = 0; i < options.connections; ++i) add_connection();
  }

  void run() {
    start();
    epoll_event events[256];
    while (!run_.over()) {
      const int count = epoll_wait(epoll_, events, 256, -1);
      for (int i = 0; i < count; ++i) serve(*static_cast<Stream*>(events[i].data.ptr));
    }
    run_.print("epoll");
  }

 private:
  void add_connection() {
    auto& stream = streams_.emplace_back(std::make_unique<Stream>(connect_to(options_.port)));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = stream.get();
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, stream->fd, &event) != 0) die("epoll_ctl");
  }

  void start() {
    run_.begin();
    for (auto& stream : streams_) {
      for (int i = 0; i < options_.outstanding; ++i) send_request();
      if (!io_.flush(*stream)) die("send");
    }
  }

  void send_request() {
    FrameHeader header;
    header.kind = kRequest;
    header.method = kEchoMethod;
    header.call_id = ++last_call_id_;
    io_.put(header, request_);
  }

  void serve(Stream& stream) {
    const bool open = io_.read(
        stream, false, [this](const FrameHeader& header, const char* body, std::size_t size) {
          if (header.kind != kResponse) return false;
          if (!response_.ParseFromArray(body, static_cast<int>(size))) return false;
          if (response_.data().size() != request_.data().size()) return false;
          if (run_.finished_call()) send_request();
          return true;
        });
    if (!open || !io_.flush(stream)) {
      std::fprintf(stderr, "peer_epoll_client: the server closed or answered wrongly\n");
      std::exit(1);
    }
  }

  ClientOptions options_;
  ClientRun run_;
  int epoll_;
  FrameIo io_;
  std::uint64_t last_call_id_ = 0;
  EchoReq request_;
  EchoRsp response_;
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_client(argc, argv);
  bench::allow_many_files();
  bench::EchoClient(options).run();
}
