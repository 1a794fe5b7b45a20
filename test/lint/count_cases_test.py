#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The counter of test cases must see what passed, failed, was skipped, crashed and never ended."""
import pathlib
import subprocess
import sys
import tempfile

COUNTER = pathlib.Path(__file__).parents[1] / "tools/count_cases.py"
WRITE = 'echo "{0}" >>"$M3_TEST_RESULTS"; '

# (shell commands of the tests, the closing line, exit code)
CASES = [
    (["exit 0"], "1 passed, 0 failed, 0 skipped", 0),
    (["exit 3"], "0 passed, 1 failed, 0 skipped", 1),
    (["exit 77"], "0 passed, 0 failed, 1 skipped", 1),
    (["exit 0", "exit 77"], "1 passed, 0 failed, 1 skipped", 0),
    ([], "0 passed, 0 failed, 0 skipped", 1),
    ([WRITE.format("begin a\npass a\nbegin b\npass b\nskip c")], "2 passed, 0 failed, 1 skipped", 0),
    ([WRITE.format("begin a\npass a\nbegin b\nfail b") + "exit 1"], "1 passed, 1 failed, 0 skipped", 1),
    ([WRITE.format("begin a\npass a\nbegin b") + "kill -9 $$"], "1 passed, 1 failed, 0 skipped", 1),
    ([WRITE.format("begin a\npass a") + "exit 23"], "1 passed, 1 failed, 0 skipped", 1),
    ([WRITE.format("begin a\npass a\nbegin b") + "kill -9 $PPID"], "1 passed, 2 failed, 0 skipped", 1),
    (["exec /no/such/program"], "0 passed, 1 failed, 0 skipped", 1),
]


def count(tests):
    with tempfile.TemporaryDirectory() as folder:
        for test in tests:
            subprocess.run([COUNTER, "run", folder, "/bin/sh", "-c", test], capture_output=True, check=False)
        summary = subprocess.run([COUNTER, "sum", folder], capture_output=True, text=True, check=False)
        return summary.stdout.splitlines()[-1], summary.returncode


def main():
    failures = 0
    for tests, line, code in CASES:
        got = count(tests)
        if got != (line, code):
            failures += 1
            print(f"{tests}: {got} instead of {(line, code)}")
    print(f"{len(CASES) - failures} of {len(CASES)} as they should be")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
