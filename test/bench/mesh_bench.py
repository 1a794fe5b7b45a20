#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What routing costs: calls to one of 100 instances, picks, changes among 5,000 instances, how hash
routing spreads, BroadCast beside bare publishers, and the life of an instance.

docs/reference/performance.md says how to read the numbers.
"""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import broadcast, life, routed, table  # noqa: E402

PARTS = ("calls", "structures", "broadcast", "life")
QUICK_ATTEMPTS = 3


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", default=os.getcwd(), help="directory of the built programs (default: .)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each with every peer (default 5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="measured time of one run (default 0.5)")
    parser.add_argument("--messages", type=int, default=50000, help="of one round of broadcasts (default 50000)")
    parser.add_argument("--parts", default=",".join(PARTS), help="only these, e.g. calls,life (default: all)")
    parser.add_argument("--routers", default="static,consul",
                        help="with which the life of an instance is measured (default static,consul)")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--quick", action="store_true",
                        help="short; fail when a figure is worse than three times its mark")
    arguments = parser.parse_args()
    arguments.parts = [p for p in arguments.parts.split(",") if p]
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    arguments.routers = [r for r in arguments.routers.split(",") if r]
    if unknown := set(arguments.routers) - set(life.ROUTERS):
        parser.error(f"no such router: {', '.join(sorted(unknown))}; there are {', '.join(life.ROUTERS)}")
    return arguments


def measure(arguments):
    figures = []
    sanitized = False
    if "calls" in arguments.parts:
        calls = routed.run_calls(arguments.bin, arguments.rounds, arguments.seconds)
        routed.show_calls(calls, table.show)
        figures += routed.call_figures(calls)
    if "structures" in arguments.parts:
        found = routed.run_structures(arguments.bin, arguments.quick)
        figures += routed.structure_figures(found)
        sanitized = found["sanitized"]
    if "broadcast" in arguments.parts:
        results = {}
        for kind in broadcast.BROKERS:
            found = broadcast.measure(arguments.bin, kind, arguments.rounds, arguments.messages)
            if found:
                results[kind] = found
            else:
                print(f"mesh_bench: without {kind}: {broadcast.BROKERS[kind][0]} is not installed")
        if results:
            broadcast.show(results, table.show)
        figures += broadcast.figures(results, sanitized)
    if "life" in arguments.parts:
        for router in arguments.routers:
            found = life.measure(arguments.bin, router, 1 if arguments.quick else arguments.rounds)
            if found:
                figures += life.figures(router, found)
            else:
                print(f"mesh_bench: without the life of an instance over {router}, which is not installed")
    table.show_marks(figures)
    return figures


def quick_check(arguments):
    """Fails when a figure is bad every time: one bad time may be the neighbour's build."""
    arguments.rounds, arguments.seconds, arguments.messages, arguments.routers = 1, 0.1, 3000, ["static"]
    bad = None
    for _ in range(QUICK_ATTEMPTS):
        missed = {f.name: f for f in measure(arguments) if f.worse_than(3)}
        bad = missed if bad is None else {name: missed[name] for name in bad if name in missed}
        if not bad:
            return 0
    for figure in bad.values():
        print(f"mesh_bench: {figure.name} is {figure.value:.3g} {figure.unit}, more than three times off "
              f"its mark {figure.goal_text()}, {QUICK_ATTEMPTS} times in a row")
    return 1


def main():
    arguments = parse_arguments()
    if arguments.quick:
        return quick_check(arguments)
    figures = measure(arguments)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump([f.as_json() for f in figures], file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
