#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
"""Logs, standard descriptors and signals of real processes: log_test.py SIMPLE M3CTL PEER. One line a case."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from wire_client import GOAWAY, HEADER, HELLO, NOTIFY, REQUEST, Closed, Goaway, WireClient, errc, wire

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from cases import PATIENCE, Cases, eventually, free_port  # noqa: E402

case = Cases()
SIMPLE, M3CTL, PEER = map(os.path.abspath, sys.argv[1:4])
METHOD = '/proto.SimpleSer/HelloWorld'
GOOD_BODY = b'\x0a\x03Ann'
NOT_UTF8 = b'\x0a\x02\xff\xfe'
OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
LINE = re.compile(rb'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (\w+) +(?:dev\.\S+ )?(\S+:\d+) ')


def full_pipe():
    """A pipe into which nothing more fits: its reader, its writer, and how much is in it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    size = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            size += os.write(writer, b'.' * 4096)
    os.set_blocking(writer, True)
    return reader, writer, size


def block_ours():
    signal.pthread_sigmask(signal.SIG_BLOCK, OURS)


def close_standard_descriptors():
    for descriptor in range(3):
        os.close(descriptor)


class App:
    """simple, with its log in a file unless `stderr` says otherwise."""

    def __init__(self, folder, stderr=None, prepare=None, program=SIMPLE):
        name = 'simple' if program == SIMPLE else 'peer'
        self.port, self.admin = free_port(), free_port()
        self.config = folder / f'{self.port}.toml'
        self.text = (f'listen = "127.0.0.1:{self.port}"\ncores = 2\ndrain_wait = "0s"\n'
                     f'[admin]\nlisten = "127.0.0.1:{self.admin}"\n')
        self.config.write_text(self.text)
        self.log = folder / f'{self.port}.log'
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen([program, '--id', f'dev.world1.{name}.1', '--config', self.config],
                                            stdout=subprocess.DEVNULL, stderr=stderr or log, preexec_fn=prepare)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def send(self, *numbers):
        for number in numbers:
            self.process.send_signal(number)

    def lives(self):
        code = self.process.poll()
        assert code is None, f'the app ended with {code}: {self.logged()}'

    def logged(self):
        return self.log.read_bytes()

    def connect(self):
        return WireClient(('127.0.0.1', self.port), app_id=b'dev.world1.python.1', patience=PATIENCE).connect()

    def accepts(self):
        self.lives()
        with contextlib.suppress(OSError):
            socket.create_connection(('127.0.0.1', self.port), 1).close()
            return True
        return False

    def serves(self):
        eventually('it listens', self.accepts)
        with self.connect().handshake() as client:
            answer = client.call(METHOD, GOOD_BODY, timeout_ms=PATIENCE * 1000)
            assert answer.code == errc.OK, answer.text
        return self

    def metric(self, name):
        with urllib.request.urlopen(f'http://127.0.0.1:{self.admin}/metrics', timeout=PATIENCE) as page:
            found = re.search(rf'^{name}(?:{{[^}}]*}})? (\S+)$', page.read().decode(), re.M)
        assert found, f'there is no metric {name}'
        return float(found[1])

    def ends_in_peace(self):
        self.send(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        assert code == 0, f'it ended with {code}: {self.logged()}'


def read_until(reader, part):
    text = b''
    while part not in text:
        got = os.read(reader, 65536)
        assert got, f'the end, without {part}'
        text += got
    return text


@case
def a_log_that_nobody_reads_stops_neither_calls_nor_the_end(folder):
    reader, writer, _ = full_pipe()
    with App(folder, stderr=writer) as app:
        for _ in range(3):
            app.serves()
        app.send(signal.SIGHUP)
        app.serves()
        app.ends_in_peace()
    os.close(reader)
    os.close(writer)


@case
def lines_that_find_no_room_are_counted_and_told_when_the_reader_is_back(folder):
    reader, writer, size = full_pipe()
    with App(folder, stderr=writer) as app:
        app.serves()
        assert app.metric('m3_log_dropped_total') == 0
        # Each reload logs a long line: what is wrong.
        app.config.write_text(app.text + ''.join(f'[unknown_{i}]\nx = 1\n' for i in range(200)))

        def some_are_dropped():
            app.send(signal.SIGHUP)
            return app.metric('m3_log_dropped_total') > 0
        eventually('lines are dropped', some_are_dropped)
        app.serves()
        text = read_until(reader, b' log lines were dropped\n')[size:]
        assert b' ready ' in text and b'the configuration is wrong' in text, text[:2000]
        assert max(map(len, text.split(b'\n'))) <= 8192
        assert resident_bytes(app) < 512 << 20
        os.close(writer)
        app.send(signal.SIGTERM)
        while os.read(reader, 65536):  # until it has ended
            pass
        assert app.process.wait(PATIENCE) == 0
    os.close(reader)


def resident_bytes(app):
    pages = int(pathlib.Path(f'/proc/{app.process.pid}/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE')


@case
def a_reader_of_the_log_that_leaves_ends_nothing(folder):
    reader, writer = os.pipe()
    with App(folder, stderr=writer) as app:
        os.close(writer)
        app.serves()
        os.close(reader)
        app.send(signal.SIGHUP)
        eventually('lines are lost', lambda: app.lives() or app.metric('m3_log_dropped_total') > 0)
        app.serves()
        app.ends_in_peace()


@case
def a_reload_that_is_asked_for_before_the_app_is_up_is_not_lost(folder):
    for number in (signal.SIGHUP, signal.SIGUSR1):
        with App(folder, prepare=block_ours) as app:
            app.send(number)
            eventually('it reloaded', lambda app=app: app.lives() or b' reloaded\n' in app.logged())
            app.serves().ends_in_peace()


@case
def a_signal_to_stop_before_the_app_is_up_ends_it_in_peace(folder):
    for number in (signal.SIGTERM, signal.SIGINT):
        with App(folder, prepare=block_ours) as app:
            app.send(number)
            code = app.process.wait(PATIENCE)
            assert code == 0, f'{code}: {app.logged()}'


@case
def signals_to_reload_at_any_time_end_nothing(folder):
    def ignore():  # until the app catches them
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with App(folder, prepare=ignore) as app:
        def up():
            app.send(signal.SIGHUP, signal.SIGUSR1)
            return app.accepts()
        eventually('it listens', up)
        app.send(signal.SIGTERM)

        def over():
            with contextlib.suppress(ProcessLookupError):
                app.send(signal.SIGHUP, signal.SIGUSR1)
            return app.process.poll() is not None
        eventually('it ends', over)
        assert app.process.returncode == 0, app.process.returncode


@case
def closed_standard_descriptors_do_not_become_sockets(folder):
    with App(folder, prepare=close_standard_descriptors) as app:
        app.serves()
        for descriptor in range(3):
            where = os.readlink(f'/proc/{app.process.pid}/fd/{descriptor}')
            assert where == '/dev/null', f'{descriptor} is {where}'
        app.ends_in_peace()


def flood(app, once, seconds=3):
    """Does it again and again, and checks what was logged of it."""
    before = len(app.logged())
    began = time.monotonic()
    times = 0
    while time.monotonic() < began + seconds or times < 100:
        once()
        times += 1
    eventually('it accepts', app.accepts)
    lasted = time.monotonic() - began
    text = app.logged()[before:]
    kinds = {}
    for line in text.splitlines():
        place = LINE.match(line)
        assert place, f'a line that is not of our log: {line[:300]}'
        assert len(line) < 1000, f'a line of {len(line)} bytes: {line[:300]}'
        kinds[place[2]] = kinds.get(place[2], 0) + 1
    assert kinds, f'nothing was logged of {times} times'
    most = 10 * (lasted + 1)
    assert all(count <= most for count in kinds.values()), f'{kinds} in {lasted:.1f} s'
    return times, kinds, text


def send_alone(app, kind, body):
    with app.connect() as client:
        client.send(kind, body)
        with contextlib.suppress(Goaway, Closed):
            while True:
                client.read()


@case
def a_flood_of_goaways_before_the_hello_is_not_logged_whole(folder):
    body = wire.Goaway(status=wire.Status(code=errc.UNAVAILABLE, text=b'x' * 200000)).SerializeToString()
    with App(folder) as app:
        app.serves()
        times, kinds, text = flood(app, lambda: send_alone(app, GOAWAY, body))
        assert sum(kinds.values()) < times, f'{kinds} of {times}'
        assert b' more not logged)' in text
        assert app.metric('m3_log_held_back_total') > 0
        app.ends_in_peace()


@case
def a_flood_of_bad_frames_and_hellos_is_limited(folder):
    with App(folder) as app:
        app.serves()

        def once():
            send_alone(app, REQUEST, b'')
            send_alone(app, HELLO, b'\xff')
            with app.connect().handshake() as client:
                client.send_bytes(HEADER.pack(20, 99, 0, 0, 0, 0, 0))
                with contextlib.suppress(Goaway, Closed):
                    while True:
                        client.read()
        flood(app, once)
        app.ends_in_peace()


@case
def what_protobuf_says_of_a_strangers_bytes_is_limited(folder):
    with App(folder) as app:
        app.serves()
        with app.connect().handshake() as client:
            def once():
                assert client.call(METHOD, NOT_UTF8, timeout_ms=PATIENCE * 1000).code == errc.INVALID_ARGUMENT
            times, kinds, _ = flood(app, once)
        assert sum(kinds.values()) < times, f'{kinds} of {times}'
        app.ends_in_peace()


@case
def a_flood_of_failing_calls_and_notifies_is_limited(folder):
    fails = b'\x10' + bytes([errc.INTERNAL])  # EchoReq.fail_with
    with App(folder, program=PEER) as app:
        eventually('it listens', app.accepts)
        with app.connect().handshake() as client:
            def once():
                client.start('/peer.Peer/Tell', b'\xff', timeout_ms=PATIENCE * 1000, kind=NOTIFY)
                answer = client.call('/peer.Peer/Echo', fails, timeout_ms=PATIENCE * 1000)
                assert answer.code == errc.INTERNAL, answer.text
            _, kinds, _ = flood(app, once)
        assert len(kinds) == 2, kinds
        app.ends_in_peace()


def run(*words, **options):
    done = subprocess.run(words, stderr=subprocess.PIPE, check=False, timeout=PATIENCE, **options)
    return done.returncode, done.stderr.decode()


@case
def a_tool_whose_reader_left_ends_quietly(_folder):
    reader, writer = os.pipe()
    os.close(reader)
    assert run(M3CTL, 'help', stdout=writer) == (0, '')
    os.close(writer)


@case
def what_stdout_did_not_take_is_an_error(folder):
    config = folder / 'simple.toml'
    config.write_text('id = "dev.world1.simple.1"\n')
    with open('/dev/full', 'wb') as full:
        for words in ([M3CTL, 'help'], [M3CTL, 'call', '--help'], [SIMPLE, '--help'],
                      [SIMPLE, '--config', config, '--print-config']):
            code, text = run(*words, stdout=full)
            assert code != 0 and 'cannot write to stdout' in text, f'{words}: {code} {text}'


@case
def a_tool_without_standard_descriptors_works(_folder):
    done = subprocess.run([M3CTL, 'help'], preexec_fn=close_standard_descriptors, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.returncode


if __name__ == '__main__':
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(case.run('log', sys.argv[4:]))
