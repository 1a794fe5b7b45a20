// SPDX-License-Identifier: BSL-1.0
#include "support/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fault {

std::string http(const m3::HostPort& to, const std::string& method, const std::string& path) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(to.port);
  inet_pton(AF_INET, to.host.c_str(), &name.sin_addr);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const std::string request = method + " " + path + " HTTP/1.0\r\nHost: " + to.to_string() +
                              "\r\nContent-Length: 0\r\n\r\n";
  std::string answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    char buffer[4096];
    for (pollfd readable{fd, POLLIN, 0}; ::poll(&readable, 1, 5000) == 1;) {
      const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      answer.append(buffer, static_cast<std::size_t>(got));
    }
  }
  ::close(fd);
  return answer;
}

}  // namespace fault
