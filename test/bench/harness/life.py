# SPDX-License-Identifier: BSL-1.0
"""How soon an instance that starts is called, and one that leaves or dies no longer."""
import contextlib
import os
import signal
import tempfile
import time

from . import processes
from .marks import Figure, median

ROUTERS = ("static", "consul")
CALLED = "bench.world1.crier."
SEE_LATE = 3.2  # seconds: three times the mark, so that what comes late is seen
COMMON = "log_level = \"error\"\ncores = 1\n"


def static_section(ports):
    peers = ", ".join(f"\"{CALLED}{i + 1}@127.0.0.1:{port}\"" for i, port in enumerate(ports))
    return f"[router.static]\npeers = [{peers}]\n"


class Village:
    """A caller that calls any instance every millisecond, and the instances."""

    def __init__(self, stack, directory, section, ports):
        self.stack, self.directory, self.ports = stack, directory, ports
        self.folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="m3-bench-"))
        self.section = section
        self.caller = stack.enter_context(processes.Talker([self._path("m3_town_caller"), self._config("town", "")]))
        self.caller.wait_for("ready", 30)
        self.caller.say("call")

    def _path(self, program):
        return os.path.join(self.directory, program)

    def _config(self, name, more):
        path = os.path.join(self.folder, name + ".toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(COMMON + more + self.section)
        return path

    def start(self, number):
        """The instance, and ms until it answered its first call."""
        config = self._config(f"crier{number}", f"listen = \"127.0.0.1:{self.ports[number - 1]}\"\n")
        instance = self.stack.enter_context(processes.Talker(
            [self._path("m3_crier"), "--id", f"{CALLED}{number}", "--config", config]))
        while True:
            answered = self.caller.wait_for("answered", 30)
            if answered["id"] == f"{CALLED}{number}":
                return instance, (answered["at_ns"] - instance.started_ns) * 1e-6

    def end(self, number, instance, how):
        """ms from the signal to the last traffic that had to do with the instance: its last answer, and the
        last call that failed."""
        began = time.monotonic_ns()
        instance.send(how)
        instance.process.wait(30)
        time.sleep(SEE_LATE if how == signal.SIGKILL else 0.2)
        self.caller.say("report")
        report = self.caller.wait_for("report", 10)
        last = max(report[f"{CALLED}{number}"], report["last_failure_ns"], began)
        return (last - began) * 1e-6


def measure(directory, router, rounds):
    """{"start": [ms], "term": [ms], "kill": [ms]}, or None when the router's server is not installed."""
    results = {"start": [], "term": [], "kill": []}
    with contextlib.ExitStack() as outer:
        section = ""
        if router == "consul":
            if not processes.path_of("consul"):
                return None
            server = outer.enter_context(processes.Service("consul"))
            section = f"[router.consul]\naddresses = [\"127.0.0.1:{server.port}\"]\n"
        for _ in range(rounds):
            for how, number in (("term", signal.SIGTERM), ("kill", signal.SIGKILL)):
                with contextlib.ExitStack() as stack:
                    ports = [processes.free_port() for _ in range(2)]
                    village = Village(stack, directory, section or static_section(ports), ports)
                    village.start(1)
                    second, took = village.start(2)
                    results["start"].append(took)
                    results[how].append(village.end(2, second, number))
    return results


def figures(router, found):
    for key, title, goal in (("start", "process start to its first routed call", 1500),
                             ("term", "SIGTERM to no more traffic", 1000), ("kill", "kill -9 to avoided", 1000)):
        yield Figure("mesh", f"{title}, router {router}", median(found[key]), "ms", at_most=goal)
