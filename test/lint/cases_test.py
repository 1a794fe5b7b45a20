#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The runner of cases reports each one: what passed, failed, was skipped, and what ended the program in the middle."""
import os
import pathlib
import subprocess
import sys
import tempfile

TOOLS = pathlib.Path(__file__).resolve().parents[1] / "tools"
SCRIPT = f"""import os, sys
sys.path.insert(0, {str(TOOLS)!r})
from cases import Cases, Skip, eventually, expect, free_ports
case = Cases()

@case
def good_one(folder):
    assert folder.is_dir() and not list(folder.iterdir())
    (folder / "file").touch()
    assert len(set(free_ports(3))) == 3
    values = iter([0, 0, 7])
    assert eventually("seven", lambda: next(values)) == 7
    assert expect((3, "out", "err"), 3, "out", "err") == "out"

@case
def bad_one(folder):
    assert not list(folder.iterdir())
    expect((3, "out", "err"), 4)

@case
def bad_word(_folder):
    expect((3, "out", "err"), 3, "word")

@case
def skipped_one(_folder):
    raise Skip("no reason")

@case
def the_end(_folder):
    os._exit(9)

sys.exit(case.run("t", sys.argv[1:]))
"""

# The script's words, what is noted, the exit code.
RUNS = [
    ([], ["begin t: good one", "pass t: good one", "begin t: bad one", "fail t: bad one", "begin t: bad word", "fail t: bad word",
          "begin t: skipped one", "skip t: skipped one", "begin t: the end"], 9),
    (["good_one", "skipped one"], ["begin t: good one", "pass t: good one", "begin t: skipped one", "skip t: skipped one"], 0),
    (["bad"], ["begin t: bad one", "fail t: bad one", "begin t: bad word", "fail t: bad word"], 1),
]


def main():
    failed = 0
    for words, noted, code in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            results = pathlib.Path(folder, "results")
            done = subprocess.run([sys.executable, "-c", SCRIPT, *words], env={**os.environ, "M3_TEST_RESULTS": str(results)},
                                  capture_output=True, text=True, check=False, timeout=60)
            found = results.read_text(encoding="utf-8").splitlines()
        if (found, done.returncode) != (noted, code):
            failed += 1
            print(f"{words}: {found}, exit code {done.returncode}, instead of {noted}, {code}\n{done.stdout}{done.stderr}")
    print(f"{len(RUNS) - failed} of {len(RUNS)} as they should be")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
