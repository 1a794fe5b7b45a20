# SPDX-License-Identifier: BSL-1.0
"""Programs that print JSON lines, and the servers that brokers and routers need: each on a free port,
with its files in a folder of its own, ended by its pid."""
import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time


def end_process(process, seconds=10):
    """SIGTERM; SIGKILL for what has not left by then."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Talker:
    """A program that prints one JSON object a line and reads commands. Other lines are passed over."""

    def __init__(self, command, log=None):
        self.name = os.path.basename(command[0])
        self.started_ns = time.monotonic_ns()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.data = b""

    @property
    def pid(self):
        return self.process.pid

    def say(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def wait_for(self, event, seconds):
        """The next line that is this event."""
        end = time.monotonic() + seconds
        while True:
            line, found, rest = self.data.partition(b"\n")
            if found:
                self.data = rest
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    if isinstance(said, dict) and said.get("event") == event:
                        return said
                continue
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.name} did not say \"{event}\" within {seconds} s")
            if select.select([self.process.stdout], [], [], left)[0]:
                part = os.read(self.process.stdout.fileno(), 65536)
                if not part:
                    raise RuntimeError(f"{self.name} ended before it said \"{event}\"")
                self.data += part

    def send(self, number):
        self.process.send_signal(number)

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        end_process(self.process)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def cpu_seconds(pid):
    """Of all threads, so far."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total * 1e-9


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def path_of(program):
    """Where a server is, or None."""
    if program == "consul":
        named = os.environ.get("M3_CONSUL", "")
        for path in (named, os.path.expanduser("~/.cache/m3/consul")):
            if path and os.access(path, os.X_OK):
                return path
    return shutil.which(program)


class Service:
    """redis-server, nats-server or consul, ready when it accepts connections."""

    def __init__(self, program):
        self.folder = tempfile.mkdtemp(prefix=f"m3-bench-{program}-")
        self.port = free_port()
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(self._command(program), stdout=self.log, stderr=self.log,
                                        cwd=self.folder)
        end = time.monotonic() + 20
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > end:
                with open(self.log.name, encoding="utf-8", errors="replace") as log:
                    said = log.read()[-2000:]
                self.close()
                raise RuntimeError(f"{program} does not answer; it said: {said}")
            time.sleep(0.05)

    def _command(self, program):
        port = str(self.port)
        path = path_of(program)
        if program == "redis-server":
            return [path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
                    "--dir", self.folder]
        if program == "nats-server":
            return [path, "-a", "127.0.0.1", "-p", port]
        others = [f"-{kind}-port={free_port()}" for kind in ("serf-lan", "server")]
        return [path, "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", f"-http-port={port}",
                "-dns-port=-1", "-grpc-port=-1", "-serf-wan-port=-1", *others]

    def close(self):
        end_process(self.process)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
