#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Plants the faults of test/tools/mutations.toml, one at a time, and reports which unit test notices each.

mutate.py [--list] [--only N...] [--jobs N] [--root DIR] [--faults FILE] [--work DIR]

The source tree is not touched: each job has a copy of it in build-mutate/, builds the unit test of the fault's room there,
runs it, and puts the file back. A test that fails, crashes or hangs has caught the fault. The exit code is 0 when at least
90 % are caught, 1 when fewer are, 2 when the list or the unmodified tree is at fault.
"""
import argparse
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from count_cases import fates_of  # noqa: E402

ENOUGH = 0.9
LEAST_LIMIT = 60  # seconds; a run may also take six times as long as without a fault
OPTIONS = ["-Doptimization=0", "-Ddebug=false"]  # the quickest to build
CAUGHT, SURVIVED, BROKEN = "caught", "SURVIVED", "does not compile"


class Wrong(Exception):
    """What the user must put right: exit code 2."""


class Fault:
    def __init__(self, number, entry):
        missing = [key for key in ("file", "old", "new", "breaks") if not entry.get(key) and key != "new"]
        missing += ["new"] if "new" not in entry else []
        if missing:
            raise Wrong(f"fault {number}: it has no {', '.join(missing)}")
        self.number = number
        self.file, self.old, self.new, self.breaks = (entry[key] for key in ("file", "old", "new", "breaks"))
        self.suites = entry.get("suites") or [self.room()]
        self.survives = entry.get("survives", "")  # why no test can notice it

    def room(self):
        return self.file.split("/")[1]

    def area(self):
        return self.file.split("/")[0] if self.file.startswith("plugins/") else self.room()

    def error(self, root):
        """Why it cannot be planted; empty when it can."""
        path = root / self.file
        if not path.is_file():
            return f"fault {self.number}: there is no {self.file}"
        count = path.read_text().count(self.old)
        return "" if count == 1 else f"fault {self.number}: its old text is found {count} times in {self.file}, must be once"


def read_faults(path, root, numbers):
    with open(path, "rb") as file:
        entries = tomllib.load(file).get("fault", [])
    faults = [Fault(number, entry) for number, entry in enumerate(entries, 1)]
    errors = [error for error in (fault.error(root) for fault in faults) if error]
    if errors:
        raise Wrong("\n".join(errors) + f"\nThe code has changed: update {path}.")
    unknown = sorted(set(numbers) - {fault.number for fault in faults})
    if unknown or not faults:
        raise Wrong(f"there is no fault {unknown[0] if unknown else 1}: {path} has {len(faults)}")
    return [fault for fault in faults if not numbers or fault.number in numbers]


def source_files(root):
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True,
                            text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (root / name).is_file()]


class Folder:
    """A copy of the source tree and its build. What did not change is kept from one run to the next."""

    def __init__(self, root, path, compilers):
        self.root, self.path, self.compilers = root, path, compilers
        self.build = path / "build"
        self.process = None  # the test that runs

    def copy(self):
        names = set(source_files(self.root))
        for name in names:
            source, target = self.root / name, self.path / name
            if target.is_file() and target.read_bytes() == source.read_bytes():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)  # with a new time, so that it is built again
        for old in [path for path in self.path.rglob("*") if self.build not in (path, *path.parents)]:
            if old.is_file() and str(old.relative_to(self.path)) not in names:
                old.unlink()

    def configure(self):
        if (self.build / "build.ninja").exists():
            return
        made = subprocess.run(["meson", "setup", str(self.build), str(self.path), *OPTIONS], capture_output=True, text=True,
                              check=False)
        if made.returncode:
            raise Wrong(f"meson setup failed in {self.path}:\n{made.stdout}{made.stderr}")

    def binary(self, suite):
        return self.build / f"test/unit/{suite}/unit-{suite}"

    def compile(self, suites):
        """The compiler's words when it fails, else nothing."""
        targets = [str(self.binary(suite).relative_to(self.build)) for suite in suites]
        made = subprocess.run(["ninja", "-C", str(self.build), "-j", str(self.compilers), *targets], capture_output=True,
                              text=True, check=False)
        return made.stdout + made.stderr if made.returncode else ""

    def run(self, suite, limit):
        """What failed, as a text; empty: nothing did."""
        with tempfile.TemporaryDirectory() as scratch:
            results = pathlib.Path(scratch) / "results"
            env = dict(os.environ, M3_TEST_RESULTS=str(results))
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self.process = subprocess.Popen([str(self.binary(suite))], env=env, cwd=scratch, start_new_session=True, **quiet)
            try:
                code = wait_for(self.process, results, limit)
            finally:
                self.end()
            lines = lines_of(results)
        if code == 0:
            return ""
        failed = [name for name, fate in fates_of(lines).items() if fate == "fail"]
        how = "hangs: " if code is None else "crashes: " if code < 0 else ""
        return how + (failed[0] if failed else f"unit-{suite} ended with {code}")

    def end(self):
        """The test and what it started."""
        process, self.process = self.process, None
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def try_fault(self, fault, limits):
        path = self.path / fault.file
        text = path.read_text()
        path.write_text(text.replace(fault.old, fault.new))
        try:
            for suite in fault.suites:
                if self.compile([suite]):
                    return BROKEN, ""
                if failed := self.run(suite, limits[suite]):
                    return CAUGHT, failed
            return SURVIVED, fault.survives
        finally:
            path.write_text(text)


def lines_of(results):
    return results.read_text(errors="replace").splitlines() if results.exists() else []


def wait_for(process, results, limit):
    """The exit code, 1 as soon as a test case has failed, None when the time is over."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        try:
            return process.wait(0.2)
        except subprocess.TimeoutExpired:
            if any(line.startswith("fail ") for line in lines_of(results)):
                return 1
    return None


def limits_of(folder, suites):
    """Runs the tests without a fault: they must pass, and their times say when one hangs."""
    limits = {}
    for suite in suites:
        began = time.monotonic()
        if failed := folder.run(suite, 600):
            raise Wrong(f"unit-{suite} fails without any fault: {failed}")
        limits[suite] = max(LEAST_LIMIT, 6 * (time.monotonic() - began))
    return limits


def prepare(root, work, faults, jobs):
    suites = sorted({suite for fault in faults for suite in fault.suites})
    cpus = os.cpu_count() or 1
    folders = [Folder(root, work / str(number), cpus) for number in range(1, jobs + 1)]
    for folder in folders:
        print(f"building {', '.join('unit-' + suite for suite in suites)} in {folder.path}", flush=True)
        folder.copy()
        folder.configure()
        if words := folder.compile(suites):
            raise Wrong(f"the tree does not build without any fault:\n{words}")
        folder.compilers = max(1, cpus // jobs)
    return folders, limits_of(folders[0], suites)


def work_off(folders, faults, limits):
    """Yields (fault, outcome, detail) as they come."""
    todo, done = queue.SimpleQueue(), queue.SimpleQueue()
    for fault in faults:
        todo.put(fault)

    def job(folder):
        while True:
            try:
                fault = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((fault, *folder.try_fault(fault, limits)))
            except BaseException as error:  # handed to the main thread
                done.put(error)
                return

    for folder in folders:
        threading.Thread(target=job, args=(folder,), daemon=True).start()
    try:
        for _ in faults:
            result = done.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        for folder in folders:
            folder.end()


def row(fault, outcome, detail):
    return f"{fault.number:>3}  {fault.file:<40} {outcome:<16} {detail or fault.breaks}"


def summary(results):
    """(text, exit code)"""
    areas = {}
    for fault, outcome, _ in results:
        areas.setdefault(fault.area(), []).append(outcome)
    lines = [f"{area:<8} {outcomes.count(CAUGHT)} of {len(outcomes)}" for area, outcomes in areas.items()]
    outcomes = [outcome for _, outcome, _ in results]
    caught = outcomes.count(CAUGHT)
    lines.append(f"{caught} of {len(outcomes)} caught ({100 * caught // len(outcomes)} %), {outcomes.count(SURVIVED)} survived, "
                 f"{outcomes.count(BROKEN)} do not compile")
    return "\n".join(lines), 0 if caught >= ENOUGH * len(outcomes) else 1


def arguments():
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(prog="./dev mutate", description="Plants faults and reports which unit test notices each.")
    parser.add_argument("--list", action="store_true", help="only print the faults")
    parser.add_argument("--only", type=int, nargs="+", default=[], metavar="N", help="only these faults")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="copies of the tree that work side by side (1)")
    parser.add_argument("--root", type=pathlib.Path, default=root, help=argparse.SUPPRESS)
    parser.add_argument("--faults", type=pathlib.Path, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=pathlib.Path, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.root = given.root.resolve()
    given.faults = given.faults or given.root / "test/tools/mutations.toml"
    given.work = given.work or given.root / "build-mutate"
    return given


def main():
    given = arguments()
    try:
        faults = read_faults(given.faults, given.root, given.only)
        if given.list:
            for fault in faults:
                print(f"{fault.number:>3}  {fault.file:<40} unit-{', unit-'.join(fault.suites)}: {fault.breaks}")
            return 0
        folders, limits = prepare(given.root, given.work, faults, max(1, min(given.jobs, len(faults))))
        results = []
        for result in work_off(folders, faults, limits):
            results.append(result)
            print(row(*result), flush=True)
    except Wrong as error:
        print(error, file=sys.stderr)
        return 2
    text, code = summary(sorted(results, key=lambda result: result[0].number))
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
