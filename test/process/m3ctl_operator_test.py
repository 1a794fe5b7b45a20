#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""m3ctl routes, drain, logs, reload and the others of an operator: m3ctl_operator_test.py M3CTL SIMPLE PEER. One line a case."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from m3ctl_cluster import app, M3CTL, PEER, peers, run_cases, SIMPLE
from cases import PATIENCE, Cases, Skip, expect

case = Cases()


# -------------------------------------------------------------------------------------------------- the operator

@case
def routes_shows_who_is_known_and_who_answers(folder):
    with folder.up(app(SIMPLE) + peers(2)) as cluster:
        state = cluster.ready()
        out = expect(folder.run("routes"), 0, "3 instances, from router.static of cluster town")
        rows = [line.split() for line in out.splitlines()[3:]]
        assert [row[0] for row in rows] == ["local.world1.peer.1", "local.world1.peer.2", "local.world1.simple.1"], out
        assert all(row[2:4] == ["serving", "yes"] and row[4].endswith("s") for row in rows), out
        expect(folder.run("routes", "local.world1.peer"), 0, "2 instances")
        one = json.loads(expect(folder.run("routes", "local.world1.peer.2", "--json"), 0))
        assert one["source"] == "router.static of cluster town", one
        [instance] = one["instances"]
        assert instance["address"] == state["instances"][2]["address"] and instance["answers"] == "yes", instance
        assert abs(instance["generation"] / 1e9 - time.time()) < 600, instance
        expect(folder.run("routes", "local.world1.pear"), 2, 'did you mean "local.world1.peer.1"')
        expect(folder.run("routes", "127.0.0.1:1"), 2, "m3ctl ping")
        expect(folder.run("routes", "--cluster", "town", "--config", "x.toml"), 2, "give only one of them")
        config = pathlib.Path(state["folder"], "local.world1.simple.1.toml")
        expect(folder.run("routes", "--config", config), 0, f"3 instances, from router.static of {config}")
        cluster.stop()
    expect(folder.run("routes"), 2, "no cluster and no configuration given")


@case
def routes_tells_who_does_not_answer(folder):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        config = folder.write("a.toml", f'[router.static]\npeers = ["dev.world1.peer.1@127.0.0.1:{port}"]\n')
        out = json.loads(expect(folder.run("routes", "--config", config, "--json"), 0))
        assert out["instances"][0]["answers"] == "no" and out["instances"][0]["generation"] == 0, out


@case
def an_instance_is_drained_and_called_back(folder):
    def by(*more):
        return json.loads(expect(folder.run("call", "local.world1.peer", "Peer/Echo", *more), 0))["answered_by"]
    with folder.up(peers(2)) as cluster:
        cluster.ready()
        expect(folder.run("drain", "local.world1.peer.1"), 0, "local.world1.peer.1: draining (was serving)")
        expect(folder.run("drain", "local.world1.peer.1"), 0, "draining (was draining)")
        out = json.loads(expect(folder.run("drain", "local.world1.peer.1", "--json"), 0))
        assert out == {"id": "local.world1.peer.1", "state": "draining", "was": "draining"}, out
        states = [(one["state"], one["answers"]) for one in json.loads(expect(folder.run("routes", "--json"), 0))["instances"]]
        assert states == [("draining", "yes"), ("serving", "yes")], states
        assert by("--route", "p2p:local.world1.peer.1") == "local.world1.peer.1"
        expect(folder.run("uncordon", "local.world1.peer.1"), 0, "serving (was draining)")
        expect(folder.run("cordon", "local.world1.peer.1"), 2, "only draining keeps callers away")
        expect(folder.run("drain", "local.world1.peer"), 2, "name one of its instances: local.world1.peer.1 local.world1.peer.2")
        expect(folder.run("drain", "local.world1.peer.9"), 2, "did you mean")
        expect(folder.run("drain"), 2, "write: m3ctl drain TARGET")
        cluster.stop()


@case
def a_cluster_with_a_token_is_called_with_it(folder):
    with folder.up(peers(1, ', "rpc.token" = "s3cret"')) as cluster:
        state = cluster.ready()
        expect(folder.run("call", "local.world1.peer.1", "Peer/Echo"), 0)
        expect(folder.run("call", state["instances"][0]["address"], "Peer/Echo"), 2, "unauthenticated")
        assert os.stat(state["config"]).st_mode & 0o077 == 0, "others may read the token"
        cluster.stop()


@case
def the_logs_are_one_by_time_each_line_with_its_id(folder):
    with folder.up(peers(2) + app(SIMPLE)) as cluster:
        cluster.ready()
        lines = expect(folder.run("logs"), 0).splitlines()
        assert {line.split()[0] for line in lines} == {"local.world1.peer.1", "local.world1.peer.2", "local.world1.simple.1"}, lines
        times = [line.split()[1] for line in lines]
        assert times == sorted(times), lines
        lines = expect(folder.run("logs", "local.world1.peer", "local.world1.peer.1"), 0).splitlines()
        assert len([line for line in lines if " ready " in line]) == 2, lines
        expect(folder.run("logs", "local.world1.pear"), 3, "did you mean")
        with subprocess.Popen([M3CTL, "logs", "-f", "local.world1.peer.1"], env=folder.env, stdout=subprocess.PIPE, text=True) as follower:
            expect(folder.run("drain", "local.world1.peer.1"), 0)
            for line in follower.stdout:
                if "draining (was serving)" in line:
                    break
            cluster.stop()
            assert follower.wait(PATIENCE) == 0, "the end of the cluster is that of its logs"


@case
def logs_are_objects_for_programs(folder):
    with folder.up(peers(1) + app(SIMPLE)) as cluster:
        cluster.ready()
        lines = [json.loads(line) for line in expect(folder.run("logs", "--json"), 0).splitlines()]
        assert {line["id"] for line in lines} == {"local.world1.peer.1", "local.world1.simple.1"}, lines
        assert all(set(line) == {"id", "line"} for line in lines) and any(" ready " in line["line"] for line in lines), lines
        out = json.loads(expect(folder.run("logs", "local.world1.pear", "--json"), 3))
        assert not out["ok"] and out["error"]["code"] == "not_found", out
        cluster.stop()


@case
def output_that_a_full_disk_does_not_take_is_an_error(folder):
    with open("/dev/full", "wb") as full, folder.up(peers(1) + app(SIMPLE), stdout=full) as cluster:
        cluster.ready()
        for words in (("ps",), ("ps", "--json"), ("logs",), ("logs", "-f"), ("routes",), ("drain", "local.world1.peer.1"),
                      ("reload", "local.world1.peer.1"), ("token", "new"), ("completion", "bash"), ("--version",)):
            done = subprocess.run([M3CTL, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE, env=folder.env)
            assert done.returncode == 6 and "cannot write to stdout" in done.stderr, (words, done)
        cluster.process.send_signal(signal.SIGINT)
        cluster.ends(6, "cannot write to stdout")


@case
def a_reload_brings_the_files_as_they_are_now(folder):
    own = folder.write("peer.toml", "weight = 1\n")
    with folder.up(peers(2).replace("set =", f'config = "{own}"\nset =')) as cluster:
        cluster.ready()
        def weights():
            return [one["weight"] for one in json.loads(expect(folder.run("routes", "--json"), 0))["instances"]]
        own.write_text("weight = 7\ncores = 9\n")
        out = expect(folder.run("reload", "local.world1.peer.1"), 0, "local.world1.peer.1: reload: weight = 7 (was 1)",
                     "local.world1.peer.1: reloaded")
        assert "peer.2" not in out, out
        expect(folder.run("reload", "local.world1.peer"), 0, "local.world1.peer.1: reloaded", "local.world1.peer.2: reload: weight = 7")
        own.write_text("weight = 9\n")
        out = json.loads(expect(folder.run("reload", "local.world1.peer", "--json"), 0))
        assert out["ok"] and [(one["id"], one["outcome"]) for one in out["instances"]] == [
            ("local.world1.peer.1", "reloaded"), ("local.world1.peer.2", "reloaded")], out
        assert "reload: weight = 9 (was 7)" in out["instances"][0]["log"], out
        own.write_text("weight = true\n")
        expect(folder.run("reload", "local.world1.peer"), 2, "nothing was reloaded", "weight")
        out = json.loads(expect(folder.run("reload", "local.world1.peer", "--json"), 2))
        assert not out["ok"] and "nothing was reloaded" in out["error"]["text"], out
        own.write_text("weight = 8\n")
        cluster.toml.write_text(cluster.toml.read_text().replace("instances = 2", "instances = 3"))
        expect(folder.run("reload", "local.world1.peer"), 2, "local.world1.peer.3 is not running yet")
        expect(folder.run("reload", "local.world1.pear"), 3, "did you mean")
        expect(folder.run("reload"), 2, "write: m3ctl reload")
        cluster.stop()


@case
def a_reload_brings_m3ctl_its_own_file_too(folder):
    with folder.up(peers(1, ', "rpc.token" = "old"')) as cluster:
        config = pathlib.Path(cluster.ready()["config"])
        cluster.toml.write_text(cluster.toml.read_text().replace('"old"', '"new", "rpc.second_token" = "old"'))
        assert '"old"' in config.read_text()
        expect(folder.run("reload", "local.world1.peer.1"), 0, "needs a restart")
        assert '"new"' in config.read_text() and os.stat(config).st_mode & 0o077 == 0, config.read_text()
        expect(folder.run("call", "local.world1.peer.1", "Told"), 2, f"m3ctl took its own from rpc.token of {config}:")
        expect(folder.run("restart", "local.world1.peer.1"), 0)
        expect(folder.run("call", "local.world1.peer.1", "Told"), 0)
        cluster.stop()


@case
def a_token_is_changed_while_calls_go_on(folder):
    old, new = "old-token-that-nobody-guesses", "new-token-that-nobody-guesses"
    rounds = (f'"rpc.token" = "{old}", "rpc.second_token" = "{new}"', f'"rpc.token" = "{new}", "rpc.second_token" = "{old}"',
              f'"rpc.token" = "{new}"')
    codes, over = [], threading.Event()

    def call():
        while not over.is_set():
            codes.append(folder.run("call", "local.world1.peer", "Told", "--route", "random")[0])
    with folder.up(peers(2, f', "rpc.token" = "{old}"')) as cluster:
        cluster.ready()
        text, said = cluster.toml.read_text(), f'"rpc.token" = "{old}"'
        caller = threading.Thread(target=call)
        caller.start()
        try:
            for words in rounds:
                cluster.toml.write_text(text.replace(said, words))
                expect(folder.run("restart", "local.world1.peer"), 0)
        finally:
            over.set()
            caller.join()
        assert 0 in codes and 2 not in codes, codes
        expect(folder.run("call", "local.world1.peer.1", "Told", "--token", old), 2, "m3ctl took its own from --token;")
        expect(folder.run("call", "local.world1.peer.1", "Told", "--token", new), 0)
        cluster.stop()


@case
def a_restart_is_no_trouble(folder):
    with folder.up(peers(2) + app(SIMPLE)) as cluster:
        before = cluster.ready()["instances"]
        for n in range(1, 5):  # one that died as often would be called a crash loop
            out = expect(folder.run("restart", "local.world1.peer.2"), 0)
            assert re.fullmatch(r"local.world1.peer.2: is stopping \(pid \d+\)\n"
                                r"local.world1.peer.2: exited after [0-9.]+ m?s\n"
                                r"local.world1.peer.2: is ready after [0-9.]+ m?s \(pid \d+\)\n", out), out
            now = cluster.state()["instances"]
            assert now[1]["restarts"] == n and now[1]["state"] == "ready" and now[1]["address"] == before[1]["address"], now
            assert now[1]["pid"] != before[1]["pid"] and now[0] == before[0] and now[2] == before[2], (before, now)
        out = json.loads(expect(folder.run("restart", "local.world1.peer.2", "--json"), 0))
        [one] = out["instances"]
        assert out["ok"] and one["id"] == "local.world1.peer.2" and not one["killed"] and one["start_ms"] > 0, out
        assert one["pid_before"] == now[1]["pid"] and one["pid"] == cluster.state()["instances"][1]["pid"], (out, now)
        assert "as m3ctl restart asked" in cluster.said() and "restarting in" not in cluster.said(), cluster.said()
        expect(folder.run("restart", "local.world1.pear"), 3, "did you mean")
        expect(folder.run("restart"), 2, "write: m3ctl restart ID")
        cluster.stop()
    assert not list(folder.temp.iterdir()), "the logs of a run without trouble stay"


@case
def a_restart_takes_the_configuration_as_it_is_now(folder):
    own = folder.write("peer.toml", "weight = 1\n")
    with folder.up(peers(2).replace("set =", f'config = "{own}"\nset =')) as cluster:
        before = cluster.ready()["instances"]
        own.write_text("weight = true\n")
        expect(folder.run("restart", "local.world1.peer"), 2, "nothing was restarted", "weight")
        assert cluster.state()["instances"] == before, "something was restarted"
        own.write_text('weight = 7\nlane = "blue"\n')
        out = expect(folder.run("restart", "local.world1.peer"), 0)
        told = [line.split(":")[0] for line in out.splitlines()]
        assert told == ["local.world1.peer.1"] * 3 + ["local.world1.peer.2"] * 3, out
        rows = json.loads(expect(folder.run("routes", "--json"), 0))["instances"]
        assert [row["answers"] for row in rows] == ["yes", "yes"], rows
        for one in ("local.world1.peer.1", "local.world1.peer.2"):
            assert 'lane = "blue"' in pathlib.Path(cluster.state()["folder"], f"{one}.toml").read_text()
        cluster.stop()


@case
def who_does_not_leave_for_a_restart_is_killed(folder):
    with folder.up('stop_timeout = "300ms"\n' + peers(1).replace('"0s"', '"10m"')) as cluster:
        before = cluster.ready()["instances"][0]
        expect(folder.run("restart", "local.world1.peer.1"), 6, "has not exited within the stop_timeout of 300ms; killing it",
               "is ready after", "is running again, but had to be killed first")
        now = cluster.state()["instances"][0]
        assert now["pid"] != before["pid"] and now["state"] == "ready", now
        cluster.says("was killed by signal 9")
        out = json.loads(expect(folder.run("restart", "local.world1.peer.1", "--json"), 6))
        assert not out["ok"] and out["instances"][0]["killed"] and "had to be killed first" in out["error"]["text"], out
        cluster.stop(6)


@case
def a_restart_that_fails_says_why(folder):
    wrapper = folder.script("peer", f"""case "$*" in *--check-config*) ;; *)
  test -e {folder.path}/broken && echo "cannot find the moon" && exit 3
esac
exec {PEER} "$@"
""")
    with folder.up(peers(2).replace(f'"{PEER}"', f'"{wrapper}"')) as cluster:
        before = cluster.ready()["instances"]
        folder.write("broken", "")
        expect(folder.run("restart", "local.world1.peer"), 6, "local.world1.peer.1 was started again and has exited", "cannot find the moon")
        assert cluster.state()["instances"][1] == before[1], "the next one was stopped, too"
        (folder.path / "broken").unlink()
        expect(folder.run("restart", "local.world1.peer.1"), 0, "is ready after")
        cluster.stop()


@case
def an_app_with_a_router_of_its_own_is_called_by_its_id(folder):
    with folder.up(peers(2).replace("router.static", "router.own")) as cluster:
        cluster.ready()
        out = expect(folder.run("call", "local.world1.peer.2", "Peer/Echo"), 0)
        assert json.loads(out)["answered_by"] == "local.world1.peer.2", out
        expect(folder.run("call", "local.world1.peer", "Peer/Echo", "--route", "single"), 0, "local.world1.peer.1")
        expect(folder.run("drain", "local.world1.peer.2"), 0, "draining")
        cluster.stop()


@case
def the_end_of_a_cluster_is_an_object_for_programs(folder):
    with folder.up(peers(1)) as cluster:
        cluster.ready()
        assert json.loads(expect(folder.run("down", "--json"), 0)) == {"ok": True, "cluster": "town"}
        cluster.ends(0)
    assert json.loads(expect(folder.run("down", "--json"), 3))["error"]["code"] == "not_found"


@case
def an_app_that_no_registry_knows_is_called_by_its_id(folder):
    consul = pathlib.Path(os.environ.get("M3_CONSUL", pathlib.Path.home() / ".cache/m3/consul"))
    if not consul.exists() and not shutil.which("consul"):
        raise Skip("no consul")
    folder.env["M3_CONSUL"] = shutil.which("consul") or str(consul)
    listed = peers(1)
    found = app(SIMPLE, 'needs = ["consul"]\n').replace('"router.static.peers" = ["{peers}"]', '"router.consul.addresses" = ["{consul}"]')
    with folder.up(listed + found) as cluster:
        cluster.ready()
        expect(folder.run("call", "local.world1.simple.1", "HelloWorld"), 0)
        expect(folder.run("call", "local.world1.peer.1", "Peer/Echo"), 0, "local.world1.peer.1")
        cluster.stop()


if __name__ == "__main__":
    sys.exit(run_cases("operator", case))
