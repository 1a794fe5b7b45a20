# SPDX-License-Identifier: BSL-1.0
"""What a person reads."""
from . import marks

COLUMNS = [("calls_per_second", "calls/s", 0), ("p50_us", "p50 us", 1), ("p99_us", "p99 us", 1),
           ("server_cpu_us", "server us", 3), ("client_cpu_us", "client us", 3),
           ("server_syscalls", "srv sys", 3), ("client_syscalls", "cli sys", 3),
           ("server_allocations", "srv alloc", 3), ("client_allocations", "cli alloc", 3)]
BEST_IS_MOST = {"calls_per_second"}


def cell(numbers, key, digits):
    """median (best)"""
    if not numbers:
        return "-"
    best = max(numbers) if key in BEST_IS_MOST else min(numbers)
    middle = marks.median(numbers)
    text = f"{middle:,.{digits}f}"
    return text if len(set(numbers)) == 1 else f"{text} ({best:,.{digits}f})"


def show(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


def show_runs(plan, results):
    print("\nper call; median (best) of the rounds"
          + ("; SANITIZER BUILD: these are no speeds" if plan.sanitized else ""))
    rows = [["", "peer"] + [title for _, title, _ in COLUMNS]]
    for workload in plan.workloads:
        for peer in plan.peers:
            if (peer.name, workload) in results:
                rows.append([workload, peer.name]
                            + [cell(marks.values(results, peer.name, workload, key), key, digits)
                               for key, _, digits in COLUMNS])
    show(rows)


def show_marks(figures):
    rows = [["figure", "value", "goal", "met"]]
    for figure in figures:
        if not figure.raw:
            met = {True: "yes", False: "NO", None: ""}[figure.met()]
            rows.append([figure.name, f"{figure.value:.3f} {figure.unit}", figure.goal_text(), met])
    if len(rows) > 1:
        print()
        show(rows)
