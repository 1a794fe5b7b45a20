#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Programs whose name server never answers: dead_name_test.py M3CTL SIMPLE. One line a case.

It runs in namespaces of its own: a network whose name server is a socket that nobody reads, and files of /etc beside the
machine's.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from cases import PATIENCE, Cases, eventually, new_folder  # noqa: E402

M3CTL, SIMPLE = map(os.path.abspath, sys.argv[1:3])
INSIDE = "M3_DEAD_NAME_INSIDE"
AT_ONCE = 15  # seconds; a look-up that is waited for takes a minute
case = Cases()

ETC = {
    "hosts": "127.0.0.1 localhost\n127.0.0.3 good.test\n",
    "resolv.conf": "nameserver 127.0.0.9\noptions timeout:30 attempts:2\n",
    "nsswitch.conf": "hosts: files dns\n",
}
PEERS = ('id = "dev.w.caller.1"\n[router.static]\npeers = ["dev.w.simple.1@dead.test:20051", '
         '"dev.w.simple.2@good.test:20051"]\n')


# -------------------------------------------------------------------------------------------------- the world inside

def lift_loopback():
    up, of_flags, set_flags = 1, 0x8913, 0x8914
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, of_flags, name))[1]
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", flags | up))


@contextlib.contextmanager
def dead_name_server(folder):
    for name, text in ETC.items():
        (folder / name).write_text(text)
        subprocess.run(["mount", "--bind", folder / name, f"/etc/{name}"], check=True)
    lift_loopback()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.9", 53))
        yield


def m3ctl(*words):
    """Its exit code, what it printed, and the seconds it took."""
    began = time.monotonic()
    done = subprocess.run([M3CTL, *words], capture_output=True, text=True, check=False, timeout=PATIENCE)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - began


def says(process, log, words):
    def look():
        assert process.poll() is None, log.read_text()
        return words in log.read_bytes()
    eventually(words, look)


@contextlib.contextmanager
def simple(folder, name, config, ready=True):
    file, log = folder / f"{name}.toml", folder / f"{name}.log"
    file.write_text(config)
    with open(log, "wb") as out, subprocess.Popen([SIMPLE, "-idstr", name, "-conf", file], stdout=out, stderr=out) as process:
        try:
            if ready:
                says(process, log, b" ready id=")
            yield process, log
        finally:
            process.kill()


def ends(process, log):
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = process.wait(PATIENCE)
    took = time.monotonic() - began
    assert took < AT_ONCE, f"it ended {took:.1f} s after SIGTERM: {log.read_text()}"
    return code


@contextlib.contextmanager
def good_peer(folder):
    with simple(folder, "dev.w.simple.2", 'listen = "127.0.0.3:20051"\ndrain_wait = "0s"\n') as (process, log):
        yield
        assert ends(process, log) == 0, log.read_text()


# -------------------------------------------------------------------------------------------------- the cases

@case
def calls_go_to_the_peer_whose_name_is_known(folder):
    config = folder / "caller.toml"
    config.write_text(PEERS)
    with good_peer(folder):
        for _ in range(4):  # chance picks the other one first, or not
            code, said, took = m3ctl("call", "dev.w.simple", "HelloWorld", '{"Req": "dns"}', "--config", str(config))
            assert code == 0 and took < AT_ONCE, (code, said, took)
        code, said, took = m3ctl("routes", "--config", str(config), "--json")
        assert code == 0 and took < AT_ONCE, (code, said, took)
        assert [one["answers"] for one in json.loads(said)["instances"]] == ["no", "yes"], said


@case
def a_call_to_a_name_that_nobody_resolves_ends_with_its_deadline(_):
    code, said, took = m3ctl("call", "dead.test:20051", "HelloWorld", '{"Req": "dns"}', "--deadline", "1s")
    assert code not in (0, 2) and took < AT_ONCE, (code, said, took)


@case
def an_app_that_looks_for_its_registry_ends_at_once(folder):
    config = 'listen = "127.0.0.3:20055"\ndrain_wait = "0s"\n[router.consul]\naddresses = ["dead.test:8500"]\n'
    with simple(folder, "dev.w.simple.3", config, ready=False) as (process, log):
        says(process, log, b"router.consul")  # it has begun to wait, and says for whom
        ends(process, log)


# -------------------------------------------------------------------------------------------------- running them

def run_inside():
    # A look-up that is left behind holds memory of the C library; the sanitizer would call that a leak.
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    with new_folder() as folder, dead_name_server(folder):
        return case.run("dead name", given=lambda: contextlib.nullcontext(folder))


def main():
    if os.environ.get(INSIDE):
        return run_inside()
    own = ["unshare", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child"]
    tried = subprocess.run([*own, "mount", "--bind", "/etc/hosts", "/etc/hosts"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return case.skip("dead name", f"no namespaces of its own here: {tried.stderr.strip()}")
    return subprocess.run([*own, sys.executable, *sys.argv], env={**os.environ, INSIDE: "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
