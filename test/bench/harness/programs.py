# SPDX-License-Identifier: BSL-1.0
"""Starting, pinning and ending the programs of a benchmark."""
import json
import os
import select
import subprocess
import time

from .processes import end_process


def cpus():
    """(server's CPU, client's CPU): two different ones where the machine has them."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 if len(allowed) > 1 else 0]


def pinned(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


class Server:
    """A server that runs until close(); it prints one ready line."""

    def __init__(self, command, cpu):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=pinned(cpu))
        try:
            self.ready = json.loads(self._line(20))
        except (ValueError, TimeoutError):
            self.close()
            raise RuntimeError(f"{command[0]} did not say that it is ready") from None

    def _line(self, seconds):
        end = time.monotonic() + seconds
        data = b""
        while not data.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TimeoutError
            byte = os.read(self.process.stdout.fileno(), 4096)
            if not byte:
                raise ValueError
            data += byte
        return data.splitlines()[-1]

    @property
    def pid(self):
        return self.process.pid

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self):
        end_process(self.process)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run_client(command, cpu, timeout):
    """Runs a client to its end and gives back the result it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, preexec_fn=pinned(cpu), timeout=timeout,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])
