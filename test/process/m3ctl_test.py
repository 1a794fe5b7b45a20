#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""m3ctl against running apps: m3ctl_test.py M3CTL SIMPLE PEER. Prints one line a case."""
import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from cases import Cases, Skip, expect, free_ports, new_folder  # noqa: E402

case = Cases()
TOKEN = "s3cret"


class Apps:
    """simple, two instances of peer, and a peer that asks for a token."""

    def __init__(self, m3ctl, simple, peer, folder):
        self.m3ctl, self.simple, self.folder, self.running = m3ctl, simple, folder, {}
        self.simple_port, self.first, self.second, self.locked, self.nobody = free_ports(5)
        self.config = folder / "caller.toml"
        self.config.write_text(
            'id = "dev.world1.tool.1"\n'
            f'[router.static]\npeers = ["dev.world1.peer.1@127.0.0.1:{self.first}", "dev.world1.peer.2@127.0.0.1:{self.second}"]\n'
            '[app]\nanything = 1\n')
        self.start(simple, "dev.world1.simple.1", self.simple_port)
        self.start(peer, "dev.world1.peer.1", self.first)
        self.start(peer, "dev.world1.peer.2", self.second)
        self.start(peer, "dev.world1.peer.3", self.locked, f'[rpc]\ntoken = "{TOKEN}"\n')

    def start(self, program, app_id, port, more=""):
        config = self.folder / f"{app_id}.toml"
        config.write_text(f'id = "{app_id}"\nlisten = "127.0.0.1:{port}"\ncores = 1\ndrain_wait = "0s"\n{more}')
        with open(self.folder / f"{app_id}.log", "w", encoding="utf-8") as log:
            self.running[app_id] = subprocess.Popen([program, "--config", config], stdout=log, stderr=log)
        until = time.monotonic() + 60
        while True:  # a refused connection is told at once, so this does not spin for nothing
            code, out, err = self.run("ping", f":{port}", "-n", "1", "--token", TOKEN if more else "")
            if code == 0:
                return
            log = (self.folder / f"{app_id}.log").read_text()
            assert self.running[app_id].poll() is None and time.monotonic() < until, f"{app_id}: {out}{err}{log}"

    def stop(self):
        for app_id, process in self.running.items():
            process.send_signal(signal.SIGTERM)
        codes = {app_id: process.wait(60) for app_id, process in self.running.items()}
        assert not any(codes.values()), f"an app did not leave in peace: {codes}"

    def kill(self):
        for process in self.running.values():
            if process.poll() is None:
                process.kill()

    def run(self, *words, stdin=None, env=None):
        done = subprocess.run([self.m3ctl, *map(str, words)], capture_output=True, text=True, check=False, input=stdin,
                              timeout=60, env={**os.environ, "XDG_CACHE_HOME": str(self.folder), **(env or {})})
        return done.returncode, done.stdout, done.stderr

    def peer(self, *words, **more):
        return self.run("call", f"127.0.0.1:{self.first}", *words, **more)

    def service(self, *words, **more):
        return self.run(words[0], "dev.world1.peer", *words[1:], "--config", self.config, **more)


@case
def a_call_prints_the_answer(apps):
    out = expect(apps.run("call", f":{apps.simple_port}", "SimpleSer/HelloWorld", '{"Req": "x"}'), 0)
    assert json.loads(out) == {"Rsp": "HelloWorld , x"}


@case
def a_method_may_be_named_by_any_end_that_is_its_own(apps):
    for name in ("HelloWorld", "SimpleSer/HelloWorld", "proto.SimpleSer/HelloWorld", "/proto.SimpleSer/HelloWorld",
                 "proto.SimpleSer.HelloWorld"):
        expect(apps.run("call", f":{apps.simple_port}", name, '{"Req": "x"}'), 0, "HelloWorld , x")
    expect(apps.peer("Echo"), 2, "/peer.Peer/Echo /peer.Other/Echo")
    expect(apps.peer("World"), 2, "serves no method")


@case
def the_request_may_come_from_stdin(apps):
    call = ("call", f":{apps.simple_port}", "HelloWorld", "-")
    expect(apps.run(*call, stdin='{"Req": "piped"}'), 0, "HelloWorld , piped")
    expect(apps.run(*call, stdin=""), 0, "HelloWorld , ")


@case
def a_mistyped_method_gets_a_suggestion(apps):
    expect(apps.run("call", f":{apps.simple_port}", "HeloWorld"), 2, "did you mean /proto.SimpleSer/HelloWorld?")
    expect(apps.run("call", f":{apps.simple_port}", "SimpelSer/HelloWorld"), 2, "did you mean /proto.SimpleSer/HelloWorld?")
    expect(apps.run("call", f":{apps.simple_port}", "Zzz"), 2, "it serves /proto.SimpleSer/HelloWorld")


@case
def bad_json_is_pointed_at(apps):
    out = expect(apps.peer("Peer/Echo", '{"text": oops}'), 2, "line 1, column 10")
    assert out == ""
    expect(apps.peer("Peer/Echo", '{\n "text": "a",\n}'), 2, "line 3, column 1", "\n  }\n  ^")
    expect(apps.peer("Peer/Echo", "[]"), 2, "the request: expected an object")


@case
def json_that_nobody_can_read_is_an_error(apps):
    expect(apps.peer("Peer/Echo", '{"wait_ms": 1e400}'), 2, "1e400 is too large", "column 13")
    deep = '{"inner":' * 200_000 + "{}" + "}" * 200_000
    expect(apps.run("call", f":{apps.first}", "Peer/Echo", "-", stdin=deep), 2, "nested more than 100 deep")
    assert not json.loads(expect(apps.peer("Peer/Echo", '{"wait_ms": 1e400}', "--json"), 2))["ok"]


@case
def an_answer_that_json_cannot_show_is_no_result(apps):
    for request, code in (('{"bad_text": true}', "internal"), ("{}", "data_loss")):
        assert expect(apps.peer("Odd", request), 6, code) == ""
        out = json.loads(expect(apps.peer("Odd", request, "--json"), 6))
        assert not out["ok"] and "response" not in out and out["error"]["code"] == code, out
    expect(apps.peer("Odd"), 6, "the call was answered", "peer.OddRsp cannot be shown as JSON")


@case
def a_wrong_field_is_named_with_its_path(apps):
    expect(apps.peer("Peer/Echo", '{"txt": "a"}'), 2, 'txt: peer.EchoReq has no field "txt", did you mean "text"?')
    expect(apps.peer("Peer/Echo", '{"inner": {"lvl": 1}}'), 2, "inner.lvl: peer.Inner has no field")
    expect(apps.peer("Peer/Echo", '{"list": [{"level": 1}, {"level": "x"}]}'), 2, "list[1].level: expected a whole number")
    expect(apps.peer("Peer/Echo", '{"list": {}}'), 2, "list: expected a list")
    expect(apps.peer("Peer/Echo", '{"counts": {"a": true}}'), 2, 'counts["a"]: expected a whole number')
    expect(apps.peer("Peer/Echo", '{"colour": "REDD"}'), 2, 'did you mean "RED"?')
    expect(apps.peer("Peer/Echo", '{"wait_ms": -1}'), 2, "wait_ms")


@case
def every_kind_of_field_goes_there_and_back(apps):
    sent = {"text": "ä\n", "colour": "RED", "inner": {"level": -5}, "list": [{"level": 1}], "counts": {"a": 1},
            "blob": "AAE=", "fail_with": 0, "wait_ms": 0}
    out = expect(apps.peer("Peer/Echo", json.dumps(sent)), 0)
    assert json.loads(out) == {"echo": sent, "answered_by": "dev.world1.peer.1"}, out


@case
def exit_codes_are_the_groups_of_errors(apps):
    groups = {2: (3, 9, 12, 16, 7), 3: (5, 6, 10), 5: (8,), 6: (4, 1, 13, 15, 2)}
    for exit_code, codes in groups.items():
        for code in codes:
            expect(apps.peer("Peer/Echo", json.dumps({"fail_with": code})), exit_code, "as asked", "the app's own code: 7")
    expect(apps.peer("Peer/Echo", '{"fail_with": 8}'), 5, "try again in 250ms")
    expect(apps.peer("Peer/Echo", '{"fail_with": 14}'), 4, "another instance")
    expect(apps.run("call", f":{apps.first}", "Other/Echo"), 2, "unimplemented")


@case
def a_wrong_address_is_unavailable(apps):
    expect(apps.run("call", f"127.0.0.1:{apps.nobody}", "HelloWorld"), 4, "unavailable", "not executed")
    expect(apps.run("ping", f"127.0.0.1:{apps.nobody}", "-n", "1"), 4, "0/1", "unavailable")
    expect(apps.run("call", "127.0.0.1:port", "HelloWorld"), 2, "port")
    expect(apps.run("call", "nonsense", "HelloWorld"), 2, "neither an address")


@case
def the_deadline_ends_the_call(apps):
    began = time.monotonic()
    expect(apps.peer("Peer/Echo", '{"wait_ms": 30000}', "--deadline", "100ms"), 6, "deadline_exceeded", "after 100ms")
    assert time.monotonic() - began < 20
    expect(apps.peer("Peer/Echo", "--deadline", "soon"), 2, "--deadline")


@case
def metadata_goes_there_and_the_answers_is_shown(apps):
    expect(apps.peer("Peer/Echo", "--meta", "colour=red", "-v"), 0, "seen: red", f"answered by 127.0.0.1:{apps.first}")
    out = json.loads(expect(apps.peer("Peer/Echo", "--meta=colour=a=b", "--json"), 0))
    assert out["metadata"] == [{"key": "seen", "value": "a=b"}] and out["ok"] and out["took_us"] > 0, out
    expect(apps.peer("Peer/Echo", "--meta", "colour"), 2, "key=value")


@case
def json_output_has_errors_too(apps):
    out = json.loads(expect(apps.peer("Peer/Echo", '{"fail_with": 5}', "--json"), 3))
    assert out["error"] == {"code": "not_found", "text": "as asked", "app_code": 7, "retry_after_ms": 250,
                            "maybe_executed": True, "exit": 3}, out
    assert not json.loads(expect(apps.peer("Nothing", "--json"), 2))["ok"]


@case
def an_error_is_json_where_json_was_asked_for(apps):
    nobody = f"127.0.0.1:{apps.nobody}"
    for words, code, name in (
            (("methods", nobody), 4, "unavailable"), (("methods", f":{apps.first}", "Nothing"), 2, "unimplemented"),
            (("ping", "nonsense"), 2, "invalid_argument"), (("routes",), 2, "invalid_argument"), (("routes", nobody), 2, "invalid_argument"),
            (("drain", nobody), 4, "unavailable"), (("cordon", "dev.world1.peer", "--config", apps.config), 2, "invalid_argument"),
            (("uncordon", nobody), 4, "unavailable"), (("ps",), 3, "not_found"), (("ps", "town"), 3, "not_found"),
            (("call", nobody, "X"), 4, "unavailable"), (("call", nobody), 2, "invalid_argument"),
            (("methods", nobody, "--bogus"), 2, "invalid_argument"), (("drain",), 2, "invalid_argument")):
        result, out, err = apps.run(*words, "--json")
        assert result == code and err == "", (words, result, out, err)
        told = json.loads(out)
        assert told["ok"] is False and told["error"]["code"] == name and told["error"]["text"] and told["error"]["exit"] == code, (words, told)
        assert not apps.run(*words)[1].startswith("{"), words
    # A row for each instance, and nothing behind the list.
    [row] = json.loads(expect(apps.run("ping", nobody, "--json"), 4))
    assert row["error"]["code"] == "unavailable" and row["answered"] == 0, row
    expect(apps.run("token", "old", "--json"), 2, "there is no option --json here")


@case
def routes_pick_among_the_instances_of_a_service(apps):
    def by(*route):
        return json.loads(expect(apps.service("call", "Peer/Echo", *route), 0))["answered_by"]
    seen = set()
    for _ in range(64):
        seen.add(by("--route", "random"))
        if len(seen) == 2:
            break
    assert seen == {"dev.world1.peer.1", "dev.world1.peer.2"}, seen
    assert len({by("--route", "hash:ann") for _ in range(4)}) == 1
    assert by("--route", "single") == "dev.world1.peer.1"
    assert by("--route", "p2p:dev.world1.peer.2") == "dev.world1.peer.2"
    expect(apps.service("call", "Peer/Echo", "--route", "all"), 2, "for a notify")
    expect(apps.service("call", "Peer/Echo", "--route", "hash"), 2, "hash:ann")
    expect(apps.peer("Peer/Echo", "--route", "random"), 2, "one address")


@case
def the_proto_says_the_hash_key(apps):
    def by(key, *route):
        return json.loads(expect(apps.service("call", "ByKey", json.dumps({"key": key}), *route), 0))["answered_by"]
    keys = {str(key): by(key) for key in range(8)}
    assert all(by(1, "--route", f"hash:{key}") == owner for key, owner in keys.items()), keys


@case
def a_route_that_the_caller_must_name_is_asked_for_as_an_option(apps):
    expect(apps.service("call", "Named"), 2, "/peer.Peer/Named is sent to the app that its caller names: add --route p2p:ID, "
           "like --route p2p:dev.world1.peer.1")
    expect(apps.service("call", "Named", "--route", "p2p:dev.world1.peer.2"), 0, "dev.world1.peer.2")
    expect(apps.peer("Named"), 0, "dev.world1.peer.1")
    expect(apps.service("call", "Post"), 2, "subscribers of a topic", "add --route all")


@case
def an_id_is_looked_up_in_the_configuration(apps):
    expect(apps.run("call", "dev.world1.peer.2", "Peer/Echo", "--config", apps.config), 0, "dev.world1.peer.2")
    expect(apps.run("call", "dev.world1.peer.9", "Peer/Echo", "--config", apps.config), 2, 'did you mean "dev.world1.peer.1"')
    expect(apps.run("call", "dev.world1.peer.2", "Peer/Echo"), 2, "--config FILE")
    expect(apps.run("ping", "dev.world1.peer.2", "--config", "/no/such.toml"), 2, "/no/such.toml")


@case
def a_notify_is_read_when_m3ctl_returns(apps):
    expect(apps.service("call", "Tell", '{"text": "to one"}', "--route", "p2p:dev.world1.peer.2"), 0)
    expect(apps.service("call", "Tell", '{"text": "to all"}', "--route", "all", "-v"), 0, "read by")

    def told(port):
        return json.loads(expect(apps.run("call", f":{port}", "Told"), 0))["texts"]
    assert told(apps.first) == ["to all"] and told(apps.second) == ["to one", "to all"]
    expect(apps.service("call", "Shout", '{"text": "as the .proto says"}', "-v"), 0, f":{apps.first}, ", f":{apps.second} in")
    assert told(apps.first)[-1] == told(apps.second)[-1] == "as the .proto says"
    expect(apps.service("call", "Post", '{"text": "to all again"}', "--route", "all"), 0)
    assert told(apps.first)[-1] == told(apps.second)[-1] == "to all again"


@case
def methods_lists_what_can_be_called(apps):
    out = expect(apps.run("methods", f":{apps.first}"), 0, "dev.world1.peer.1")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines() if line.startswith("/")}
    assert rows["/peer.Peer/Echo"] == "peer.EchoReq peer.EchoRsp random, client, idempotent", rows
    assert rows["/peer.Peer/ByKey"] == "peer.KeyReq peer.EchoRsp hash by key", rows
    assert rows["/peer.Peer/Tell"] == "peer.Notice - random, notify", rows
    assert len(rows) == 9, rows
    expect(apps.run("methods", f":{apps.first}", "ByKey"), 0, "int64 key = 1;", "Peer/ByKey '{\"key\": 0}'")
    names = [one["name"] for one in json.loads(expect(apps.run("methods", f":{apps.first}", "--json"), 0))["methods"]]
    assert names == list(rows), names


@case
def ping_measures_each_instance(apps):
    expect(apps.run("ping", f":{apps.simple_port}", "-n", "3"), 0, "dev.world1.simple.1", "3/3")
    rows = json.loads(expect(apps.service("ping", "--json", "-n", "2"), 0))
    assert [row["app"] for row in rows] == ["dev.world1.peer.1", "dev.world1.peer.2"], rows
    assert all(row["answered"] == 2 and 0 < row["min_us"] <= row["avg_us"] <= row["max_us"] for row in rows), rows


@case
def the_token_is_asked_for(apps):
    expect(apps.run("ping", f":{apps.locked}"), 2, "unauthenticated")
    expect(apps.run("ping", f":{apps.locked}", "--token", "wrong"), 2, "unauthenticated")
    expect(apps.run("ping", f":{apps.locked}", "-n", "1", env={"M3_TOKEN": TOKEN}), 0)
    expect(apps.run("ping", "dev.world1.peer.3", "-n", "1", "--config", apps.folder / "dev.world1.peer.3.toml"), 0, "1/1")


@case
def a_token_that_is_refused_is_named_with_the_address_and_what_to_do(apps):
    where = f"127.0.0.1:{apps.locked}"
    todo = "--token T, M3_TOKEN=T, or --config FILE"
    expect(apps.run("ping", where), 2, f"{where} requires a token, but m3ctl has none", todo)
    expect(apps.run("ping", where, "--token", "wrong"), 2, f"{where} and m3ctl do not have the same token", "m3ctl took its own from --token;", todo)
    expect(apps.run("methods", where, env={"M3_TOKEN": "wrong"}), 2, "m3ctl took its own from $M3_TOKEN;")
    expect(apps.run("call", where, "Told", env={"M3_TOKEN": TOKEN, "M3_OPERATOR_TOKEN": "wrong"}), 2, "m3ctl took its own from $M3_OPERATOR_TOKEN;")
    expect(apps.run("ping", where, "-n", "1", env={"M3_TOKEN": TOKEN, "M3_OPERATOR_TOKEN": ""}), 0)
    config = apps.folder / "wrong.toml"
    config.write_text('[rpc]\n\ntoken = "wrong"\n')
    expect(apps.run("ping", where, "--config", config), 2, f"m3ctl took its own from rpc.token of {config}:3;")
    config.write_text('[rpc]\ntoken = "wrong"\n\noperator_token = "too"\n')
    expect(apps.run("ping", where, "--config", config), 2, f"m3ctl took its own from rpc.operator_token of {config}:4;")
    expect(apps.run("ping", f"127.0.0.1:{apps.first}", "--token", "unasked"), 2, f"127.0.0.1:{apps.first} and m3ctl", "none is configured")
    # What a handler says is its own.
    out = expect(apps.peer("Peer/Echo", '{"fail_with": 16}'), 2, "unauthenticated: as asked")
    assert "token" not in out, out


@case
def a_token_that_is_given_needs_no_variable_of_the_configuration(apps):
    text = (apps.folder / "dev.world1.peer.3.toml").read_text()
    config = apps.folder / "variables.toml"
    config.write_text(text.replace(f'"{TOKEN}"', '"${NO_SUCH_TOKEN}"\nsecond_token = "${NOR_THIS}"\noperator_token = "${NOR_THAT}"'))
    ping = ("ping", "dev.world1.peer.3", "-n", "1", "--config", config)
    expect(apps.run(*ping), 2, "rpc.token: the environment has no NO_SUCH_TOKEN", "or give m3ctl a token: --token T", "NOR_THIS", "NOR_THAT")
    expect(apps.run(*ping, "--token", TOKEN), 0, "1/1")
    expect(apps.run(*ping, env={"M3_TOKEN": TOKEN}), 0, "1/1")


@case
def output_that_a_full_disk_does_not_take_is_an_error(apps):
    call, service = ("call", f":{apps.first}", "Peer/Echo"), ("dev.world1.peer", "--config", apps.config)
    for words in ((), ("help",), ("help", "call"), ("call", "--help"), ("up", "--reference"), call, (*call, "--json"), (*call, "-v"),
                  ("methods", f":{apps.first}"), ("methods", f":{apps.first}", "Peer/Echo"), ("methods", f":{apps.first}", "--json"),
                  ("ping", f":{apps.first}", "-n", "1"), ("ping", *service, "--json"), ("routes", *service), ("routes", *service, "--json"),
                  ("uncordon", "dev.world1.peer.2", "--config", apps.config), ("new", "app", "full", "--dir", apps.folder)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([apps.m3ctl, *map(str, words)], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
                                  env={**os.environ, "XDG_CACHE_HOME": str(apps.folder)})
        assert done.returncode == 6 and "cannot write to stdout" in done.stderr, (words, done)


@case
def help_teaches_and_wrong_words_are_answered(apps):
    guide = (pathlib.Path(__file__).resolve().parents[2] / "docs/guide/m3ctl.md").read_text(encoding="utf-8")
    guide += (pathlib.Path(__file__).resolve().parents[2] / "docs/guide/cluster.md").read_text(encoding="utf-8")
    for command in ("call", "methods", "ping", "new", "up", "ps", "down", "logs", "reload", "restart", "routes", "drain", "cordon",
                    "uncordon", "token", "completion", "help"):
        page = expect(apps.run("help", command), 0, f"m3ctl {command}")
        assert expect(apps.run(command, "--help"), 0) == page, page
        # Each option that the command takes stands in its page, with one text for all commands, and in the guide.
        taken = set(re.findall(r"--[a-z-]+", apps.run(command, "--qqqqqq")[2].partition("; there is")[2])) - {"--help"}
        listed = page.partition("\nOPTIONS\n")[2]
        assert taken == set(re.findall(r"^  (?:-., |-n N, )?(--[a-z-]+)", listed, re.M)), (command, taken, page)
        assert all(option in guide for option in taken), (command, taken)
        if "--token" in taken:
            assert "M3_OPERATOR_TOKEN" in listed and "operator_token before token" in listed, page
    expect(apps.run("help"), 0, "EXIT CODES")
    expect(apps.run(), 2, "EXIT CODES")
    expect(apps.run("cal"), 2, 'did you mean "call"?')
    expect(apps.run("bogus"), 2, 'there is no command "bogus"; m3ctl help lists them')
    expect(apps.run("call", ":1", "X", "--dedline", "1s"), 2, 'did you mean "--deadline"?')
    expect(apps.run("call", ":1"), 2, "write: m3ctl call")
    expect(apps.run("ping", ":1", "-n", "0"), 2, "1 to 1000000")


@case
def a_router_that_m3ctl_lacks_is_named_and_its_own_app_found(apps):
    config = apps.folder / "own_router.toml"
    config.write_text(f'id = "dev.world1.peer.1"\nlisten = "127.0.0.1:{apps.first}"\n[router.own]\npeers = []\n')
    out = json.loads(expect(apps.run("call", "dev.world1.peer.1", "Peer/Echo", "--config", config), 0))
    assert out["answered_by"] == "dev.world1.peer.1", out
    lacks = (f"{config}:3: router.own: m3ctl does not contain this router, so it finds no apps by their ids here: give an address, as "
             "127.0.0.1:20051, or --config FILE of an app with one of")
    for words in (("call", "dev.world1.peer.2", "Peer/Echo"), ("methods", "dev.world1.peer"), ("ping", "dev.world1.peer"), ("routes",)):
        expect(apps.run(*words, "--config", config), 2, lacks)
    config.write_text("[router.statik]\n")
    expect(apps.run("routes", "--config", config), 2, 'does not contain this router (did you mean "static"?), so')


@case
def of_an_apps_file_only_the_token_and_the_router_matter(apps):
    text = apps.config.read_text()
    config = apps.folder / "half.toml"
    config.write_text('cores = "${NO_SUCH_VARIABLE}"\nlissten = 5\n[rpc]\nmax_calls = "${NEITHER}"\n[broker.redis]\n'
                      'password = "${NOR_THIS}"\n' + text[text.index("[router"):])
    expect(apps.run("call", "dev.world1.peer.1", "Peer/Echo", "--config", config), 0)
    config.write_text('[router.static]\npeers = ["dev.world1.peer.1@${NO_SUCH_VARIABLE}"]\n')
    expect(apps.run("call", "dev.world1.peer.1", "Peer/Echo", "--config", config), 2, "half.toml:2: router.static.peers[0]: the environment")
    config.write_text("[router.static]\npeers = [dev]\n")
    expect(apps.run("call", "dev.world1.peer.1", "Peer/Echo", "--config", config), 2, "half.toml:2: router.static.peers: an item of the list")


@case
def versions_are_said(apps):
    version = re.fullmatch(r"m3ctl (\d+\.\d+\.\d+)\n", expect(apps.run("--version"), 0)).group(1)
    told = subprocess.run([apps.simple, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout == f"simple (m3 {version})\n", told


@case
def a_token_is_256_random_bits(apps):
    tokens = {expect(apps.run("token", "new"), 0) for _ in range(8)}
    assert len(tokens) == 8, tokens
    for token in tokens:
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}\n", token) and len(base64.urlsafe_b64decode(token.strip() + "=")) == 32, token
    expect(apps.run("token", "old"), 2, "m3ctl token new")


def completes(apps, *words):
    """What bash itself offers for the last word."""
    script = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _m3ctl; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "--norc", "-eu", "-c", script, apps.completion, "m3ctl", *words], capture_output=True, text=True,
                          check=True, timeout=60, cwd=apps.folder)
    return done.stdout.split()


@case
def bash_completes_what_the_table_of_commands_says(apps):
    apps.completion = apps.folder / "completion.bash"
    apps.completion.write_text(expect(apps.run("completion", "bash"), 0))
    assert completes(apps, "un") == ["uncordon"]
    assert {"call", "logs", "--version"} <= set(completes(apps, ""))
    assert completes(apps, "call", ":1", "X", "--de") == ["--deadline"]
    assert "--deadline" not in completes(apps, "down", "--")
    assert completes(apps, "help", "rel") == ["reload"]
    assert completes(apps, "rest") == ["restart"]
    assert completes(apps, "restart", "--cl") == ["--cluster"]
    assert completes(apps, "token", "") == ["new"]
    assert completes(apps, "ping", "--config", "call") == ["caller.toml"]
    assert completes(apps, "ping", "--deadline", "") == []
    expect(apps.run("completion", "fish"), 2, "bash and zsh")


@case
def zsh_completes_what_the_table_of_commands_says(apps):
    script = apps.folder / "_m3ctl"
    script.write_text(expect(apps.run("completion", "zsh"), 0, "compadd -- --help --config"))
    if not shutil.which("zsh"):
        raise Skip("no zsh")

    def offered(loads, *words):
        """What the function gives to zsh for the last word."""
        run = ('compadd() { shift; print -rl -- "$@" }; _files() { print files }; compdef() {}; script=$1; shift; words=("$@")\n'
               f"CURRENT=$#; PREFIX=$words[CURRENT]\n{loads}\n_m3ctl")
        done = subprocess.run(["zsh", "-f", "-c", run, "zsh", script, "m3ctl", *words], capture_output=True, text=True, check=True, timeout=60)
        assert not done.stderr, done
        return done.stdout.split()
    for loads in ("source $script", "fpath=($script:h $fpath); autoload -Uz _m3ctl"):
        assert {"call", "logs", "--version"} <= set(offered(loads, "")), loads
        assert "--deadline" in offered(loads, "call", ":1", "X", "--de"), loads
        assert "--deadline" not in offered(loads, "down", "--"), loads
        assert "reload" in offered(loads, "help", "rel"), loads
        assert offered(loads, "ping", "--config", "call") == ["files"], loads
        assert offered(loads, "ping", "--deadline", "") == [], loads


@case
def a_new_app_has_a_name_that_compiles(apps):
    for name in ("Shop", "1shop", "my_shop", "class", "constexpr", "std", "phony", "all", "test", "a" * 33, ""):
        expect(apps.run("new", "app", name, "--dir", apps.folder), 2, "a good name is")
        assert not name or not (apps.folder / name).exists()
    expect(apps.run("new", "app", "shop", "--dir", apps.folder), 0, "shop.proto", "m3/meson.build")
    written = list((apps.folder / "shop").rglob("*.*"))
    assert len(written) == 9, written
    assert not any("@" in file.name or "@name@" in file.read_text() for file in written), written
    expect(apps.run("new", "app", "shop", "--dir", apps.folder), 3, "nothing was written")


@case
def apps_leave_in_peace(apps):
    apps.stop()


def main():
    with new_folder() as folder:
        apps = Apps(*sys.argv[1:4], folder)
        try:
            return case.run("m3ctl", given=lambda: contextlib.nullcontext(apps))
        finally:
            apps.kill()


if __name__ == "__main__":
    sys.exit(main())
