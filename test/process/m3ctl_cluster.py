# SPDX-License-Identifier: BSL-1.0
"""A cluster that m3ctl up runs, for tests that are called with M3CTL SIMPLE PEER."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from cases import PATIENCE, eventually, expect, new_folder  # noqa: E402

M3CTL, SIMPLE, PEER = map(os.path.abspath, sys.argv[1:4])


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Folder:
    """A home of its own for one case: cluster files, state files and data."""

    def __init__(self, path):
        self.path = path
        self.temp = path / "tmp"
        self.temp.mkdir()
        self.env = {**os.environ, "XDG_CACHE_HOME": str(path / "cache"), "TMPDIR": str(self.temp)}
        for name in ("M3_TOKEN", "M3_OPERATOR_TOKEN"):
            self.env.pop(name, None)

    def write(self, name, text):
        (self.path / name).write_text(text)
        return self.path / name

    def script(self, name, text):
        file = self.write(name, "#!/bin/sh\n" + text)
        file.chmod(0o755)
        return file

    def run(self, *words):
        done = subprocess.run([M3CTL, *map(str, words)], capture_output=True, text=True, check=False, timeout=2 * PATIENCE,
                              env=self.env, cwd=self.path)
        return done.returncode, done.stdout, done.stderr

    @contextlib.contextmanager
    def up(self, text, *words, name="town", stdout=None):
        cluster = Cluster(self, self.write(f"{name}.toml", text), words, stdout)
        try:
            yield cluster
        finally:
            if cluster.process.poll() is None:
                cluster.process.kill()
                cluster.process.wait()
            cluster.file.close()


class Cluster:
    def __init__(self, folder, toml, words, stdout):
        self.folder, self.toml = folder, toml
        self.ready_file = folder.path / "ready.json"
        self.ready_file.unlink(missing_ok=True)
        self.output = folder.path / f"{toml.stem}.out"
        self.file = open(self.output, "wb")
        self.process = subprocess.Popen([M3CTL, "up", toml, "--ready-file", self.ready_file, *words], env=folder.env,
                                        stdin=subprocess.DEVNULL, stdout=stdout or self.file, stderr=self.file)

    def said(self):
        return self.output.read_text(errors="replace")

    def says(self, words):
        def look():
            ended = self.process.poll() is not None  # before the text is read
            if words in self.said():
                return True
            assert not ended, f"m3ctl up ended without '{words}':\n{self.said()}"
            return False
        eventually(words, look)

    def ready(self):
        def look():
            assert self.process.poll() is None, f"m3ctl up ended:\n{self.said()}"
            return self.ready_file.exists()
        eventually("the ready file", look)
        return json.loads(self.ready_file.read_text())

    def state(self):
        return json.loads(expect(self.folder.run("ps", "--json"), 0))

    def ends(self, code, *words):
        try:
            ended = self.process.wait(2 * PATIENCE)
        except subprocess.TimeoutExpired:
            ended = None
        assert ended == code, f"m3ctl up gave {ended}, expected {code}:\n{self.said()}"
        for word in words:
            assert word in self.said(), f"'{word}' is not in:\n{self.said()}"

    def stop(self, code=0, number=signal.SIGINT):
        self.process.send_signal(number)
        self.ends(code)


def pids(state):
    return [one["pid"] for one in list(state["services"].values()) + state["instances"]]


def app(binary, more="", settings=""):
    return (f'[[app]]\nbinary = "{binary}"\n{more}'
            f'set = {{ cores = 1, drain_wait = "0s", "router.static.peers" = ["{{peers}}"]{settings} }}\n')


def peers(count, settings=""):
    return app(PEER, f'func = "peer"\ninstances = {count}\n', settings)


@contextlib.contextmanager
def case_folder():
    with new_folder() as path:
        yield Folder(path)


def run_cases(title, case):
    """Those of the program's words that follow the three programs, or all. The exit code."""
    return case.run(title, sys.argv[4:], case_folder)
