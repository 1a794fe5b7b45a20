#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
"""Who reaches the admin port: holds connections, sends what is not HTTP, forges hosts, guesses tokens."""
import contextlib
import re
import select
import socket
import sys
import time

from support import MIB, need_descriptors, reset, rounds, run_cases, under_attack
from cases import PATIENCE, Cases, eventually

case = Cases()
ADMIN_TOKEN = 'operators-only-0123456789'


def dial(app):
    return socket.create_connection(('127.0.0.1', app.admin), PATIENCE)


def get(path='/health/live', *fields, version='1.1', method='GET', body=b''):
    return '\r\n'.join([f'{method} {path} HTTP/{version}', 'Host: localhost', *fields, '', '']).encode() + body


def exchange(connection, data=b'', answers=None):
    """Sends the data, and reads until the app closes or has answered so often: each status, and all that was said."""
    said, view = b'', memoryview(data)
    connection.setblocking(False)
    until = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < until, f'{said[:200]}, {len(view)} bytes not sent'
        statuses = [int(code) for code in re.findall(rb'HTTP/1\.[01] (\d{3}) ', said)]
        if answers is not None and len(statuses) >= answers and not view:
            return statuses, said
        readable, writable, _ = select.select([connection], [connection] if view else [], [], 1)
        try:
            if readable:
                part = connection.recv(1 << 16)
                if not part:
                    return statuses, said
                said += part
            if writable:
                view = view[connection.send(view):]
        except BlockingIOError:
            pass
        except ConnectionError:
            return statuses, said


def ask(app, data, answers=None):
    with dial(app) as connection:
        return exchange(connection, data, answers)


def is_healthy(app):
    began = time.monotonic()
    statuses, said = ask(app, get('/health/ready'), 1)
    assert statuses == [200], said
    assert time.monotonic() - began < 2, 'the health page took too long'


@case
def two_hundred_idle_connections(folder):
    with under_attack(folder) as app:
        idle = []
        for i in range(200):
            connection = dial(app)
            with contextlib.suppress(ConnectionError):
                connection.sendall([get(), b'', b'GET', get('/metrics')][i % 4])
            idle.append(connection)
        for _ in rounds(10):
            is_healthy(app)
        assert app.metric('m3_net_http_answers_total') > 0
        for connection in idle:
            connection.close()


@case
def headers_that_never_end(folder):
    with under_attack(folder) as app:
        slow = [dial(app) for _ in range(150)]
        drops = iter(b'GET /metrics HTTP/1.1\r\nHost: localhost\r\n' + b'X-Slow: y\r\n' * 1000)
        for _ in rounds(40):
            drop = bytes([next(drops)])
            for connection in slow:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(drop)
            is_healthy(app)
        for connection in slow:
            reset(connection)


@case
def headers_of_a_mebibyte(folder):
    huge = [b'GET /' + b'x' * MIB, get('/', 'X: ' + 'y' * MIB), get('/', *['X: y'] * (MIB // 6)), b'\r\n' * (MIB // 2),
            get('/', 'X: y\r\n' + ' z\r\n' * 5000), b'G' * MIB, bytes(MIB)]
    with under_attack(folder) as app:
        for _ in rounds(3):
            for data in huge:
                statuses, said = ask(app, data)
                assert set(statuses) <= {400, 404, 414, 431, 503}, said[:200]  # 503: those before are still being closed
            is_healthy(app)


@case
def bodies_that_lie(folder):
    chunked = 'Transfer-Encoding: chunked'
    bad = [get('/', chunked, body=body) for body in (
        b'zz\r\n', b'-1\r\nx\r\n', b'ffffffffffffffffff\r\n', b'5\r\nabc\r\n0\r\n\r\n', b'1\r\nxx\r\n',
        b'0x5\r\nhello\r\n0\r\n\r\n',
        b'1;' + b'e' * 100000 + b'\r\nx\r\n', b'1\r\nx\r\n' * 100000 + b'zz\r\n\r\n')]
    bad += [get('/', f'Content-Length: {value}', body=b'x' * 10) for value in (
        '-1', '99999999999999999999999', '1e3', '0x10', '5, 6', '+5', '')]
    bad += [get('/', 'Content-Length: 5', 'Content-Length: 6', body=b'x' * 6),
            get('/', 'Content-Length: 5', chunked, body=b'0\r\n\r\n'), get('/', f'Content-Length: {2 * MIB}',
                                                                           body=bytes(2 * MIB)),
            get('/', 'Transfer-Encoding: gzip', body=b'xxxx'), get('/', 'Transfer-Encoding: chunked, identity',
                                                                   body=b'xxxx')]
    with under_attack(folder) as app:
        for _ in rounds(3):
            for data in bad:
                # What stands behind a request that is refused is never taken for a request.
                with dial(app) as connection:
                    connection.sendall(data[:100])
                    statuses, said = exchange(connection, data[100:] + get('/health/live', 'Connection: close'))
                    assert 200 not in statuses, (data[:100], said[:300])
            is_healthy(app)


@case
def a_thousand_requests_at_once(folder):
    with under_attack(folder) as app:
        for _ in rounds(2):
            statuses, _ = ask(app, get() * 1500)
            assert statuses == [200] * 1000, f'{len(statuses)} answers: {set(statuses)}'
            statuses, _ = ask(app, get('/metrics') * 30 + get('/health/live', 'Connection: close'))
            assert statuses == [200] * 31, statuses


@case
def answers_that_nobody_reads(folder):
    with under_attack(folder, mebibytes=64) as app:
        deaf = [dial(app) for _ in range(30)]
        for _ in rounds():
            for connection in deaf:
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    connection.send(get('/metrics') * 500)
            is_healthy(app)
        for connection in deaf:
            reset(connection)


@case
def what_is_not_http_1(folder):
    with under_attack(folder) as app:
        odd = [b'GET /\r\n\r\n', b'GET /\n\n', b'\r\n\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00',
               b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
               get(version='9.9'), get(version='1'), get(version='0.9'), get('*'), get('http://elsewhere/'),
               get('no-slash'),
               get('/%'), get('/%00'), get('/../../etc/passwd'), get('/\xff'), get('/a b'), get(method='G\0T'),
               get(method='CONNECT'),
               get('/', 'No colon'), get('/', ' folded: x'), get('/', 'Bad name: x'), get('/', 'X: a\0b'),
               get('/', ': x'),
               b'GET / HTTP/1.1\r\n\r\n', b'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', get(method='TRACE'),
               get(method='x' * 9000)]
        for _ in rounds(3):
            for data in odd:
                with dial(app) as connection:
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                    statuses, said = exchange(connection)
                    assert len(statuses) <= 1 and b'root:' not in said, said
                    assert statuses in ([], [200]) or 400 <= statuses[0] <= 505, (data, said)
            is_healthy(app)


@case
def hosts_and_origins_of_others(folder):
    hosts = ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'evil.example:80',
             '127.0.0.1@evil.example',
             '[::1].evil.example']
    origins = ['http://evil.example', 'null', 'https://localhost.evil.example', 'file://', 'http://127.0.0.1:1',
               'http://localhost:1']
    with under_attack(folder) as app:
        for _ in rounds(10):
            for path in ('/', '/metrics'):
                for host in hosts:
                    statuses, said = ask(app,
                                         f'GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
                    assert len(statuses) == 1 and 400 <= statuses[0] < 500 and b'm3_' not in said, (host, said[:300])
                for origin in origins:
                    statuses, said = ask(app, get(path, f'Origin: {origin}', 'Connection: close'))
                    assert len(statuses) == 1 and 400 <= statuses[0] < 500 and b'm3_' not in said, (origin, said[:300])


@case
def a_storm_of_wrong_tokens(folder):
    tokens = ['', ADMIN_TOKEN[:-1], ADMIN_TOKEN + 'x', ADMIN_TOKEN.upper(), ADMIN_TOKEN[:-1] + '\t', 'x' * 5000,
              '"' + ADMIN_TOKEN + '"']
    fields = [f'Authorization: Bearer {token}' for token in tokens]
    fields += [f'Authorization: Basic {ADMIN_TOKEN}', f'X: {ADMIN_TOKEN}', f'Authorization: {ADMIN_TOKEN}',
               'Authorization: Bearer',
               f'Cookie: token={ADMIN_TOKEN}']
    with under_attack(folder, admin_token=ADMIN_TOKEN) as app:
        for _ in rounds(20):
            for path in ('/', '/metrics', '//metrics', '/health/../metrics', '/metrics?token=' + ADMIN_TOKEN,
                         '/no/such/page'):
                for field in fields:
                    statuses, said = ask(app, get(path, field, 'Connection: close'))
                    assert len(statuses) == 1 and statuses[0] in (400, 401, 403, 404), (path, field, said[:200])
                    assert b'm3_' not in said and b'target' not in said, (path, field, said[:300])
            is_healthy(app)
        statuses, _ = ask(app, get('/metrics', f'Authorization: Bearer {ADMIN_TOKEN}', 'Connection: close'))
        assert statuses == [200]


@case
def three_thousand_connections_that_leave_at_once(folder):
    need_descriptors(2000)
    with under_attack(folder) as app:
        for i in rounds(3000):
            connection = dial(app)
            if i % 3:
                connection.sendall([get('/metrics'), b'GET'][i % 2])
            (reset if i % 2 else socket.socket.close)(connection)
        eventually('the health page answers', lambda: is_healthy(app) or True)


if __name__ == '__main__':
    sys.exit(run_cases('admin', case))
