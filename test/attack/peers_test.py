#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
"""Who knows the token and behaves badly: broken requests, floods, answers that nobody reads."""
import multiprocessing
import select
import socket
import sys
import time

from support import (ECHO, HEARD, MIB, SHOUT, Closed, Goaway, attack, call_again, errc, expect_refused, flood, frame,
                     reset, rounds, run_cases, under_attack, wire)
from cases import Cases, eventually
from wire_client import CANCEL, HELLO, NOTIFY, PING, PONG, REQUEST, RESPONSE, method_hash

case = Cases()
MAX_CALLS = 'max_calls = 100'
MOST_BETWEEN = 3000  # notifies, which a turn or three of half a millisecond handle; one read may bring 5,000
SMALL_FRAMES = 'max_frame = "64KiB"\nmax_metadata = "1KiB"'


def echo_body(**fields):
    return attack.EchoReq(**fields).SerializeToString()


def in_time(client):
    return (client.clock() + 60000) % 2**32


def request(client, number, body=b'', method=ECHO, **fields):
    return frame(REQUEST, body, method=method_hash(method), call_id=number, **{'deadline': in_time(client), **fields})


def answered(count):
    return lambda seen: seen.responses() >= count


def ponged(count):
    return lambda seen: seen[PONG] >= count


def fence(number=1):
    """A ping behind what was sent: its pong says that all of it was read."""
    return frame(PING, call_id=number)


@case
def requests_with_every_field_broken(folder):
    entries = wire.Metadata.Entry
    broken = [b'\xff', b'\x2a\xff', b'\x80' * 100, b'\x4a\xff\xff\xff\xff\x0f',
              *(wire.Metadata(**fields).SerializeToString() for fields in (
                  {'entries': [entries(key=b'k')] * 129}, {'entries': [entries()]}, {'entries': [entries(key=b'K')]},
                  {'entries': [entries(key=b'a\n')]}, {'entries': [entries(key=b'k' * 257)]},
                  {'call_chain': [b'x'] * 33}))]
    odd = [wire.Metadata(**fields).SerializeToString() for fields in (
        {'traceparent': b'00-zz\n'}, {'traceparent': b'\0' * 9000},
        {'actor_id': b'\x1b[2J'},
        {'status': wire.Status(code=13, text=b'x' * 9000)}, {'entries': [entries(key=b'k', value=b'\xff' * 100)] * 128})]
    with under_attack(folder) as app, app.peer() as client:
        bodies = [b'\xff', b'\x0a\xff\xff\xff\xff\x7f', b'\x0b' * 1000, b'\x0a\x80']
        attacks = [([request(client, 1, metadata=one) for one in broken], errc.INVALID_ARGUMENT),
                   ([request(client, 2, metadata=one, flags=0xff) for one in odd], errc.OK),
                   ([request(client, 3, body) for body in bodies], errc.INVALID_ARGUMENT)]
        for _ in rounds():
            for requests, code in attacks:
                seen = flood(client.socket, b''.join(requests * 50), answered(50 * len(requests)))
                seen.expect(50 * len(requests), code)


@case
def deadlines_in_the_past_and_too_far_ahead(folder):
    with under_attack(folder) as app, app.peer() as client:
        late = [0, 1, client.clock() - 1000, client.clock() + 2**31 + 1000, client.clock() - 2**30]
        data = b''.join(request(client, i, deadline=late[i % len(late)] % 2**32) for i in range(5000))
        for _ in rounds():
            seen = flood(client.socket, data, answered(5000))
            seen.expect(5000, errc.DEADLINE_EXCEEDED)
        far = [client.clock() + 2**30 + 10000, client.clock() + 2**31 - 60000]
        data = b''.join(request(client, i, deadline=far[i % len(far)] % 2**32) for i in range(5000))
        assert flood(client.socket, data, answered(5000)).responses() == 5000
        # A clock that jumps about: pings from the past and the future.
        data = b''.join(frame(PING, deadline=(i * 2654435761) % 2**32) + request(client, i) for i in range(5000))
        assert flood(client.socket, data, answered(5000)).responses() == 5000


@case
def methods_that_there_are_not(folder):
    with under_attack(folder) as app, app.peer() as client:
        known = set(client.methods.values())
        numbers = [0, 2**32 - 1, *((i * 2654435761) % 2**32 for i in range(20000))]
        numbers = [number for number in numbers if number not in known]
        data = b''.join(frame(REQUEST, b'x' * 10, method=number, call_id=i, deadline=in_time(client))
                        for i, number in enumerate(numbers))
        for _ in rounds(5):
            seen = flood(client.socket, data, answered(len(numbers)))
            seen.expect(len(numbers), errc.UNIMPLEMENTED)


@case
def every_listed_method_called_with_rubbish(folder):
    bodies = [b'', b'\xff' * 100, b'\x0a\x04\xff\xfe\xfd\xfc', b'\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01',
              bytes(range(256))]
    with under_attack(folder) as app, app.peer() as client:
        assert len(client.methods) >= 4, client.methods
        for _ in rounds(20):
            for method in client.methods:
                for body in bodies:
                    client.call(method, body)
                    client.start(method, body, kind=NOTIFY)
        client.ping()


@case
def cancels_of_calls_that_there_are_not(folder):
    with under_attack(folder) as app, app.peer() as client:
        cancels = b''.join(frame(CANCEL, b'x' * (i % 3), call_id=i * 2**40 + i) for i in range(20000)) 
        for _ in rounds(5):
            flood(client.socket, cancels + fence(), ponged(1))
        assert client.call(ECHO, echo_body()).code == errc.OK


@case
def calls_that_are_cancelled_at_once(folder):
    with under_attack(folder, rpc=MAX_CALLS) as app, app.peer() as client:
        data = b''.join(request(client, i, echo_body(wait_ms=3600000)) + frame(CANCEL,
                                                                               call_id=i) * 2 for i in range(10000))
        for _ in rounds():
            flood(client.socket, data + fence(), ponged(1))
        eventually('there is room for a call', lambda: client.call(ECHO, echo_body()).code == errc.OK)
        # The same number again and again, while its answer may still come.
        data = request(client, 7, echo_body(wait_ms=1)) * 5000 + frame(CANCEL, call_id=7) * 100
        flood(client.socket, data + fence(), ponged(1))


@case
def connections_that_die_with_calls_under_way(folder):
    with under_attack(folder, mebibytes=64) as app:
        for i in rounds(200):
            client = app.peer()
            data = b''.join(request(client, k, echo_body(wait_ms=3600000, text='x' * 100)) for k in range(100))
            client.send_bytes(data + request(client, 100, bytes(1000))[:-1 - i % 1000])
            (reset if i % 2 else socket.socket.close)(client.socket)
        eventually('no handler is left', lambda: app.metric('m3_rpc_running_handlers') <= 2)


@case
def floods_of_pings_and_pongs(folder):
    with under_attack(folder) as app, app.peer() as client:
        for _ in rounds(3):
            seen = flood(client.socket, frame(PING, b'x', deadline=5, call_id=9) * 50000, ponged(50000))
            assert seen == {PONG: 50000}, seen
            flood(client.socket, frame(PONG, b'x', deadline=5, call_id=9) * 50000 + fence(), ponged(1))


@case
def pongs_that_nobody_reads(folder):
    with under_attack(folder) as app, app.peer() as client:
        stuffed(client, fence() * 10000)


def stuffed(client, data, most=64 * MIB):
    """Sends the data again and again and reads nothing, until the app takes no more, or closes; how much it took."""
    client.socket.setblocking(False)
    sent, last = 0, time.monotonic()
    view = memoryview(data)
    at = 0
    while time.monotonic() - last < 0.3:
        try:
            count = client.socket.send(view[at:])
        except BlockingIOError:
            time.sleep(0.005)
            continue
        except ConnectionError:
            break
        at = (at + count) % len(view)
        sent += count
        last = time.monotonic()
        assert sent < most, f'the app took {sent} bytes from a peer that reads no answers'
    return sent


@case
def large_answers_that_nobody_reads(folder):
    with under_attack(folder, mebibytes=128) as app:
        clients = [app.peer() for _ in range(4)]
        for client in clients:
            stuffed(client, b''.join(request(client, i, echo_body(answer_bytes=MIB)) for i in range(64)))
        for client in clients:
            client.close()


@case
def small_answers_that_nobody_reads(folder):
    with under_attack(folder, mebibytes=64) as app, app.peer() as client:
        stuffed(client, b''.join(request(client, i, echo_body(text='x' * 1000)) for i in range(64)))


@case
def an_answer_of_gigabytes(folder):
    with under_attack(folder, mebibytes=64, rpc='max_frame = "256KiB"') as app, app.peer() as client:
        for _ in rounds(50):
            answer = client.call(ECHO, echo_body(answer_bytes=MIB))
            assert answer.code == errc.RESOURCE_EXHAUSTED and not answer.not_executed, answer.text


@case
def more_calls_than_allowed(folder):
    with under_attack(folder, rpc=MAX_CALLS) as app, app.peer() as client:
        data = b''.join(request(client, i, echo_body(wait_ms=300)) for i in range(20000))
        seen = flood(client.socket, data, answered(20000))
        assert seen[RESPONSE, errc.RESOURCE_EXHAUSTED] >= 19000 and seen[RESPONSE, errc.OK] >= 100, seen
        assert seen.responses() == 20000, seen
    # wire.md: both keep to the lesser limit, and a peer may wish for one.
    with under_attack(folder) as app, app.peer(limits=wire.Limits(max_calls=1)) as client:
        data = b''.join(request(client, i, echo_body(wait_ms=100)) for i in range(1000))
        for _ in rounds():
            seen = flood(client.socket, data, answered(1000))
            assert seen[RESPONSE, errc.RESOURCE_EXHAUSTED] >= 900, seen


@case
def frames_at_the_limit_and_over_it(folder):
    with under_attack(folder, rpc=SMALL_FRAMES) as app:
        limit, head = 64 << 10, len(echo_body(text='x' * 60000)) - 60000
        for _ in rounds(50):
            with app.peer() as client:
                assert client.call(ECHO, echo_body(text='x' * (limit - 20 - head))).code == errc.RESOURCE_EXHAUSTED
                over = frame(REQUEST, bytes(limit - 19), method=method_hash(ECHO), deadline=in_time(client))
                expect_refused(client.socket, over, errc.INVALID_ARGUMENT, '65536')
            with app.peer() as client:
                over = frame(REQUEST, metadata=bytes(1025), deadline=in_time(client))
                expect_refused(client.socket, over, errc.INVALID_ARGUMENT, '1024')
            with app.peer() as client:
                expect_refused(client.socket, frame(REQUEST, length=2**32 - 1), errc.INVALID_ARGUMENT, 'length')


@case
def great_frames_that_never_end(folder):
    with under_attack(folder, mebibytes=64) as app:
        for _ in rounds():
            clients = [app.peer() for _ in range(200)]
            for client in clients:  # each says 4 MiB, and sends a little of it
                client.send_bytes(frame(REQUEST, bytes(100), method=method_hash(ECHO), length=4 * MIB,
                                        deadline=in_time(client)))
            for client in clients[:20]:
                client.send_bytes(bytes(MIB // 4))
            for client in clients:
                client.close()


@case
def floods_of_notifies(folder):
    shout = attack.ShoutReq(text='x' * 100).SerializeToString()
    with under_attack(folder) as app, app.peer() as client:
        def notify(body, method=SHOUT, **fields):
            return frame(NOTIFY, body, method=method_hash(method), **{'deadline': in_time(client), **fields})
        bad = [notify(b'\xff'), notify(shout, deadline=0), notify(shout, ECHO), notify(shout, '/no.Such/Method'),
               notify(shout, metadata=b'\xff'), request(client, 5, shout, SHOUT)]
        for _ in rounds():
            flood(client.socket, notify(shout) * 20000 + b''.join(bad) * 4000 + fence(), ponged(1))


class Flooder:
    """A process that sends requests and notifies over one connection as fast as they are taken, and reads what comes."""

    def __init__(self, app):
        self.process = multiprocessing.get_context('fork').Process(target=self.run, args=(app,), daemon=True)
        self.process.start()

    @staticmethod
    def run(app):
        with app.peer(app_id=b'dev.w.flooder.1') as client:
            shout = frame(NOTIFY, method=method_hash(SHOUT), deadline=in_time(client))
            data = memoryview(b''.join(request(client, i) + shout for i in range(20000)))
            client.socket.setblocking(False)
            at = 0
            while True:
                readable, writable, _ = select.select([client.socket], [client.socket], [])
                if readable and not client.socket.recv(1 << 20):
                    return
                if writable:
                    at = (at + client.socket.send(data[at:])) % len(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()


@case
def a_flood_of_requests_on_one_connection(folder):
    # How long others wait for their turn is measured in what the flood gets done meanwhile: a busy machine slows both.
    def shouts(client):
        answer = call_again(client, HEARD, b'')
        assert answer.code == errc.OK, answer.text
        return attack.HeardRsp.FromString(answer.body).shouts

    # All that is read counts: with its default an app with no time to spare drops what has waited.
    with under_attack(folder, rpc='overload_wait = "0s"') as app, app.peer() as client, Flooder(app):
        eventually('the flood arrives', lambda: shouts(client) > 20000)
        heard = [shouts(client) for _ in range(400)]
        between = sorted(after - before for before, after in zip(heard, heard[1:]))
        median = between[len(between) // 2]
        print(f'  {median} of its notifies, which are half of what it sends, in the time of a call; {between[-1]} at most')
        assert median > 10, f'that was no flood: {between}'
        assert median <= MOST_BETWEEN, between


@case
def text_that_is_not_utf_8(folder):
    with under_attack(folder) as app, app.peer() as client:
        data = b''.join(request(client, i, b'\x0a\x04\xff\xfe\x1b\x0a') for i in range(10000))
        for _ in rounds():
            seen = flood(client.socket, data, answered(10000))
            seen.expect(10000, errc.INVALID_ARGUMENT)


@case
def kinds_that_a_dialer_may_not_send(folder):
    with under_attack(folder) as app:
        for _ in rounds(50):
            for kind in (0, HELLO, RESPONSE, 9, 77, 255):
                with app.peer() as client:
                    assert expect_refused(client.socket, frame(kind, bytes(50)) * 3, errc.INVALID_ARGUMENT)


@case
def goaways_of_every_shape(folder):
    goaways = [b'', b'\xff', wire.Goaway(drain=True).SerializeToString(),
               wire.Goaway(status=wire.Status(code=99)).SerializeToString(),
               wire.Goaway(status=wire.Status(code=14, text=b'\n\x1b' * 50000)).SerializeToString()]
    with under_attack(folder) as app:
        for i in rounds(200):
            client = app.peer()
            client.send_bytes(frame(8, goaways[i % len(goaways)]) * 3)
            client.close()


def is_let_in(client):
    try:
        client.handshake()
        client.ping()  # a refusal may stand behind hello 4
        return True
    except (Closed, Goaway) as refused:
        assert isinstance(refused, Closed) or refused.code == errc.RESOURCE_EXHAUSTED, refused
        return False


@case
def more_peers_than_allowed(folder):
    with under_attack(folder, mebibytes=64, rpc='max_connections = 200') as app:
        for _ in rounds():
            clients = [app.client() for _ in range(600)]
            kept = [client for client in clients if is_let_in(client)]
            assert 100 < len(kept) < 200, len(kept)
            for client in clients:
                reset(client.socket)
            eventually('they are gone', lambda: app.metric('m3_rpc_server_connections') < 10)


if __name__ == '__main__':
    sys.exit(run_cases('peers', case))
