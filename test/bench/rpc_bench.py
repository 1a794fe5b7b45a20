#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Echo calls over loopback TCP: m3 against the limit (epoll by hand) and against gRPC C++.

Every server is pinned to one CPU, every client to another; the peers take turns in every round, so
that a noisy neighbour hits all of them alike. Ratios are taken within a round, then the median.
docs/reference/performance.md says how to read the numbers.
"""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import idle, marks, rounds, table  # noqa: E402

QUICK_ATTEMPTS = 3
QUICK_FACTOR = 3
# A sanitizer slows down m3's own code, and hardly the kernel, which is nearly all of epoll by hand:
# how much depends on the processor (W2: 3 to 7.5 times epoll).
SANITIZED_FACTOR = 10


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", default=os.getcwd(), help="directory of the built programs (default: .)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each with every peer (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="measured time of one run (default 1)")
    parser.add_argument("--peers", default="", help="only these, e.g. m3,epoll (default: all that are built)")
    parser.add_argument("--workloads", default="w1,w2,w3,w4", help="only these (default: all)")
    parser.add_argument("--idle", type=int, default=5000, help="idle connections to hold (0: leave it out)")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--quick", action="store_true",
                        help="short; fail when a figure is worse than 3 times its mark (10 with sanitizers)")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    plan = rounds.Plan(arguments.bin, arguments.peers, arguments.workloads)
    for name, reason in plan.absent.items():
        print(f"rpc_bench: without {name}: {reason}")
    if not plan.peers:
        print("rpc_bench: nothing to measure")
        return 77  # meson: skipped
    if arguments.quick:
        return quick_check(plan, arguments)
    figures = measure(plan, arguments, warmup=0.15)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump([f.as_json() for f in figures], file, indent=1)
            file.write("\n")
    return 0


def measure(plan, arguments, warmup):
    results = rounds.measure(plan, arguments.rounds, arguments.seconds, warmup)
    memory = idle.measure(plan, arguments.idle) if arguments.idle else {}
    figures = marks.figures(plan, results, memory)
    table.show_runs(plan, results)
    table.show_marks(figures)
    return figures


def quick_check(plan, arguments):
    """Fails when a figure is bad every time: one bad time may be the neighbour's build."""
    arguments.rounds, arguments.seconds, arguments.idle = 2, 0.2, min(arguments.idle, 1000)
    bad = None
    for _ in range(QUICK_ATTEMPTS):
        figures = measure(plan, arguments, warmup=0.05)
        factor = SANITIZED_FACTOR if plan.sanitized else QUICK_FACTOR
        missed = {f.name: f for f in figures if f.worse_than(factor)}
        bad = missed if bad is None else {name: missed[name] for name in bad if name in missed}
        if not bad:
            return 0
    for figure in bad.values():
        print(f"rpc_bench: {figure.name} is {figure.value:.3g} {figure.unit}, more than {factor} times off "
              f"its mark {figure.goal_text()}, {QUICK_ATTEMPTS} times in a row")
    return 1


if __name__ == "__main__":
    sys.exit(main())
