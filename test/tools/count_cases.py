#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Counts test cases, not executables.

count_cases.py run DIR [--name NAME] COMMAND...   runs one test and writes its fate into DIR
count_cases.py sum DIR                            prints the cases that failed and "N passed, N failed, N skipped"

A test appends lines to the file named by M3_TEST_RESULTS: "begin NAME", then "pass NAME", "fail NAME" or "skip NAME".
Catch2 tests do it by themselves (m3/testing/catch_main.cpp). A test that writes nothing counts as one case by its
exit code: 0 passed, 77 skipped, anything else failed.
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

SKIPPED = 77


def fates_of(lines):
    """The last word on each case: name -> pass | fail | skip; a case that began and never ended failed."""
    fates = {}
    for line in lines:
        fate, _, name = line.partition(" ")
        if fate == "begin":
            fates.setdefault(name, "fail")
        elif fate in ("pass", "fail", "skip"):
            fates[name] = fate
    return fates


def run(directory, name, command):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    name = name or pathlib.Path(command[-1] if "python3" in command[0] else command[0]).name
    handle, path = tempfile.mkstemp(prefix=name + ".", suffix=".cases", dir=directory)
    os.close(handle)
    path = pathlib.Path(path)
    # Until the end is written, the test counts as failed: a time-out kills this process too.
    path.write_text(f"begin {name} (did not end: killed, or out of time)\n")
    cases = path.with_suffix(".lines")
    cases.touch()
    env = dict(os.environ, M3_TEST_RESULTS=str(cases))
    try:
        code = subprocess.run(command, env=env, check=False).returncode
    except OSError as error:
        print(f"cannot run {command[0]}: {error}", file=sys.stderr)
        code = 127
    fates = fates_of(cases.read_text(errors="replace").splitlines())
    if not fates:
        fates[name] = "pass" if code == 0 else "skip" if code == SKIPPED else "fail"
    elif code not in (0, SKIPPED) and "fail" not in fates.values():
        fates[f"{name} (exit code {code} after its cases passed)"] = "fail"
    cases.unlink()
    path.write_text("".join(f"{fate} {name}: {case}\n" for case, fate in fates.items()))
    return 128 - code if code < 0 else code


def sum_up(directory):
    count = {"pass": 0, "fail": 0, "skip": 0}
    failed = []
    for path in sorted(pathlib.Path(directory).glob("*.cases")):
        lines = path.read_text(errors="replace").splitlines()
        partial = path.with_suffix(".lines")
        if partial.exists():  # its runner was killed
            lines += [line for line in partial.read_text(errors="replace").splitlines()]
        for case, fate in fates_of(lines).items():
            count[fate] += 1
            if fate == "fail":
                failed.append(case)
    for case in failed:
        print(f"failed: {case}")
    if not any(count.values()):
        print("no test ran")
    print(f"{count['pass']} passed, {count['fail']} failed, {count['skip']} skipped", flush=True)
    return 1 if count["fail"] or not count["pass"] else 0


def main(arguments):
    if len(arguments) >= 3 and arguments[0] == "run":
        directory, command, name = arguments[1], arguments[2:], ""
        if command[0] == "--name":
            name, command = command[1], command[2:]
        return run(directory, name, command)
    if len(arguments) == 2 and arguments[0] == "sum":
        return sum_up(arguments[1])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
