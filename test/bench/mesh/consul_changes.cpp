// SPDX-License-Identifier: BSL-1.0
// What one change among many instances costs an app that watches them through Consul: until every
// core has it, CPU of core 0, and for how long it holds core 0. The agent is one of ours, on
// threads of its own: it answers as Consul does.
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "m3/mesh/detail/snapshot.h"
#include "m3/mesh/mesh.h"
#include "m3/plugin/plugin.h"
#include "m3/plugin/shared_parts.h"
#include "m3/rpc/node.h"
#include "plugins/router/consul/consul_router.h"
#include "support/allocations.h"
#include "support/clock.h"
#include "support/json_line.h"

namespace bench {
namespace {

constexpr unsigned kCores = 2;
const std::string kService = "bench.world1.echo";

/// One entry as Consul 1.8 writes it, of about 1.5 KiB.
std::string entry(int number, int weight) {
  const std::string n = std::to_string(number), id = kService + "." + n;
  const std::string node = R"("Node":"node-)" + n + R"(")";
  const auto check = [&](const std::string& check_id, const std::string& service) {
    return "{" + node + R"(,"CheckID":")" + check_id +
           R"(","Name":"m3","Status":"passing","Notes":"","Output":"HTTP GET http://10.0.0.1:9090/health/ready: 200 OK Output: ok","ServiceID":")" +
           service +
           R"(","ServiceName":"m3-bench-world1-echo","ServiceTags":[],"Type":"http","Definition":{},"CreateIndex":)" +
           n + R"(,"ModifyIndex":)" + n + "}";
  };
  return R"({"Node":{"ID":"5d2a3c1e-0000-4000-8000-)" + std::string(12 - n.size(), '0') + n +
         R"(",)" + node +
         R"(,"Address":"10.0.0.1","Datacenter":"dc1","TaggedAddresses":{"lan":"10.0.0.1","lan_ipv4":"10.0.0.1","wan":"10.0.0.1","wan_ipv4":"10.0.0.1"},"Meta":{"consul-network-segment":""},"CreateIndex":5,"ModifyIndex":6},"Service":{"ID":")" +
         id +
         R"(","Service":"m3-bench-world1-echo","Tags":[],"Address":"127.0.0.1","TaggedAddresses":{"lan_ipv4":{"Address":"127.0.0.1","Port":4711},"wan_ipv4":{"Address":"127.0.0.1","Port":4711}},"Meta":{"admin_port":"9090","generation":"17957876020466)" +
         n + R"(","lane":"","placement":"","state":"serving","version":"1.2.3","weight":")" +
         std::to_string(weight) +
         R"("},"Port":4711,"Weights":{"Passing":1,"Warning":1},"EnableTagOverride":false,"Proxy":{"MeshGateway":{},"Expose":{}},"Connect":{},"CreateIndex":)" +
         n + R"(,"ModifyIndex":)" + n + R"(},"Checks":[)" + check("serfHealth", "") + "," +
         check("m3:" + id, id) + "]}";
}

class Agent {
 public:
  explicit Agent(int instances) {
    for (int i = 1; i <= instances; ++i) entries_.push_back(entry(i, 100));
    list_ = rendered(index_);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    auto* address = reinterpret_cast<sockaddr*>(&name);
    if (::bind(listener_, address, size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, address, &size) != 0)
      std::abort();
    port = ntohs(name.sin_port);
    std::thread([this] {
      for (;;) {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) return;
        std::thread([this, fd] { serve(fd); }).detach();
      }
    }).detach();
  }
  /// Written down first, so that only sending it is measured.
  void prepare(int number, int weight) {
    entries_[static_cast<std::size_t>(number - 1)] = entry(number, weight);
    next_ = rendered(index_ + 1);
  }
  void publish() {
    const std::lock_guard lock(mutex_);
    list_ = std::exchange(next_, nullptr);
    ++index_;
    changed_.notify_all();
  }
  std::uint16_t port = 0;

 private:
  using Reply = std::shared_ptr<const std::string>;
  /// In chunks, as Go writes.
  static Reply http(std::uint64_t index, std::string_view body) {
    std::string out = "HTTP/1.1 200 OK\r\nX-Consul-Index: " + std::to_string(index) +
                      "\r\nTransfer-Encoding: chunked\r\n\r\n";
    constexpr std::size_t kChunk = 4096;
    for (std::size_t at = 0; at < body.size(); at += kChunk) {
      const std::string_view chunk = body.substr(at, kChunk);
      char size[16];
      (void)std::snprintf(size, sizeof size, "%zx\r\n", chunk.size());
      ((out += size) += chunk) += "\r\n";
    }
    return std::make_shared<const std::string>(out += "0\r\n\r\n");
  }
  Reply rendered(std::uint64_t index) const {
    std::string body = "[";
    for (const std::string& one : entries_) (body += one) += ',';
    body.back() = ']';
    return http(index, body);
  }
  void serve(int fd) {
    std::string bytes;
    char buffer[4096];
    for (;;) {
      while (bytes.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
        if (got <= 0) return;
        bytes.append(buffer, static_cast<std::size_t>(got));
      }
      const Reply reply = answer(bytes);
      bytes.clear();
      for (std::size_t sent = 0; sent < reply->size();) {
        const ssize_t n = ::send(fd, reply->data() + sent, reply->size() - sent, MSG_NOSIGNAL);
        if (n <= 0) return;
        sent += static_cast<std::size_t>(n);
      }
    }
  }
  Reply answer(const std::string& request) {
    std::unique_lock lock(mutex_);
    const std::size_t at = request.find("index=");
    const bool waits = at != std::string::npos;
    if (request.find("/v1/catalog/services") != std::string::npos) {
      if (waits) changed_.wait(lock, [] { return false; });
      return http(1, R"({"m3-bench-world1-echo":[]})");
    }
    if (request.find("m3-bench-world1-echo") == std::string::npos) return http(1, "[]");
    const std::uint64_t seen = waits ? std::strtoull(request.c_str() + at + 6, nullptr, 10) : 0;
    changed_.wait(lock, [&] { return index_ > seen; });
    return list_;
  }

  const int listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> entries_;
  Reply list_, next_;
  std::uint64_t index_ = 1;
};

/// An app's router and mesh.
class Watcher {
 public:
  explicit Watcher(std::uint16_t port)
      : runtime_(config()),
        env_(m3::Env::App{id_, runtime_, metrics_, std::make_shared<m3::SharedParts>()}),
        router_(env_, config(port)),
        mesh_(runtime_, router_, {}, metrics_),
        node_(runtime_, options(), mesh_, metrics_) {
    runtime_.start();
    const auto started = runtime_.block_on(runtime_.core(0), [this](m3::Ctx& ctx) -> m3::Task<> {
      co_await router_.start(ctx);
      mesh_.start(node_);
      pthread_getcpuclockid(pthread_self(), &clock_);
      co_return m3::ok;
    });
    if (!started.is_ok()) std::abort();
  }
  ~Watcher() {
    (void)runtime_.block_on(runtime_.core(0), [this](m3::Ctx& ctx) -> m3::Task<> {
      co_await mesh_.stop(ctx);
      co_await node_.stop(ctx);
      co_await router_.stop(ctx);
      co_return m3::ok;
    });
    runtime_.stop();
  }
  std::size_t seen(unsigned core, const void*& snapshot) {
    std::size_t out = 0;
    (void)runtime_.block_on(runtime_.core(core), [&](m3::Ctx& ctx) -> m3::Task<> {
      const auto now = mesh_.snapshot(ctx.core(), service_);
      snapshot = now.get();
      out = now ? now->entries().size() : 0;
      co_return m3::ok;
    });
    return out;
  }
  std::uint64_t core0_cpu() const { return clock_ns(clock_); }
  /// Ticks on core 0 as often as it can, and notes the longest CPU time between two of them.
  void tick(bool on) {
    (void)runtime_.block_on(runtime_.core(0), [&](m3::Ctx&) -> m3::Task<> {
      ticks_.on = on;
      if (on) {
        ticks_.most = 0;
        ticks_.last = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        runtime_.core(0).post(ticks_);
      }
      co_return m3::ok;
    });
  }
  double longest_ms() const { return static_cast<double>(ticks_.most) * 1e-6; }

 private:
  struct Ticks final : m3::async_detail::Runnable {
    explicit Ticks(m3::Core& where) : Runnable(&Ticks::fire), core(where) {}
    static void fire(Runnable& work) {
      auto& self = static_cast<Ticks&>(work);
      const std::uint64_t now = clock_ns(CLOCK_THREAD_CPUTIME_ID);
      self.most = std::max(self.most.load(), now - self.last);
      self.last = now;
      if (self.on) self.core.at_turn_end(self);
    }
    m3::Core& core;
    bool on = false;
    std::uint64_t last = 0;
    std::atomic<std::uint64_t> most{0};
  };
  static m3::RuntimeConfig config() {
    m3::RuntimeConfig out;
    out.cores = kCores;
    return out;
  }
  static m3::ConsulRouter::Config config(std::uint16_t port) {
    m3::ConsulRouter::Config out;
    out.addresses = {"127.0.0.1:" + std::to_string(port)};
    return out;
  }
  static m3::RpcNode::Options options() {
    m3::RpcNode::Options out;
    out.id = *m3::AppId::parse("bench.world1.client.1");
    return out;
  }
  const m3::AppId id_ = *m3::AppId::parse("bench.world1.client.1");
  const m3::ServiceId service_ = *m3::ServiceId::parse(kService);
  m3::MetricRegistry metrics_;
  m3::Runtime runtime_;
  Ticks ticks_{runtime_.core(0)};
  m3::Env env_;
  m3::ConsulRouter router_;
  m3::Mesh mesh_;
  m3::RpcNode node_;
  clockid_t clock_{};
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(JsonLine& line, int instances, int changes) {
  Agent agent(instances);
  Watcher watcher(agent.port);
  const void* shown[kCores] = {};
  const std::uint64_t first = now_ns();
  for (unsigned i = 0; i < kCores; ++i)
    while (watcher.seen(i, shown[i]) != static_cast<std::size_t>(instances))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  line.number("first_list_ms", static_cast<double>(now_ns() - first) * 1e-6);
  std::vector<double> ms, cpu, hold;
  for (int i = 0; i < changes; ++i) {
    agent.prepare(1 + i * 37 % instances, 50 + i);
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    const bool ticking = i % 2 == 1;
    if (ticking) watcher.tick(true);
    const std::uint64_t cpu0 = watcher.core0_cpu(), began = now_ns();
    agent.publish();
    for (unsigned core = 0; core < kCores; ++core) {
      const void* now = shown[core];
      while (watcher.seen(core, now), now == shown[core])
        std::this_thread::sleep_for(std::chrono::microseconds(300));
      shown[core] = now;
    }
    const double took = static_cast<double>(now_ns() - began) * 1e-6;
    if (ticking) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      watcher.tick(false);
      hold.push_back(watcher.longest_ms());
    } else {
      ms.push_back(took);
      cpu.push_back(static_cast<double>(watcher.core0_cpu() - cpu0) * 1e-6);
    }
  }
  line.number("change_ms", median(ms)).number("change_core0_ms", median(cpu));
  line.number("longest_hold_ms", median(hold));
  line.number("longest_hold_most_ms", *std::max_element(hold.begin(), hold.end()));
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const bool quick = argc == 2 && std::string_view(argv[1]) == "--quick";
  bench::JsonLine line;
  line.text("program", "m3_consul_changes");
  line.boolean("sanitized", bench::Allocations::sanitized());
  bench::measure(line, quick ? 500 : 5000, quick ? 4 : 20);
  line.print();
  std::_Exit(0);  // the agent's threads wait for ever
}
