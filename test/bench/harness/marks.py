# SPDX-License-Identifier: BSL-1.0
"""The figures that have a goal, worked out of the runs."""
import statistics


class Figure:
    """One value, with the goal it is held against (or none)."""

    def __init__(self, area, name, value, unit, at_most=None, at_least=None, raw=False):
        self.area, self.name, self.value, self.unit = area, name, value, unit
        self.at_most, self.at_least = at_most, at_least
        self.raw = raw  # stands in the table of runs already

    def goal_text(self):
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return f">= {self.at_least:g}" if self.at_least is not None else ""

    def met(self):
        if not self.goal_text():
            return None
        return not self.worse_than(1)

    def worse_than(self, factor):
        """Is the value worse than `factor` times its mark? A mark of 0 leaves room for the one-off
        growth of a table: one in a thousand calls."""
        if self.at_most is not None:
            return self.value > max(self.at_most * factor, 0.001)
        return self.at_least is not None and self.value < self.at_least / factor

    def as_json(self):
        return {"area": self.area, "name": self.name, "value": round(self.value, 6), "unit": self.unit,
                "goal": self.goal_text() or None, "met": self.met()}


def values(results, peer, workload, key):
    return [r[key] for r in results.get((peer, workload), []) if r[key] is not None]


def median(numbers):
    return statistics.median(numbers) if numbers else None


def pairs(over, under, key, under_key=None):
    """(over, under) of each round in which both are known."""
    both = ((a[key], b[under_key or key]) for a, b in zip(over, under))
    return [(a, b) for a, b in both if a is not None and b is not None]


def ratio(results, workload, key, over, under, under_key=None):
    """The median of the ratios within each round."""
    known = pairs(results.get((over, workload), []), results.get((under, workload), []), key, under_key)
    return median([a / b for a, b in known if b])


RAW = [("calls_per_second", "calls/s"), ("p50_us", "us"), ("p99_us", "us"), ("server_cpu_us", "us"),
       ("client_cpu_us", "us"), ("server_syscalls", "per call"), ("client_syscalls", "per call"),
       ("server_allocations", "per call"), ("client_allocations", "per call")]

# m3's server CPU as a multiple of the limit's, and gRPC's as a multiple of m3's
TO_LIMIT = {"w1": 1.15, "w2": 1.35, "w3": 1.35, "w4": 1.15}
FROM_GRPC = {"w1": 1.4, "w2": 40, "w3": 20, "w4": 10}


def raw_figures(results):
    for (peer, workload), _ in sorted(results.items()):
        for key, unit in RAW:
            value = median(values(results, peer, workload, key))
            if value is not None:
                yield Figure("rpc", f"{peer}/{workload}/{key}", value, unit, raw=True)


def marked_figures(plan, results, memory):
    def add(name, value, unit, **goal):
        if value is not None:
            yield Figure("rpc", name, value, unit, **goal)

    for workload in plan.workloads:
        yield from add(f"{workload}: server CPU, m3 / epoll",
                       ratio(results, workload, "server_cpu_us", "m3", "epoll"), "x", at_most=TO_LIMIT[workload])
        if not plan.sanitized:  # gRPC comes from the system, without a sanitizer: no comparison
            yield from add(f"{workload}: server CPU, gRPC / m3",
                           ratio(results, workload, "server_cpu_us", "grpc", "m3"), "x",
                           at_least=FROM_GRPC[workload])
        yield from add(f"{workload}: m3's client CPU / server CPU",
                       ratio(results, workload, "client_cpu_us", "m3", "m3", "server_cpu_us"), "x", at_most=1.5)
        for end in ("server", "client"):
            goal = {"at_most": 0} if end == "server" else {}
            yield from add(f"{workload}: m3's {end} allocations",
                           median(values(results, "m3", workload, f"{end}_allocations")), "per call", **goal)
    for workload in ("w2", "w3"):
        yield from add(f"{workload}: server CPU, m3 by value / epoll",
                       ratio(results, workload, "server_cpu_us", "m3-by-value", "epoll"), "x", at_most=1.5)
    yield from add("w1: p50, m3 / epoll", ratio(results, "w1", "p50_us", "m3", "epoll"), "x", at_most=1.1)
    yield from add("w3: m3's server system calls", median(values(results, "m3", "w3", "server_syscalls")),
                   "per call", at_most=0.25)
    if not plan.sanitized:
        suspending = pairs(results.get(("m3-suspend", "w2"), []), results.get(("m3", "w2"), []), "server_cpu_us")
        yield from add("w2: a handler that suspends once costs",
                       median([(a - b) * 1e3 for a, b in suspending]), "ns more", at_most=150)
        for peer, size in memory.items():
            goal = {"at_most": 2} if peer == "m3" else {}
            yield from add(f"memory per idle connection, {peer}", size / 1024, "KiB", **goal)


def figures(plan, results, memory):
    return list(raw_figures(results)) + list(marked_figures(plan, results, memory))
