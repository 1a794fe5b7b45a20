# SPDX-License-Identifier: BSL-1.0
"""What the attacks share: an app to attack, a well-behaved client beside them, and what both must look like afterwards.

A group of cases is a program: GROUP_test.py ATTACK_APP [WORD...] runs those whose names contain one of the words, or all.
"""
import collections
import contextlib
import multiprocessing
import os
import pathlib
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / folder) for folder in ('process', 'tools')]
from cases import PATIENCE, Skip, eventually, free_port  # noqa: E402
from wire_client import (GOAWAY, HEADER, RESPONSE, Closed, Goaway, WireClient, errc, generate,  # noqa: E402
                         wire)

if len(sys.argv) < 2:
    sys.exit(__doc__)
APP = os.path.abspath(sys.argv[1])
HERE = pathlib.Path(__file__).resolve().parent
TOKEN = b'0123456789abcdef0123456789abcdef'
FLOOR = 0.1  # seconds; a p99 below it is good enough on a busy machine
PACE = 0.002  # seconds; the well-behaved client makes a call that often
MIB = 1 << 20
ECHO, RELAY, SHOUT, HEARD = (f'/attack.Target/{name}' for name in ('Echo', 'Relay', 'Shout', 'Heard'))
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \w+ +[^\x00-\x1f\x7f-\x9f\u2028-\u202e]+")

with tempfile.TemporaryDirectory() as made:
    messages = (HERE / 'attack.proto').read_text(encoding='utf-8').partition('message')
    pathlib.Path(made, 'attack_messages.proto').write_text('syntax = "proto3";\nmessage' + messages[2], encoding='utf-8')
    attack, = generate(made, 'attack_messages.proto')


def need_descriptors(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise Skip(f'the case needs {count} descriptors, and {hard} are allowed')
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


# ---- the app

class App:
    """attack-app, with its log in a file. On one core, so that the attack and the well-behaved client share it."""

    def __init__(self, folder, more='', app_id='dev.w.target.1', rpc='', token=TOKEN, admin_token=''):
        self.port, self.admin, self.admin_token = free_port(), free_port(), admin_token
        self.config, self.log = folder / f'{self.port}.toml', folder / f'{self.port}.log'
        self.config.write_text(f'id = "{app_id}"\nlisten = "127.0.0.1:{self.port}"\ncores = 1\ndrain_wait = "0s"\n'
                          f'[rpc]\ntoken = "{token.decode()}"\n{rpc}\n[admin]\nlisten = "127.0.0.1:{self.admin}"\n'
                               f'token = "{admin_token}"\n{more}')
        # Freed memory that ASan keeps back is not what the app holds.
        env = {**os.environ, 'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=4'}
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen([APP, '--config', self.config], stdout=subprocess.DEVNULL, stderr=log,
                                            env=env)
        try:
            eventually('it is ready', lambda: self.lives() and b' ready id=' in self.logged())
        except BaseException:
            self.kill()
            raise

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def logged(self):
        return self.log.read_bytes()

    def lives(self):
        code = self.process.poll()
        assert code is None, f'the app ended with {code}: {self.logged().decode(errors="replace")}'
        return True

    def dial(self):
        """A connection that has said nothing."""
        return socket.create_connection(('127.0.0.1', self.port), PATIENCE)

    def client(self, **options):
        options = {'token': TOKEN, 'app_id': b'dev.w.python.1', 'patience': PATIENCE, **options}
        return WireClient(('127.0.0.1', self.port), **options).connect()

    def peer(self, **options):
        """A client that has proven itself."""
        return self.client(**options).handshake()

    def metric(self, name):
        """The sum of its values."""
        request = urllib.request.Request(f'http://127.0.0.1:{self.admin}/metrics')
        if self.admin_token:
            request.add_header('Authorization', f'Bearer {self.admin_token}')
        with urllib.request.urlopen(request, timeout=PATIENCE) as page:
            found = re.findall(rf'^{name}(?:{{[^}}]*}})? (\S+)$', page.read().decode(), re.M)
        assert found, f'there is no metric {name}'
        return sum(map(float, found))

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def forget_peak(self):
        pathlib.Path(f'/proc/{self.process.pid}/clear_refs').write_text('5', encoding='ascii')

    def peak_bytes(self):
        """The most memory it had since forget_peak()."""
        status = pathlib.Path(f'/proc/{self.process.pid}/status').read_text(encoding='ascii')
        return int(re.search(r'VmHWM:\s+(\d+)', status)[1]) * 1024

    def ends_in_peace(self):
        self.lives()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        assert code == 0, f'it ended with {code}: {self.logged().decode(errors="replace")}'


@contextlib.contextmanager
def app_running(folder, *arguments, **options):
    app = App(folder, *arguments, **options)
    try:
        yield app
    finally:
        app.kill()


# ---- the well-behaved client

def call_again(client, method, body):
    """The answer to a call that is made again while the app has no time to spare (docs/guide/load.md)."""
    until = time.monotonic() + 1
    while True:
        answer = client.call(method, body)
        if not (answer.code == errc.RESOURCE_EXHAUSTED and answer.not_executed) or time.monotonic() > until:
            return answer


def echo(client):
    """A small call; raises when it is not answered well."""
    answer = call_again(client, ECHO, attack.EchoReq(text='steady').SerializeToString())
    assert answer.code == errc.OK, f'{errc.Errc.Name(answer.code)}: {answer.text}'
    assert attack.EchoRsp.FromString(answer.body).text == 'steady'


class Steady:
    """A process that makes a call every PACE, and measures."""

    def __init__(self, app, call=echo):
        context = multiprocessing.get_context('fork')
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=self.run, args=(app, call, other), daemon=True)
        self.process.start()
        other.close()
        self.so_far(10)  # the first calls warm up

    @staticmethod
    def run(app, call, pipe):
        seconds, failures = [], []
        with app.peer(app_id=b'dev.w.steady.1') as client:
            while True:
                began = time.monotonic()
                try:
                    call(client)
                except (AssertionError, Closed, Goaway, OSError) as error:
                    failures.append(repr(error))
                    if not isinstance(error, AssertionError):
                        pipe.send((seconds, failures))
                        return
                seconds.append(time.monotonic() - began)
                if pipe.poll(max(0.0, PACE - seconds[-1])):
                    if pipe.recv() > len(seconds):
                        pipe.send(None)
                        continue
                    pipe.send((seconds, failures))
                    seconds, failures = [], []

    def so_far(self, least=100):
        """Seconds of each call since the last time, and what went wrong."""
        until = time.monotonic() + PATIENCE
        while True:
            self.pipe.send(least)
            assert self.pipe.poll(PATIENCE), 'the well-behaved client hangs'
            if found := self.pipe.recv():
                return found
            assert time.monotonic() < until, f'the well-behaved client made less than {least} calls'
            time.sleep(0.01)

    def stop(self):
        self.process.kill()
        self.process.join()


def p99(seconds):
    """Of all calls that were due, one every PACE: a call that takes long holds up the next ones."""
    due = [one - late * PACE for one in seconds for late in range(1 + int(one / PACE))]
    return sorted(due)[len(due) * 99 // 100]


class Watch:
    """What an app and its well-behaved client look like before an attack, and what the attack did to both."""

    def __init__(self, app, steady):
        self.app, self.steady = app, steady
        self.normal, broken = steady.so_far(50)
        assert not broken, broken[:3]
        app.metric('m3_log_held_back_total')  # the admin port has what it needs
        self.descriptors, self.logged = app.descriptors(), len(app.logged())
        app.forget_peak()
        self.memory = app.peak_bytes()

    def check(self, lines, mebibytes, failures, stall):
        seconds, broken = self.steady.so_far()
        normal, attacked = p99(self.normal), p99(seconds)
        grown = (self.app.peak_bytes() - self.memory) / MIB
        logged = self.app.logged()[self.logged:].splitlines()
        print(f'  {len(seconds)} calls, p99 {normal * 1000:.1f} -> {attacked * 1000:.1f} ms, '
              f'worst {max(seconds) * 1000:.1f} ms, {len(broken)} failed, {grown:+.1f} MiB, {len(logged)} lines')
        self.app.lives()
        assert len(broken) <= failures, f'{len(broken)} of {len(seconds)} steady calls failed: {broken[:3]}'
        assert attacked <= max(2 * normal, FLOOR) + stall, f'the p99 of steady calls is {attacked * 1000:.1f} ms'
        assert grown <= mebibytes, f'memory grew by {grown:.1f} MiB'
        assert len(logged) <= lines, f'{len(logged)} lines, such as {logged[:3]}'
        for line in logged:
            assert LINE.fullmatch(line.decode()), f'not a line of the log: {line[:200]}'
            assert len(line) < 1500, f'a line of {len(line)} bytes: {line[:200]}'
        eventually('descriptors are closed', lambda: self.app.lives() and self.app.descriptors() <= self.descriptors)


@contextlib.contextmanager
def under_attack(folder, lines=50, mebibytes=48, call=echo, failures=0, stall=0.0, app=None, **options):
    """An app, called steadily while the caller's block attacks it; then it is checked what that did to both.

    lines: logged at most. mebibytes: that its memory grew by at most. failures: of the steady calls, at most.
    stall: seconds that the documentation allows one call to wait.
    """
    with app_running(folder, **options) if app is None else contextlib.nullcontext(app) as app:
        steady = Steady(app, call)
        try:
            watch = Watch(app, steady)
            yield app
            watch.check(lines, mebibytes, failures, stall)
        finally:
            steady.stop()
        app.ends_in_peace()


# ---- what attackers do

def rounds(least=1, seconds=0.3):
    """How often an attack is repeated: `least` times, and long enough to see what it does to others."""
    until = time.monotonic() + seconds
    done = 0
    while done < least or time.monotonic() < until:
        yield done
        done += 1


def frame(kind, body=b'', metadata=b'', flags=0, method=0, deadline=0, call_id=0, length=None):
    """`length`: another one than the true one."""
    length = 20 + len(metadata) + len(body) if length is None else length
    return HEADER.pack(length, kind, flags, len(metadata), method, deadline, call_id) + metadata + body


def hello_1(**fields):
    fields = {'protocol': 2, 'nonce': os.urandom(16), **fields}
    return frame(1, wire.Hello(**fields).SerializeToString())


class Seen(collections.Counter):
    """What came back: how often each kind, and of responses each code."""
    closed = False
    goaway = None
    bytes = 0

    def responses(self):
        return sum(count for what, count in self.items() if isinstance(what, tuple))

    def expect(self, count, code):
        """So many answers, all of them with this code; or refusals of an app that has no time to spare."""
        wanted = {(RESPONSE, code), (RESPONSE, errc.RESOURCE_EXHAUSTED)}
        assert self.responses() == count and self.keys() <= wanted, f'{self}, expected {count} of {errc.Errc.Name(code)}'


def take_frames(buffer, seen, codes={b'': errc.OK}):  # pylint: disable=dangerous-default-value
    """Counts the whole frames at the front of the buffer and removes them."""
    at = 0
    while len(buffer) - at >= 24:
        length, kind, _, metadata_length, _, _, _ = HEADER.unpack_from(buffer, at)
        end = at + 4 + length
        if end > len(buffer):
            break
        if kind == RESPONSE:
            metadata = bytes(buffer[at + 24:at + 24 + metadata_length])
            if metadata not in codes:
                codes[metadata] = wire.Metadata.FromString(metadata).status.code
            seen[RESPONSE, codes[metadata]] += 1
        else:
            seen[kind] += 1
        if kind == GOAWAY:
            seen.goaway = Goaway(bytes(buffer[at + 24:end]))
        at = end
    del buffer[:at]


def flood(connection, data, until):
    """Sends everything and reads what comes, until `until(seen)` or the app has closed."""
    seen, buffer, view = Seen(), bytearray(), memoryview(data)
    connection.setblocking(False)
    limit = time.monotonic() + PATIENCE
    while not seen.closed and (view or not until(seen)):
        readable, writable, _ = select.select([connection], [connection] if view else [], [], 1)
        try:
            if readable:
                part = connection.recv(1 << 18)
                seen.closed = not part
                seen.bytes += len(part)
                buffer += part
                take_frames(buffer, seen)
            if writable:
                view = view[connection.send(view[:1 << 18]):]
        except BlockingIOError:
            pass
        except ConnectionError:
            seen.closed = True
        assert time.monotonic() < limit, f'after {PATIENCE} s: {len(view)} bytes left to send, {dict(seen)}'
    return seen


def refused(connection, data=b''):
    """Sends the data and reads until the app closes; its goaway, or None when that was lost."""
    with connection:
        seen = flood(connection, data, lambda _: False)
        assert seen.responses() == 0, f'the app answered: {dict(seen)}'
        return seen.goaway


def expect_refused(connection, data, code, text=''):
    """The app closes. Its goaway may be lost on the way, but is never another one."""
    goaway = refused(connection, data)
    if goaway:
        assert goaway.code == code and text in goaway.text, f'{goaway}, expected {errc.Errc.Name(code)} {text}'
    return goaway is not None


def reset(connection):
    """Ends a connection without goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.close()


def run_cases(group, case):
    """Those whose names contain one of the program's words, or all. The exit code."""
    return case.run(f'attack: {group}', sys.argv[2:])
