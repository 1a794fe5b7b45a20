// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/cluster/probe.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace m3ctl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostText = 8u << 20;

/// One request in progress. Owns its socket.
class Talk {
 public:
  Talk(const Question& question, Answer& answer) : question_(&question), answer_(&answer) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(question.address.port);
    if (inet_pton(AF_INET, question.address.host.c_str(), &address.sin_addr) != 1) return;
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_ < 0) return;
    const int code = connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    if (code < 0 && errno != EINPROGRESS) end();
  }
  Talk(Talk&& other) noexcept
      : question_(other.question_),
        answer_(other.answer_),
        socket_(std::exchange(other.socket_, -1)),
        connected_(other.connected_),
        sent_(other.sent_) {}
  Talk& operator=(Talk&&) = delete;
  ~Talk() { end(); }

  bool ended() const { return socket_ < 0; }
  pollfd wish() const {
    const bool writes = !connected_ || sent_ < question_->send.size();
    return {socket_, static_cast<short>(writes ? POLLOUT : POLLIN), 0};
  }
  void go_on() {
    if (!connected_ && !finish_connect()) return end();
    if (sent_ < question_->send.size()) return write_more();
    read_more();
  }

 private:
  bool finish_connect() {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
    connected_ = error == 0;
    return connected_;
  }
  void write_more() {
    const ssize_t done =
        send(socket_, question_->send.data() + sent_, question_->send.size() - sent_, MSG_NOSIGNAL);
    if (done > 0) sent_ += static_cast<std::size_t>(done);
    if (done < 0 && errno != EAGAIN) end();
  }
  void read_more() {
    std::array<char, 16384> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): is filled
    const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) answer_->text.append(buffer.data(), static_cast<std::size_t>(got));
    const bool enough = question_->enough > 0 && answer_->text.size() >= question_->enough;
    if (got <= 0 || enough || answer_->text.size() > kMostText) end();
  }
  void end() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }

  const Question* question_;
  Answer* answer_;
  int socket_ = -1;
  bool connected_ = false;
  std::size_t sent_ = 0;
};

}  // namespace

std::vector<Answer> ask_all(const std::vector<Question>& questions,
                            std::chrono::milliseconds most) {
  std::vector<Answer> answers(questions.size());
  std::vector<Talk> talks;
  talks.reserve(questions.size());
  for (std::size_t i = 0; i < questions.size(); ++i) talks.emplace_back(questions[i], answers[i]);
  const auto until = Clock::now() + most;
  while (true) {
    std::vector<pollfd> wishes;
    std::vector<Talk*> open;
    wishes.reserve(talks.size());
    open.reserve(talks.size());
    for (Talk& talk : talks) {
      if (talk.ended()) continue;
      wishes.push_back(talk.wish());
      open.push_back(&talk);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (open.empty() || left <= 0) return answers;
    poll(wishes.data(), wishes.size(), static_cast<int>(left));
    for (std::size_t i = 0; i < open.size(); ++i)
      if (wishes[i].revents != 0) open[i]->go_on();
  }
}

Question http_get(const m3::HostPort& address, const std::string& path) {
  return {address,
          fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", path,
                      address.to_string()),
          0};
}

bool is_http_ok(const std::string& answer) {
  return answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200");
}

}  // namespace m3ctl
