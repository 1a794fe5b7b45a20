#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""m3ctl up, down and ps, with real processes: cluster_test.py M3CTL SIMPLE PEER. One line a case."""
import contextlib
import fcntl
import http.server
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from m3ctl_cluster import app, lives, peers, pids, run_cases, SIMPLE
from cases import PATIENCE, Cases, Skip, eventually, expect

case = Cases()


# --------------------------------------------------------------------------------------------------- what is wrong

SIMPLE_APP = '[[app]]\nbinary = "simple"\n'
# The file's text, and every line that is said of it. FILE and FOLDER are where it is.
BAD = [
    ("", ["FILE: app: missing: started in this order and stopped in reverse, each [[app]] as a whole"]),
    ("[[app]\n", ["FILE:1: the section's header is not closed: write [[app]]"]),
    ('[app]\nbinary = "simple"\n', ["FILE:1: app: expected a list, found one [app]; write [[app]], once for each item"]),
    ("[[app]]\nbinary = simple\n[[app]]\nbinary = simple\n",
     ['FILE:2: app[0].binary: the value is not in quotes: write binary = "simple"',
      'FILE:4: app[1].binary: the value is not in quotes: write binary = "simple"']),
    ('[[app]]\nbinary = "nothere"\ninstances = -1\nneeds = "redis"\nports = 20051\n[services.redis]\nport = "6379"\n',
     ["FILE:3: app[0].instances: -1 is out of range; allowed: 1 to 1000",
      'FILE:4: app[0].needs: expected a list, found the string "redis"; write it in brackets: ["…"]',
      'FILE:5: app[0].ports: expected "auto" or a list of ports from 1 to 65535, one for each instance',
      'FILE:7: services.redis.port: expected an integer, found the string "6379"; write it without quotes']),
    ('[[apps]]\nbinary = "simple"\n',
     ["FILE: app: missing: started in this order and stopped in reverse, each [[app]] as a whole",
      'FILE:1: apps: unknown key (did you mean "app"?)']),
    ("[[app]]\nbinary = \"nothere\"\ninstances = 0\nporst = \"auto\"\n",
     ["FILE:3: app[0].instances: 0 is out of range; allowed: 1 to 1000 (number of instances; their ids end in 1, 2, 3, …)",
      'FILE:4: app[0].porst: unknown key (did you mean "ports"?)']),
    ("[[app]]\nbinary = \"nothere\"\n[[app]]\nbinary = \"./neither\"\nconfig = \"none.toml\"\n",
     ["FILE:2: app[0].binary: nothere: the program was not found; build it, or write its path",
      "FILE:4: app[1].binary: ./neither: the program was not found; build it, or write its path",
      "FILE:5: app[1].config: there is no file FOLDER/none.toml"]),
    (SIMPLE_APP + "ports = [1, 2]\n", ['FILE:1: app[0]: 2 ports for 1 instances: list one for each, or write "auto"']),
    (SIMPLE_APP + 'ports = "some"\nneeds = ["mysql"]\nfunc = "a b"\n',
     ['FILE:3: app[0].ports: expected "auto" or a list of ports from 1 to 65535, one for each instance',
      'FILE:4: app[0].needs[0]: "mysql" is not one of consul, redis, nats',
      'FILE:5: app[0].func: "a b" cannot be part of an id: 1 to 63 letters, digits, "-" and "_" (third part of the ids; '
      "default: the program's name)"]),
    (SIMPLE_APP + 'instances = 2\nports = [61998, 61998]\n[services.redis]\nport = 61998\n',
     ["FILE:2: app[0].ports: port 61998 is used twice"] * 2),
    (SIMPLE_APP + SIMPLE_APP,
     ["FILE:4: app[1]: local.world1.simple.1 is there twice: merge the two entries, or give one another func or world"]),
    (SIMPLE_APP + 'set = { "admin.listen" = ":1", "router.static.peers" = ["{pers}"], listen = "x", "a..b" = 1, log_level = "{redis}", token = "{" }\n',
     ['FILE:3: app[0].set.a..b: "a..b" is not a key: write it like "router.consul.addresses"',
      "FILE:3: app[0].set.admin.listen: m3ctl up chooses it: m3ctl ps shows it",
      "FILE:3: app[0].set.listen: the key ports sets where the instances listen",
      'FILE:3: app[0].set.log_level: {redis} is not available: add "redis" to needs',
      'FILE:3: app[0].set.router.static.peers: there is no {pers}, did you mean "peers"?; write {{ for a brace',
      "FILE:3: app[0].set.token: a { is not closed; write {{ for a brace"]),
    (SIMPLE_APP + 'set = { "app.a" = "{peers}", "app.b" = ["x{peers}"] }\n',
     ['FILE:3: app[0].set.app.a: {peers} must be a whole item of a list: ["{peers}"]',
      'FILE:3: app[0].set.app.b: {peers} must be a whole item of a list: ["{peers}"]']),
    (SIMPLE_APP + 'set = { listem = "x", cores = "many" }\n',
     ['FILE:2: app[0]: local.world1.simple.1: cores: expected an integer, found the string "many"',
      'FILE:2: app[0]: local.world1.simple.1: listem: unknown key (did you mean "listen"?)']),
    (SIMPLE_APP + 'func = "other"\n',
     ['FILE:2: app[0]: local.world1.other.1: --id: id: local.world1.other.1 has the func "other", but this program is '
      '"simple": write local.world1.simple.1']),
    ('[[app]]\nbinary = "simple"\nporst = 1\n' + SIMPLE_APP + 'set = { cores = "many" }\n[[app]]\nbinary = "nothere"\n' +
     SIMPLE_APP + 'world = "world2"\nset = { listem = "x" }\n',
     ['FILE:3: app[0].porst: unknown key (did you mean "ports"?)',
      'FILE:5: app[1]: local.world1.simple.1: cores: expected an integer, found the string "many"',
      "FILE:8: app[2].binary: nothere: the program was not found; build it, or write its path",
      'FILE:10: app[3]: local.world2.simple.1: listem: unknown key (did you mean "listen"?)']),
    ('[[app]]\nbinary = "/bin/false"\n',
     ["FILE:2: app[0].binary: /bin/false --check-config exited with code 1 without output: is it an m3 app?"]),
    ('name = "a b"\nstop_timeout = "1x"\n' + SIMPLE_APP + "[services.consul]\nkeep_data = true\n",
     ['FILE:1: name: "a b" cannot be part of an id: 1 to 63 letters, digits, "-" and "_" (name of the cluster, for m3ctl ps; '
      "default: the file's name without .toml)",
      'FILE:2: stop_timeout: "1x" is not a duration: "x" is not a unit; use ns, us, ms, s, m, h or d',
      "FILE:5: services.consul: keep_data needs a port: consul's data contains its own addresses"]),
]


@case
def everything_that_is_wrong_is_told_with_its_line(folder):
    for text, lines in BAD:
        file = folder.write("bad.toml", text.replace('"simple"', f'"{SIMPLE}"'))
        wanted = "\n".join(([] if len(lines) == 1 else [f"{len(lines)} errors"]) + lines)
        wanted = wanted.replace("FILE", str(file)).replace("FOLDER", str(folder.path))
        for mode in (["--check"], []):
            code, out, err = folder.run("up", file, *mode)
            assert (code, out, err) == (2, "", f"error: invalid_argument: {wanted}\n"), f"{text}\n{err}\nexpected:\n{wanted}"
    assert not list(folder.temp.iterdir()), "a folder stays behind"
    expect(folder.run("up", folder.path / "none.toml"), 2, "none.toml: there is no such file")
    good = folder.write("good.toml", SIMPLE_APP.replace('"simple"', f'"{SIMPLE}"') + "instances = 2\n")
    assert json.loads(expect(folder.run("up", good, "--check", "--json"), 0)) == {
        "ok": True, "file": str(good), "instances": ["local.world1.simple.1", "local.world1.simple.2"], "services": []}
    assert not json.loads(expect(folder.run("up", file, "--check", "--json"), 2))["ok"]
    expect(folder.run("up", good, "--json"), 2, "m3ctl ps --json prints it")
    expect(folder.run("up"), 2, "which cluster?")


@case
def an_error_in_an_apps_own_file_is_reported_with_its_line_there(folder):
    folder.write("own.toml", 'weight = 1\nlistem = "x"\n[rpc]\nmax_calls = 0\n')
    file = folder.write("bad.toml", f'[[app]]\nbinary = "{SIMPLE}"\nconfig = "own.toml"\nset = {{ weight = "heavy" }}\n')
    printed = folder.run("up", file, "--check")
    expect(printed, 2, "3 errors", 'own.toml:2: listem: unknown key (did you mean "listen"?)', "own.toml:4: rpc.max_calls: 0 is out",
           "bad.toml:2: app[0]: local.world1.simple.1: weight: expected an integer")
    assert "own.toml:1" not in printed[2], f"its value is replaced: {printed}"


@case
def a_service_that_is_not_installed_is_named(folder):
    file = folder.write("a.toml", app(SIMPLE).replace("set =", 'needs = ["nats", "redis", "consul"]\nset ='))
    folder.env.update(PATH=str(folder.path), M3_CONSUL="/nothing/consul")
    (folder.path / "redis-server").symlink_to("/bin/true")
    (folder.path / "nats-server").symlink_to("/bin/true")
    expect(folder.run("up", file, "--check"), 2, "a.toml:2: app[0].needs: consul was not found: put it into $PATH")


@case
def a_good_file_is_called_good(folder):
    file = folder.write("good.toml", app(SIMPLE) + peers(3))
    assert expect(folder.run("up", file, "--check"), 0) == f"{file} is good: 4 instances\n"


@case
def the_guide_has_every_key_of_the_file(folder):
    page = pathlib.Path(__file__).resolve().parents[2] / "docs/guide/cluster.md"
    head, mark, told = page.read_text(encoding="utf-8").partition("## Top of the file")
    declared = expect(folder.run("up", "--reference"), 0)
    if os.environ.get("M3_UPDATE"):
        page.write_text(head + declared, encoding="utf-8")
    assert mark + told == declared, f"{page} is not what is declared; make it again: M3_UPDATE=1 {' '.join(sys.argv)} guide"


# ------------------------------------------------------------------------------------------------------- what runs

@case
def a_cluster_comes_up_survives_a_kill_and_stops(folder):
    with folder.up(app(SIMPLE) + peers(2)) as cluster:
        state = cluster.ready()
        assert [one["id"] for one in state["instances"]] == ["local.world1.simple.1", "local.world1.peer.1", "local.world1.peer.2"]
        assert state["services"] == {} and all(one["state"] == "ready" for one in state["instances"]), state
        assert all(map(lives, pids(state))), state
        assert cluster.state()["pid"] == cluster.process.pid
        expect(folder.run("ps"), 0, "local.world1.peer.2", "ready", "cluster town")
        expect(folder.run("call", "local.world1.simple", "HelloWorld", '{"Req": "x"}'), 0, "HelloWorld , x")

        victim = state["instances"][1]
        os.kill(victim["pid"], signal.SIGKILL)

        def again():
            now = cluster.state()["instances"][1]
            return now["state"] == "ready" and now["restarts"] == 1 and now
        after = eventually("the restart", again)
        assert after["pid"] != victim["pid"] and after["address"] == victim["address"], (victim, after)
        cluster.says("was killed by signal 9 (Killed) after")
        expect(folder.run("call", "local.world1.peer.1", "Peer/Echo"), 0, '"local.world1.peer.1"')

        last = cluster.state()
        cluster.stop()
        cluster.says("all stopped")
        assert not any(map(lives, pids(last))), last
        expect(folder.run("ps"), 3, "no cluster runs here")
        assert pathlib.Path(last["instances"][0]["log"]).exists(), "after trouble the logs stay"
        assert re.search(r"(?s)peer.1 +is stopping.*peer.2 +exited.*simple.1 +is stopping.*simple.1 +exited", cluster.said())


@case
def a_peaceful_run_leaves_nothing_behind(folder):
    with folder.up(app(SIMPLE), "--for", "300ms") as cluster:
        cluster.ready()
        cluster.ends(0, "all ready after", "all stopped")
    assert not list(folder.temp.iterdir()), list(folder.temp.iterdir())
    assert "\x1b" not in cluster.said(), "control codes, and it is no terminal"


@case
def a_file_that_waited_is_of_this_run(folder):
    old = folder.write("old.json", "of the run before")
    loop = folder.script("never", 'case "$*" in *--check-config*) exit 0;; esac\nsleep 1000\n')
    with folder.up(app(loop), "--ready-file", old) as cluster:
        cluster.says("starts (pid")
        assert not old.exists()
        cluster.stop(6)  # a script that SIGTERM kills did not leave in peace


@case
def a_crash_loop_is_called_one_and_slows_down(folder):
    crasher = folder.script("crasher", 'case "$*" in *--check-config*) exit 0;; esac\necho "cannot find the moon"\nexit 3\n')
    with folder.up(app(SIMPLE) + app(crasher)) as cluster:
        cluster.says("local.world1.crasher.1  exited with code 3 after 0s; restarting in 0.2s; its log ends with\n"
                     "    cannot find the moon")
        cluster.says("; crash loop, restarting in 0.8s")
        state = eventually("the word for it", lambda: "crash loop" in cluster.state()["instances"][1]["state"] and cluster.state())
        assert state["instances"][1]["restarts"] >= 2 and state["instances"][0]["state"] in ("ready", "starting"), state
        expect(folder.run("ps"), 0, "crash loop")
        cluster.stop()
    with folder.up(app(crasher), "--for", "1s") as cluster:
        cluster.ends(6, "the time is up, but local.world1.crasher.1 is not ready", "exited with code 3")


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@case
def who_is_ready_at_once_took_some_time_nevertheless(folder):
    sleeper = folder.script("sleeper", 'case "$*" in *--check-config*) exit 0;; esac\nexec sleep 1000\n')
    with folder.up(app(sleeper)) as cluster:
        cluster.says("starts (pid")
        state = eventually("the state", lambda: folder.run("ps")[0] == 0 and cluster.state())["instances"][0]
        host, _, port = state["admin"].partition(":")
        with http.server.HTTPServer((host, int(port)), Healthy) as admin:
            threading.Thread(target=admin.serve_forever, daemon=True).start()
            cluster.ready()
            os.kill(state["pid"], signal.SIGKILL)  # whoever is started now is ready when it is first looked at
            eventually("the next start", lambda: cluster.state()["instances"][0]["restarts"] == 1)
            eventually("ready again", lambda: cluster.state()["instances"][0]["state"] == "ready")
            cluster.stop(6)
            admin.shutdown()
        times = re.findall(r"ready after ([0-9.]+) m?s", cluster.said())
        assert len(times) == 3 and all(float(time) > 0 for time in times), cluster.said()


@case
def a_port_that_others_have_is_told_before_anything_starts(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = app(SIMPLE, f"ports = [{port}]\n")
        with folder.up(text) as cluster:
            cluster.ends(2, f"town.toml:2: app[0].ports: port {port} is in use")
            assert "starts" not in cluster.said()
        expect(folder.run("up", cluster.toml, "--check"), 0, "is good: 1 instance")
    with folder.up(text) as cluster:
        assert cluster.ready()["instances"][0]["address"] == f"127.0.0.1:{port}"
        cluster.stop()


@case
def the_end_of_m3ctl_is_the_end_of_all(folder):
    with folder.up(app(SIMPLE) + peers(2)) as cluster:
        state = cluster.ready()
        cluster.process.kill()
        cluster.process.wait()
        eventually("the end of all", lambda: not any(map(lives, pids(state))))
        expect(folder.run("ps"), 3)
    with folder.up(app(SIMPLE)) as cluster:  # and the next one starts
        cluster.ready()
        cluster.stop(number=signal.SIGTERM)


@case
def the_second_signal_kills(folder):
    with folder.up(peers(1).replace('"0s"', '"10m"')) as cluster:
        state = cluster.ready()
        cluster.process.send_signal(signal.SIGINT)
        cluster.says("is stopping")
        cluster.process.send_signal(signal.SIGINT)
        cluster.ends(6, "is killed", "the second signal")
        assert not any(map(lives, pids(state)))


@case
def who_does_not_stop_in_time_is_killed(folder):
    with folder.up('stop_timeout = "300ms"\n' + peers(1).replace('"0s"', '"10m"')) as cluster:
        state = cluster.ready()
        cluster.stop(6)
        cluster.says("has not stopped in time; killing it")
        cluster.says("these did not stop cleanly: local.world1.peer.1 was killed by signal 9")
        assert not any(map(lives, pids(state)))


@case
def a_name_is_taken_once_and_down_ends_it(folder):
    with folder.up(app(SIMPLE)) as cluster:
        cluster.ready()
        expect(folder.run("up", cluster.toml), 3, "a cluster of this name is already running")
        assert cluster.process.poll() is None
        with folder.up(app(SIMPLE), name="village") as other:
            eventually("both", lambda: len(json_lines(folder.run("ps", "--json"))) == 2)
            expect(folder.run("down"), 2, "several clusters run here (town, village): say which one")
            expect(folder.run("routes"), 2, "say which one")
            expect(folder.run("routes", "--cluster", "village"), 0, "router.static of cluster village")
            expect(folder.run("down", "village"), 0, "cluster village has stopped")
            other.ends(0)
        expect(folder.run("down", "village"), 3, "is not running")
        expect(folder.run("down", cluster.toml), 0)
        cluster.ends(0)
        expect(folder.run("down"), 3, "no cluster runs here")


@contextlib.contextmanager
def locked(state):
    """The state file of a cluster that is being started: its m3ctl up has the lock and has written nothing yet."""
    with open(f"{state}.lock", "w", encoding="utf-8") as file:
        fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))  # F_OFD_SETLK
        yield


@case
def a_pid_that_has_become_another_program_is_left_alone(folder):
    state = folder.path / "cache/m3/run/town.json"
    state.parent.mkdir(parents=True)
    with folder.up(app(SIMPLE)) as cluster:
        old = cluster.ready()
        cluster.stop()
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        state.write_text(json.dumps({**old, "pid": stranger.pid}))
        with locked(state):
            expect(folder.run("down", "town"), 3, "still starting")
            expect(folder.run("ps", "town"), 3, "still starting")
        assert stranger.poll() is None, "m3ctl down ended a stranger"
    finally:
        stranger.kill()
        stranger.wait()


def json_lines(result):
    decoder, text, out = json.JSONDecoder(), expect(result, 0).strip(), []
    while text:
        one, end = decoder.raw_decode(text)
        out.append(one)
        text = text[end:].strip()
    return out


@case
def the_logs_may_be_shown_instead(folder):
    with folder.up(app(SIMPLE), "--logs") as cluster:
        cluster.says("services=proto.SimpleSer")
        assert any(line.startswith("local.world1.simple.1  ") and "ready" in line for line in cluster.said().splitlines())
        cluster.stop()


@case
def a_terminal_that_stops_reading_stops_nothing(folder):
    chatty = folder.script("chatty", """case "$*" in *--check-config*) exit 0;; esac
trap 'exit 0' TERM
while :; do echo "a line that goes on and on and on and on and on and on and on and on and on and on"; done
""")
    leader, follower = pty.openpty()
    try:
        with folder.up(f'[[app]]\nbinary = "{chatty}"\n', "--logs", stdout=follower) as cluster:
            log = eventually("the log", lambda: [*folder.temp.glob("m3-town.*/*.log")])[0]
            eventually("a log that no terminal takes", lambda: log.stat().st_size > 4 << 20)
            state = cluster.state()["instances"][0]
            os.kill(state["pid"], signal.SIGKILL)
            eventually("a new start", lambda: cluster.state()["instances"][0]["restarts"] > 0)
            cluster.process.send_signal(signal.SIGINT)
            assert cluster.process.wait(PATIENCE) == 0
    finally:
        os.close(leader)
        os.close(follower)


@case
def a_terminal_sees_a_table_that_stays_in_place(folder):
    ours, theirs = pty.openpty()
    with folder.up(app(SIMPLE) + peers(1), stdout=theirs) as cluster:
        os.close(theirs)
        seen = b""

        def look(what):
            nonlocal seen
            until = time.monotonic() + PATIENCE
            while not re.search(what, seen):
                assert time.monotonic() < until, seen
                seen += os.read(ours, 65536)
        look(b"INSTANCE")
        look(b"all ready after")
        seen = b""
        look(rb"\x1b\[4A\r\x1b\[J")  # the block again: an empty line, the head, two rows
        look(rb"peer\.1 +\d+ +ready +\d")  # calls per second, from its /metrics
        cluster.process.send_signal(signal.SIGINT)
        look(b"all stopped")
        cluster.ends(0)
    os.close(ours)


# -------------------------------------------------------------------------------------------------- services

def redis_says(address, words):
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as one:
        one.sendall(words.encode() + b"\r\n")
        return one.recv(4096).decode()


@case
def redis_is_started_where_it_is_needed(folder):
    if not shutil.which("redis-server"):
        raise Skip("no redis-server")
    broker = ', "broker.redis.address" = "{redis}"'
    with folder.up(app(SIMPLE) + peers(2, broker).replace("set =", 'needs = ["redis"]\nset =')) as cluster:
        state = cluster.ready()
        redis = state["services"]["redis"]
        assert redis_says(redis["address"], "PING").startswith("+PONG")
        config = pathlib.Path(state["folder"], "local.world1.peer.2.toml").read_text()
        assert redis["address"] in config, config
        assert "redis" not in pathlib.Path(state["folder"], "local.world1.simple.1.toml").read_text()
        channels = redis_says(redis["address"], "PUBSUB CHANNELS *")
        assert "*0" not in channels.split("\r\n")[0], channels  # the peers are subscribed to it
        os.kill(redis["pid"], signal.SIGKILL)
        eventually("redis again", lambda: cluster.state()["services"]["redis"]["restarts"] == 1)
        eventually("redis ready", lambda: cluster.state()["services"]["redis"]["state"] == "ready")
        assert redis_says(redis["address"], "PING").startswith("+PONG")
        last = cluster.state()
        cluster.stop()
        assert not any(map(lives, pids(last))), last
        assert re.search(r"(?s)redis +is ready.*simple.1 +starts.*simple.1 +exited.*redis +is stopping", cluster.said())


@case
def what_redis_keeps_is_there_the_next_time(folder):
    if not shutil.which("redis-server"):
        raise Skip("no redis-server")
    text = "[services.redis]\nkeep_data = true\n" + app(SIMPLE).replace("set =", 'needs = ["redis"]\nset =')
    with folder.up(text) as cluster:
        redis_says(cluster.ready()["services"]["redis"]["address"], "SET moon full")
        cluster.stop()
    with folder.up(text) as cluster:
        assert "full" in redis_says(cluster.ready()["services"]["redis"]["address"], "GET moon")
        cluster.stop()


if __name__ == "__main__":
    sys.exit(run_cases("cluster", case))
