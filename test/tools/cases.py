# SPDX-License-Identifier: BSL-1.0
"""What tests that are scripts share: running cases and counting them, waiting, ports, what a program said.

    case = Cases()

    @case
    def a_call_is_answered(folder): ...

    sys.exit(case.run("rpc", sys.argv[2:]))
"""
import contextlib
import os
import pathlib
import socket
import sys
import tempfile
import time
import traceback

PATIENCE = 60  # seconds; what is waited for is expected at once, but the machine may be busy


class Skip(Exception):
    """Why a case cannot run here."""


def eventually(what, condition):
    """What the condition gives, once that is true."""
    until = time.monotonic() + PATIENCE
    while True:
        if found := condition():
            return found
        assert time.monotonic() < until, f"{what}: not within {PATIENCE} s"
        time.sleep(0.01)


def free_ports(count):
    """Ports that nobody listens on, each another one."""
    with contextlib.ExitStack() as open_ones:
        probes = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def free_port():
    return free_ports(1)[0]


def expect(result, code, *words):
    """The standard output of (exit code, stdout, stderr), which has this code, and words that stand in what was printed."""
    said = result[1] + result[2]
    assert result[0] == code, f"exit code {result[0]}, expected {code}: {said}"
    for word in words:
        assert word in said, f"'{word}' is not in: {said}"
    return result[1]


def note(fate, name):
    """Tells people, and count_cases.py, of a case: begin, pass, fail or skip."""
    if fate != "begin":
        print(f"{fate} {name}", flush=True)
    if path := os.environ.get("M3_TEST_RESULTS"):
        with open(path, "a", encoding="utf-8") as out:
            out.write(f"{fate} {name}\n")


@contextlib.contextmanager
def new_folder():
    with tempfile.TemporaryDirectory(prefix="m3-test-") as path:
        yield pathlib.Path(path)


class Cases:
    """The cases of a script: functions of one argument, listed by using this as their decorator."""

    def __init__(self):
        self.functions = []

    def __call__(self, function):
        self.functions.append(function)
        return function

    @staticmethod
    def name(title, function):
        return f"{title}: " + function.__name__.replace("_", " ")

    def skip(self, title, why):
        """None of them can run here. The exit code."""
        print(f"  {why}")
        for function in self.functions:
            note("skip", self.name(title, function))
        return 77

    def run(self, title, words=(), given=new_folder):
        """Those whose names contain one of the words, or all; each gets what `given()` makes for it. The exit code."""
        failed = 0
        for function in self.functions:
            name = self.name(title, function)
            if words and not any(word.replace("_", " ") in name for word in words):
                continue
            note("begin", name)
            try:
                with given() as argument:
                    function(argument)
                note("pass", name)
            except Skip as why:
                print(f"  {why}")
                note("skip", name)
            except Exception:  # pylint: disable=broad-except
                traceback.print_exc(file=sys.stdout)
                note("fail", name)
                failed += 1
        return 1 if failed else 0
