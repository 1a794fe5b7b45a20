// SPDX-License-Identifier: BSL-1.0
// The limit for hops between two cores, printed: one line for each number of messages in flight.
#include <cstdlib>

#include "peers/bare_cores.h"
#include "support/json_line.h"

int main(int argc, char** argv) {
  const double seconds = argc == 3 ? std::atof(argv[2]) : 0.5;  // --seconds S
  bench::JsonLine line;
  line.text("peer", "spsc_eventfd");
  for (const int chains : {1, 64, 1024}) {
    const auto result =
        bench::measure_bare_hops(chains, seconds > 0 && seconds < 60 ? seconds : 0.5);
    const auto in_flight = "_" + std::to_string(chains);
    line.number("round_trip_us" + in_flight, result.round_trip_us);
    line.number("hop_ns" + in_flight, 1e9 / result.hops_per_second);
    line.number("hop_cpu_ns" + in_flight, result.cpu_ns_per_hop);
  }
  line.print();
}
