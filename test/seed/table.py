#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Prints the seed's promises with the fate of their test cases. Usage: table.py RESULTS_DIR [--markdown]

A row that is due passes when it has cases and all of them passed; exits with 1 when one has no case (a case that
failed is counted where it failed).
"""
import pathlib
import re
import sys

ROWS = pathlib.Path(__file__).with_name("rows.txt")


def rows():
    for line in ROWS.read_text().splitlines():
        if line and not line.startswith("#"):
            yield [part.strip() for part in line.split("|", 2)]


def fates(directory):
    """id -> the fates of its cases: "pass seed: S01: an id is …"."""
    out = {}
    for path in pathlib.Path(directory).glob("*.cases"):
        for line in path.read_text(errors="replace").splitlines():
            match = re.match(r"(pass|fail|skip) seed: ([SU]\d+): ", line)
            if match:
                out.setdefault(match[2], []).append(match[1])
    return out


def state_of(due, cases):
    if due == "planned":
        return "planned"
    return "pass" if cases and all(fate == "pass" for fate in cases) else "FAIL"


def main(arguments):
    found = fates(arguments[0])
    known = list(rows())
    states = [state_of(due, found.get(row, [])) for row, due, _ in known]
    cell = "| {} | {} | {} |" if "--markdown" in arguments else "{:<4} {:<8} {}"
    if "--markdown" in arguments:
        print("| row | state | promise |\n|---|---|---|")
    for (row, due, promise), state in zip(known, states):
        missing = "  (no test case ran)" if state == "FAIL" and row not in found else ""
        print(cell.format(row, state, promise + missing))
    for row in sorted(set(found) - {row for row, _, _ in known}):
        print(f"a case is named {row}, which is no row")
    count = states.count
    print(f"\nThe seed: {count('pass')} of {len(states)} rows pass, {count('FAIL')} fail, {count('planned')} planned.")
    return 1 if any(due == "due" and row not in found for row, due, _ in known) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
