// SPDX-License-Identifier: BSL-1.0
// U2, by a client that has nothing but a socket and docs/reference/wire.md.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "m3/base/method_hash.h"
#include "m3/testing/catch.h"
#include "m3/wire.pb.h"
#include "process.h"
#include "proto/simple.pb.h"

using namespace seed;

namespace {

template <class T>
void put(std::string& out, T value) {
  for (unsigned i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i));
}

template <class T>
T get(const std::string& from, std::size_t at) {
  T value = 0;
  for (unsigned i = 0; i < sizeof value; ++i)
    value = static_cast<T>(value | T{static_cast<unsigned char>(from[at + i])} << (8 * i));
  return value;
}

std::string frame(std::uint8_t kind, const std::string& metadata, const std::string& body,
                  std::uint32_t method = 0, std::uint32_t deadline = 0, std::uint64_t call_id = 0) {
  std::string out;
  put(out, static_cast<std::uint32_t>(20 + metadata.size() + body.size()));
  put(out, kind);
  put(out, std::uint8_t{0});
  put(out, static_cast<std::uint16_t>(metadata.size()));
  put(out, method);
  put(out, deadline);
  put(out, call_id);
  return out + metadata + body;
}

class Socket {
 public:
  explicit Socket(const std::string& address) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      throw std::runtime_error("cannot connect to " + address);
  }
  ~Socket() { ::close(fd_); }
  void send(const std::string& bytes) const {
    if (::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("short send");
  }
  std::string read(std::size_t count) const {
    std::string out(count, '\0');
    for (std::size_t got = 0; got < count;) {
      const ssize_t n = ::recv(fd_, out.data() + got, count - got, 0);
      if (n <= 0) throw std::runtime_error("the connection ended, or said nothing for 10 s");
      got += static_cast<std::size_t>(n);
    }
    return out;
  }
  /// Header and rest of the next frame.
  std::pair<std::string, std::string> read_frame() const {
    std::string header = read(24);
    std::string rest = read(get<std::uint32_t>(header, 0) - 20);
    return {header, rest};
  }

 private:
  int fd_;
};

}  // namespace

TEST_CASE("U2: a length, a header, metadata and a protobuf message are all that a call takes") {
  Simple app;
  Socket socket(app.address());
  m3::wire::Hello hello;
  hello.set_protocol(2);
  hello.set_nonce(std::string(16, 'n'));
  m3::wire::Hello server;
  for (const std::string& body : {hello.SerializeAsString(), std::string()}) {
    socket.send(frame(1, "", body));
    const auto [hello_header, hello_body] = socket.read_frame();
    CHECK(get<std::uint8_t>(hello_header, 4) == 1);
    REQUIRE(server.ParseFromString(hello_body));
  }
  CHECK(server.app_id() == "example.world1.simple.1");

  proto::HelloWorld_Req request;
  request.set_req("Ann");
  m3::wire::Metadata metadata;
  auto* entry = metadata.add_entries();
  entry->set_key("color");
  entry->set_value("red");
  const std::uint32_t method = m3::method_hash("/proto.SimpleSer/HelloWorld");
  socket.send(
      frame(2, metadata.SerializeAsString(), request.SerializeAsString(), method, 60000, 42));
  const auto [header, rest] = socket.read_frame();
  CHECK(get<std::uint8_t>(header, 4) == 3);     // a response
  CHECK(get<std::uint16_t>(header, 6) == 0);    // with no metadata
  CHECK(get<std::uint64_t>(header, 16) == 42);  // to this call
  proto::HelloWorld_Rsp response;
  REQUIRE(response.ParseFromString(rest));
  CHECK(response.rsp() == "HelloWorld , Ann");
}
