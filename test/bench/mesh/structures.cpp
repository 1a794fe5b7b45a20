// SPDX-License-Identifier: BSL-1.0
// What the mesh costs by itself: a pick, a change among many instances, the first list, the first
// hash table; and how evenly hash routing spreads keys.
#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "mesh/mesh_node.h"
#include "support/allocations.h"
#include "support/json_line.h"

namespace bench {
namespace {

constexpr unsigned kCores = 2;
constexpr int kKeys = 1024;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

std::uint64_t thread_cpu_ns() { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

std::vector<m3::Member> members(int count) {
  std::vector<m3::Member> out;
  out.reserve(static_cast<std::size_t>(count));
  for (int i = 1; i <= count; ++i) out.push_back(listed(i, static_cast<std::uint16_t>(1024 + i)));
  return out;
}

/// Told by the mesh when a core's view of the service changes.
struct Noticed final : m3::RouteWaiter {
  void on_route_change() override { at_ns.store(now_ns(), std::memory_order_release); }
  std::atomic<std::uint64_t> at_ns{0};
};

/// The cores of a node, watched while something happens on them.
class Watched {
 public:
  explicit Watched(MeshNode& node) : node_(node), noticed_(kCores) {
    for (unsigned i = 0; i < kCores; ++i)
      node_.run(i, [&](m3::Ctx&) { pthread_getcpuclockid(pthread_self(), &clocks_[i]); });
  }

  /// Both cores have begun to call the service.
  void begin() {
    for (unsigned i = 0; i < kCores; ++i)
      node_.run(i, [&](m3::Ctx& ctx) { (void)node_.mesh().snapshot(ctx.core(), node_.service()); });
    while (!watched()) std::this_thread::yield();
  }

  struct Outcome {
    double ms = 0;          ///< until the last core has the new list
    double core0_ms = 0;    ///< CPU that core 0 spent: no turn of it took longer
    double others_ms = 0;   ///< ... and the busiest other one
    double process_ms = 0;  ///< CPU of all threads
  };
  /// Does it on core 0, and waits for `wanted` to come true on all cores.
  template <class What, class Wanted>
  Outcome measure(What what, Wanted wanted) {
    std::uint64_t cpu[kCores];
    const std::uint64_t process = own_cpu_ns();
    arm();
    for (unsigned i = 0; i < kCores; ++i) cpu[i] = clock_ns(clocks_[i]);
    std::uint64_t began = 0;
    node_.run(0, [&](m3::Ctx&) {
      began = now_ns();
      what();
    });
    const std::uint64_t ended = wait(wanted);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // what follows it counts, too
    Outcome out;
    out.ms = static_cast<double>(ended - began) * 1e-6;
    out.process_ms = static_cast<double>(own_cpu_ns() - process) * 1e-6;
    for (unsigned i = 0; i < kCores; ++i) {
      const double spent = static_cast<double>(clock_ns(clocks_[i]) - cpu[i]) * 1e-6;
      if (i == 0)
        out.core0_ms = spent;
      else
        out.others_ms = std::max(out.others_ms, spent);
    }
    return out;
  }

 private:
  bool watched() {
    bool there = false;
    node_.run(0, [&](m3::Ctx&) { there = node_.router().is_watched(); });
    return there;
  }
  void arm() {
    for (unsigned i = 0; i < kCores; ++i) arm(i);
  }
  void arm(unsigned core) {
    node_.run(core, [&](m3::Ctx&) {
      noticed_[core].at_ns = 0;
      const m3::Pick none =
          node_.mesh().pick({node_.service(), m3::RouteMode::p2p, "bench.world1.echo.none",
                             m3::kNoSlot, node_.node().caller().peers()});
      m3::RouteWaiters::remove(noticed_[core]);
      none.waiters->add(noticed_[core]);
    });
  }
  template <class Wanted>
  std::uint64_t wait(Wanted wanted) {
    std::uint64_t last = 0;
    for (unsigned i = 0; i < kCores; ++i) {
      for (;;) {
        while (noticed_[i].at_ns.load(std::memory_order_acquire) == 0)
          std::this_thread::sleep_for(std::chrono::microseconds(200));
        bool there = false;
        node_.run(i, [&](m3::Ctx& ctx) {
          const auto now = node_.mesh().snapshot(ctx.core(), node_.service());
          there = now && wanted(*now);
        });
        if (there) break;
        arm(i);  // a change in between
      }
      last = std::max(last, noticed_[i].at_ns.load());
    }
    return last;
  }

  MeshNode& node_;
  std::vector<Noticed> noticed_;
  clockid_t clocks_[kCores] = {};
};

/// ns for each pick on core 0, by the clock of its thread.
double time_picks(MeshNode& node, m3::RouteMode mode, const std::vector<std::string>& keys,
                  int picks) {
  double out = 0;
  node.run(0, [&](m3::Ctx&) {
    m3::Peers& peers = node.node().caller().peers();
    std::size_t found = 0;
    const std::uint64_t began = thread_cpu_ns();
    for (int i = 0; i < picks; ++i) {
      const m3::Pick pick =
          node.mesh().pick({node.service(), mode, keys[static_cast<std::size_t>(i) % keys.size()],
                            m3::kNoSlot, peers});
      found += pick.instance != nullptr;
    }
    out = static_cast<double>(thread_cpu_ns() - began) / picks;
    if (found != static_cast<std::size_t>(picks)) std::abort();
  });
  return out;
}

struct Mode {
  const char* name;
  m3::RouteMode mode;
};
constexpr Mode kModes[] = {{"random", m3::RouteMode::random},
                           {"hash", m3::RouteMode::hash},
                           {"single", m3::RouteMode::single},
                           {"p2p", m3::RouteMode::p2p}};

void measure_picks(JsonLine& line, int instances, int picks) {
  MeshNode node(kCores);
  Watched cores(node);
  cores.begin();
  const auto all = [&](const m3::mesh_detail::Snapshot& s) {
    return s.entries().size() == static_cast<std::size_t>(instances);
  };
  cores.measure([&] { node.router().tell(members(instances)); }, all);
  std::vector<std::string> keys, ids;
  for (int i = 0; i < kKeys; ++i) {
    keys.push_back("role:" + std::to_string(1000000 + i));
    ids.push_back("bench.world1.echo." + std::to_string(1 + i * 7 % instances));
  }
  time_picks(node, m3::RouteMode::hash, keys, 1);  // asks for a table
  for (bool there = false; !there;) {
    node.run(0, [&](m3::Ctx& ctx) {
      there = node.mesh().snapshot(ctx.core(), node.service())->has_hash();
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (const Mode& mode : kModes) {
    std::vector<double> ns;
    for (int round = 0; round < 5; ++round)
      ns.push_back(
          time_picks(node, mode.mode, mode.mode == m3::RouteMode::p2p ? ids : keys, picks));
    line.number("pick_" + std::string(mode.name) + "_" + std::to_string(instances), median(ns));
  }
}

/// The list as a registry gives it: whole, in an order of its own.
std::vector<m3::Member> shuffled(std::vector<m3::Member> list) {
  for (std::size_t i = 0; i < list.size(); ++i) std::swap(list[i], list[i * 7919 % list.size()]);
  return list;
}

void measure_changes(JsonLine& line, int instances, int changes) {
  MeshNode node(kCores);
  Watched cores(node);
  cores.begin();
  const auto whole = shuffled(members(instances));
  auto less = whole;
  less.pop_back();
  const auto sized = [](std::size_t size) {
    return [size](const m3::mesh_detail::Snapshot& s) { return s.entries().size() == size; };
  };
  auto list = whole;
  const auto first =
      cores.measure([&] { node.router().tell(std::move(list)); }, sized(whole.size()));
  const auto table = cores.measure(
      [&] {
        (void)node.mesh().pick({node.service(), m3::RouteMode::hash, "key", m3::kNoSlot,
                                node.node().caller().peers()});
      },
      [](const m3::mesh_detail::Snapshot& s) { return s.has_hash(); });
  line.number("first_list_ms", first.ms).number("first_list_core0_ms", first.core0_ms);
  line.number("first_list_others_ms", first.others_ms);
  line.number("first_table_ms", table.ms).number("first_table_core0_ms", table.core0_ms);
  line.number("first_table_others_ms", table.others_ms);
  line.number("first_table_cpu_ms", table.process_ms);
  std::vector<double> ms, core0, others, cpu;
  for (int i = 0; i < changes; ++i) {
    list = i % 2 == 0 ? less : whole;
    const std::size_t size = list.size();
    const auto one = cores.measure([&] { node.router().tell(std::move(list)); }, sized(size));
    ms.push_back(one.ms);
    core0.push_back(one.core0_ms);
    others.push_back(one.others_ms);
    cpu.push_back(one.process_ms);
  }
  line.number("change_ms", median(ms)).number("change_core0_ms", median(core0));
  line.number("change_others_ms", median(others)).number("change_cpu_ms", median(cpu));
  line.number("change_core0_most_ms", *std::max_element(core0.begin(), core0.end()));
}

/// How a million keys fall on the instances, and how many move when one goes.
void measure_balance(JsonLine& line, int instances, int keys) {
  m3::mesh_detail::Membership membership(std::make_shared<m3::mesh_detail::SlotPool>());
  auto list = members(instances);
  membership.on_list(list, {});
  const auto service = *m3::ServiceId::parse("bench.world1.echo");
  const m3::mesh_detail::Snapshot before(service, membership.entries());
  const std::string gone = list[static_cast<std::size_t>(instances) / 2].id.to_string();
  std::erase_if(list, [&](const m3::Member& m) { return m.id.to_string() == gone; });
  m3::mesh_detail::Membership fewer(std::make_shared<m3::mesh_detail::SlotPool>());
  fewer.on_list(list, {});
  const m3::mesh_detail::Snapshot after(service, fewer.entries());
  // By slot first: a key's owner is its slot's.
  std::vector<std::size_t> in_slot(m3::kHashSlots);
  std::vector<std::string> key_of(m3::kHashSlots);
  for (int i = 0; i < keys; ++i) {
    std::string key = std::to_string(i);
    const std::uint16_t slot = m3::hash_slot(key);
    ++in_slot[slot];
    key_of[slot] = std::move(key);
  }
  std::unordered_map<std::string, std::size_t> load;
  std::size_t moved = 0;
  for (std::size_t slot = 0; slot < m3::kHashSlots; ++slot) {
    if (in_slot[slot] == 0) continue;
    const std::string was = before.owner(key_of[slot])->id.to_string();
    load[was] += in_slot[slot];
    if (after.owner(key_of[slot])->id.to_string() != was) moved += in_slot[slot];
  }
  std::size_t most = 0;
  for (const auto& [id, count] : load) most = std::max(most, count);
  const std::string n = std::to_string(instances);
  line.number("spread_" + n, static_cast<double>(most) * instances / keys);
  line.number("moved_" + n, static_cast<double>(moved) * instances / keys);
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const bool quick = argc == 2 && std::string_view(argv[1]) == "--quick";
  bench::JsonLine line;
  line.text("program", "m3_mesh_structures");
  line.boolean("sanitized", bench::Allocations::sanitized());
  for (const int instances : {10, 100, 1000, 5000}) {
    if (quick && instances > 100) continue;
    bench::measure_picks(line, instances, quick ? 20'000 : 500'000);
  }
  bench::measure_changes(line, 5000, quick ? 4 : 40);
  for (const int instances : {10, 100}) bench::measure_balance(line, instances, 1'000'000);
  line.print();
}
