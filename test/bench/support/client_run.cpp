// SPDX-License-Identifier: BSL-1.0
#include "client_run.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "allocations.h"
#include "json_line.h"

namespace bench {
namespace {

constexpr std::size_t kMostLatencies = 4'000'000;  // 16 MB; later ones are not recorded

std::uint64_t as_ns(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

void per_call(JsonLine& line, std::string_view key, bool known, std::uint64_t first,
              std::uint64_t last, std::uint64_t calls, double scale) {
  if (!known || calls == 0 || last < first)
    line.null(key);
  else
    line.number(key, static_cast<double>(last - first) / static_cast<double>(calls) * scale);
}

}  // namespace

ClientRun::ClientRun(ClientOptions options)
    : options_(std::move(options)), timed_(options_.connections * options_.outstanding == 1) {
  if (!options_.server_page.empty()) page_ = ServerPage::open(options_.server_page);
  if (timed_) latencies_ns_.reserve(kMostLatencies);
}

void ClientRun::begin() {
  if (options_.count_syscalls) {  // now, when all threads of both ends are there
    own_syscalls_ = std::make_unique<SyscallCounter>(getpid());
    if (options_.server_pid != 0)
      server_syscalls_ = std::make_unique<SyscallCounter>(options_.server_pid);
  }
  started_ns_ = now_ns();
  warm_ns_ = started_ns_ + as_ns(options_.warmup_seconds);
  end_ns_ = warm_ns_ + as_ns(options_.seconds);
}

bool ClientRun::finished_timed_call() {
  const std::uint64_t now = now_ns();
  if (measuring_ && latencies_ns_.size() < kMostLatencies)
    latencies_ns_.push_back(static_cast<std::uint32_t>(now - started_ns_));
  started_ns_ = now;  // the next call begins at once
  return advance(now);
}

bool ClientRun::advance(std::uint64_t now) {
  if (over_) return false;
  if (!measuring_ && now >= warm_ns_) {
    measuring_ = true;
    first_ = costs(now);
    started_ns_ = now_ns();
  } else if (measuring_ && now >= end_ns_) {
    last_ = costs(now);
    over_ = true;
  }
  return !over_;
}

ClientRun::Costs ClientRun::costs(std::uint64_t now) const {
  Costs c;
  c.at_ns = now;
  c.calls = calls_;
  c.own_cpu_ns = own_cpu_ns();
  if (options_.server_pid != 0) c.server_cpu_ns = process_cpu_ns(options_.server_pid);
  c.own_allocations = Allocations::now();
  if (page_ != nullptr) c.server_allocations = page_->allocations.load(std::memory_order_relaxed);
  if (own_syscalls_) c.own_syscalls = own_syscalls_->now();
  if (server_syscalls_) c.server_syscalls = server_syscalls_->now();
  return c;
}

void ClientRun::print(const char* peer) const {
  const std::uint64_t calls = last_.calls - first_.calls;
  const double elapsed = static_cast<double>(last_.at_ns - first_.at_ns) * 1e-9;
  JsonLine line;
  line.text("peer", peer)
      .count("connections", static_cast<std::uint64_t>(options_.connections))
      .count("outstanding", static_cast<std::uint64_t>(options_.outstanding))
      .count("payload_bytes", static_cast<std::uint64_t>(options_.payload_bytes))
      .count("calls", calls)
      .number("seconds", elapsed)
      .number("calls_per_second", elapsed > 0 ? static_cast<double>(calls) / elapsed : 0);
  auto sorted = latencies_ns_;
  std::sort(sorted.begin(), sorted.end());
  if (sorted.empty()) {
    line.null("p50_us").null("p99_us");
  } else {
    line.number("p50_us", sorted[sorted.size() / 2] / 1e3);
    line.number("p99_us", sorted[sorted.size() * 99 / 100] / 1e3);
  }
  per_call(line, "server_cpu_us", options_.server_pid != 0, first_.server_cpu_ns,
           last_.server_cpu_ns, calls, 1e-3);
  per_call(line, "client_cpu_us", true, first_.own_cpu_ns, last_.own_cpu_ns, calls, 1e-3);
  per_call(line, "server_syscalls", first_.server_syscalls && last_.server_syscalls,
           first_.server_syscalls.value_or(0), last_.server_syscalls.value_or(0), calls, 1);
  per_call(line, "client_syscalls", first_.own_syscalls && last_.own_syscalls,
           first_.own_syscalls.value_or(0), last_.own_syscalls.value_or(0), calls, 1);
  per_call(line, "server_allocations", page_ != nullptr && page_->allocations_counted,
           first_.server_allocations, last_.server_allocations, calls, 1);
  per_call(line, "client_allocations", Allocations::counted(), first_.own_allocations,
           last_.own_allocations, calls, 1);
  line.print();
}

}  // namespace bench
