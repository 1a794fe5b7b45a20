# SPDX-License-Identifier: BSL-1.0
"""Calls to one of many instances, and what the mesh's structures cost by themselves."""
import json
import os
import subprocess

from . import programs
from .marks import Figure, median

INSTANCES = 100
ROUTES = ("fixed", "random", "hash", "p2p")
DEPTHS = (1, 16)  # calls under way for each instance


def run_calls(directory, rounds, seconds):
    """{(route, depth): [result of each round]}"""
    results = {}
    server_cpu, client_cpu = programs.cpus()
    command = [os.path.join(directory, "m3_farm_server"), "--instances", str(INSTANCES)]
    with programs.Server(command, server_cpu) as server:
        ready = server.ready
        for _ in range(rounds):
            for depth in DEPTHS:
                for route in ROUTES + (("own-keys",) if depth > 1 else ()):
                    results.setdefault((route, depth), []).append(programs.run_client(
                        [os.path.join(directory, "m3_routed_client"), "--port", "1", "--ports", ready["ports"],
                         "--route", route, "--connections", str(INSTANCES), "--outstanding", str(depth),
                         "--seconds", str(seconds), "--warmup", "0.15", "--server-pid", str(ready["pid"]),
                         "--server-page", ready["page"]], client_cpu, seconds + 60))
    return results


def show_calls(results, show):
    rows = [["under way", "route", "calls/s", "server us", "client us", "cli alloc"]]
    for (route, depth), runs in sorted(results.items(), key=lambda item: item[0][1]):
        cells = [median([r[key] for r in runs if r[key] is not None]) for key in
                 ("calls_per_second", "server_cpu_us", "client_cpu_us", "client_allocations")]
        texts = [f"{cells[0]:,.0f}"] + ["-" if c is None else f"{c:.3f}" for c in cells[1:]]
        rows.append([f"{INSTANCES} x {depth}", route] + texts)
    print("\ncalls to 100 instances; per call, median of the rounds")
    show(rows)


def call_figures(results):
    def ratio(route, depth, cost):
        return median([cost(a) / cost(b) for a, b in zip(results[(route, depth)], results[("fixed", depth)])])

    def caller(result):
        return result["client_cpu_us"]

    def both(result):
        return result["client_cpu_us"] + result["server_cpu_us"]

    for route, depth, goal in (("random", 1, 1.08), ("hash", 1, 1.08), ("p2p", 1, None), ("own-keys", 16, 1.08),
                               ("random", 16, None), ("hash", 16, None)):
        limit = {"at_most": goal} if goal else {}
        name = "hash, keys of one instance for each caller" if route == "own-keys" else route
        title = f"{INSTANCES} x {depth} calls, {name} / fixed"
        yield Figure("mesh", f"{title}: caller CPU", ratio(route, depth, caller), "x", **limit)
        yield Figure("mesh", f"{title}: CPU of both", ratio(route, depth, both), "x", **limit)


def run_structures(directory, quick):
    command = [os.path.join(directory, "m3_structures")] + (["--quick"] if quick else [])
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300)
    found = json.loads(done.stdout)
    command[0] = os.path.join(directory, "m3_consul_changes")
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300)
    found.update({f"consul_{key}": value for key, value in json.loads(done.stdout).items()})
    return found


def structure_figures(found):
    """Without goals in a sanitizer build: nothing in it says anything about speed."""
    timed = not found["sanitized"]
    for mode in ("random", "hash", "single", "p2p"):
        for count in (10, 100, 1000, 5000):
            if f"pick_{mode}_{count}" in found:
                limit = {"at_most": 50} if count == 100 and mode != "p2p" and timed else {}
                yield Figure("mesh", f"pick, {mode}, {count:,} instances", found[f"pick_{mode}_{count}"], "ns",
                             **limit)
    for key, title, goal in (
            ("change_ms", "one of 5,000 changes, until every core knows", 5),
            ("change_core0_ms", "one of 5,000 changes: CPU of core 0, no turn is longer", 1),
            ("change_others_ms", "one of 5,000 changes: CPU of another core", 1),
            ("change_cpu_ms", "one of 5,000 changes: CPU of the process", None),
            ("consul_change_ms", "one of 5,000 changes, over Consul's answer of 8 MB, until every core knows", 50),
            ("consul_longest_hold_ms", "one of 5,000 changes, over Consul's answer: longest turn of core 0", 1),
            ("consul_first_list_ms", "a first list of 5,000, over Consul's answer, until every core knows", None),
            ("first_list_ms", "a first list of 5,000, until every core knows", None),
            ("first_list_core0_ms", "a first list of 5,000: CPU of core 0, no turn is longer", 1),
            ("first_table_ms", "a first hash table of 5,000, on a helper thread", None),
            ("first_table_cpu_ms", "a first hash table of 5,000: CPU of the process", 500),
            ("first_table_core0_ms", "a first hash table of 5,000: CPU of core 0, no turn is longer", 1)):
        limit = {"at_most": goal} if goal and timed else {}
        yield Figure("mesh", title, found[key], "ms", **limit)
    for count in (10, 100):
        limit = {"at_most": 1.1} if count == 10 else {}
        yield Figure("mesh", f"a million keys on {count} instances, most / mean", found[f"spread_{count}"], "x",
                     **limit)
        yield Figure("mesh", f"keys that move when 1 of {count} goes, of 1/{count}", found[f"moved_{count}"], "x",
                     **limit)
