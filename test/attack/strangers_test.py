#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
"""Who does not know the token: connects, and sends what it likes."""
import contextlib
import select
import socket
import sys
import time

from support import (MIB, TOKEN, errc, expect_refused, frame, hello_1, need_descriptors, refused, reset, rounds,
                     run_cases, under_attack, wire)
from cases import PATIENCE, Cases
from wire_client import GOAWAY, HELLO

case = Cases()


def all_closed(connections):
    """Waits until the app has closed them all; what it sent to each."""
    said = {connection: b'' for connection in connections}
    poll = select.epoll()
    by_number = {connection.fileno(): connection for connection in connections}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    until = time.monotonic() + PATIENCE
    while by_number:
        assert time.monotonic() < until, f'{len(by_number)} connections are still open'
        for number, _ in poll.poll(1):
            part = b''
            with contextlib.suppress(ConnectionError):
                part = by_number[number].recv(1 << 16)
            said[by_number[number]] += part
            if not part:
                poll.unregister(number)
                by_number.pop(number).close()
    poll.close()
    return list(said.values())


@case
def two_thousand_open_connections_that_say_nothing(folder):
    need_descriptors(5000)
    with under_attack(folder) as app:
        began = time.monotonic()
        said = all_closed([app.dial() for _ in range(2000)])
        assert time.monotonic() - began < 2 + 3, 'a handshake may last 2 s'
        assert all(b'target' not in words for words in said)


@case
def five_thousand_connections_that_leave_at_once(folder):
    with under_attack(folder) as app:
        for i in rounds(5000):
            (reset if i % 2 else socket.socket.close)(app.dial())


@case
def hellos_that_never_end(folder):
    starts = [b'', b'\x20', frame(HELLO, length=60), frame(HELLO, length=4096), hello_1()[:-1], hello_1(),
              frame(HELLO, bytes(4000), length=4092)]
    with under_attack(folder) as app:
        connections = [app.dial() for _ in range(40) for _ in starts]
        for i, connection in enumerate(connections):
            connection.sendall(starts[i % len(starts)])
        dripping = app.dial()
        began = time.monotonic()
        with dripping, contextlib.suppress(ConnectionError):
            for byte in frame(HELLO, bytes(4000)):  # a byte now and then keeps nothing open
                dripping.sendall(bytes([byte]))
                assert time.monotonic() - began < PATIENCE
                if select.select([dripping], [], [], 0.01)[0] and not dripping.recv(4096):
                    break
        assert time.monotonic() - began < 2 + 3, 'a handshake may last 2 s'
        all_closed(connections)


@case
def frames_with_lengths_that_lie(folder):
    with under_attack(folder) as app:
        for _ in rounds(100):
            for length in (0, 1, 19, 4097, 2**31 - 1, 2**31, 2**32 - 1):
                assert expect_refused(app.dial(), frame(HELLO, length=length), errc.INVALID_ARGUMENT, 'length')


@case
def hellos_of_more_than_4_kib(folder):
    with under_attack(folder) as app:
        for _ in rounds(100):
            padding = wire.Hello(methods=[wire.Method(name=b'x' * 2500)])
            with app.client() as client:
                client.say_hello(methods=padding.methods)
                expect_refused(client.socket, frame(HELLO, padding.SerializeToString()), errc.INVALID_ARGUMENT, '4096')
            expect_refused(app.dial(), frame(HELLO, bytes(MIB)), errc.INVALID_ARGUMENT, '4096')


@case
def frames_of_every_kind_before_the_proof(folder):
    with under_attack(folder) as app:
        for kind in [*range(0, 20), 127, 128, 255]:
            if kind not in (HELLO, GOAWAY):
                assert expect_refused(app.dial(), frame(kind, bytes(100)), errc.INVALID_ARGUMENT)
                with app.client() as client:
                    client.say_hello()
                    assert expect_refused(client.socket, frame(kind, bytes(100)), errc.INVALID_ARGUMENT)
        for again in rounds(100):
            one = hello_1()
            # The second hello stands where the proof must stand: it is none.
            goaway = refused(app.dial(), one * (2 + again % 5))
            assert goaway.code in (errc.INVALID_ARGUMENT, errc.UNAUTHENTICATED), goaway


@case
def a_storm_of_wrong_proofs(folder):
    good_tokens = (b'', b'x', bytes(32), TOKEN[:-1], TOKEN + b'x', TOKEN.upper())
    with under_attack(folder) as app:
        for i in rounds(1000):
            with app.client(token=good_tokens[i % len(good_tokens)]) as client:
                client.say_hello()
                client.prove()
                client.start(1, b'')
                assert expect_refused(client.socket, b'', errc.UNAUTHENTICATED)
        for size in (1, 31, 33, 64, 3000):
            with app.client() as client:
                client.say_hello()
                proof = client.proof(b'D', b'')
                client.prove((proof + bytes(size))[:size])
                assert expect_refused(client.socket, b'', errc.UNAUTHENTICATED)


@case
def hellos_that_are_no_hello(folder):
    bad = [b'\xff', b'\x0a', bytes(100), b'\x2a\xff\xff\xff\xff\x0f', b'\x3b' * 1000, b'\x42\x80' * 500,
           wire.Hello(protocol=2, nonce=bytes(15)).SerializeToString(),
           wire.Hello(protocol=2, nonce=bytes(17)).SerializeToString(),
           wire.Hello(protocol=2).SerializeToString()]
    for app_id in (b'a' * 300, b'two words.w.f.1', b'dev.w.f', b'....', b'dev.w.f.1\n',
                   b'dev.w.f.1\x1b[2J', b'\xff.w.f.1',
                   b'a\0.b.c.d'):
        bad += [wire.Hello(protocol=2, nonce=bytes(16), app_id=app_id).SerializeToString(),
                wire.Hello(protocol=2, nonce=bytes(16), dialled=app_id).SerializeToString()]
    with under_attack(folder) as app:
        for _ in rounds(30):
            for body in bad:
                assert expect_refused(app.dial(), frame(HELLO, body), errc.INVALID_ARGUMENT), body
        for version in (0, 1, 3, 2**32 - 1):
            assert expect_refused(app.dial(), hello_1(protocol=version), errc.FAILED_PRECONDITION, str(version))


@case
def goaways_before_the_hello_that_want_to_write_the_log(folder):
    texts = [b'\r\n2030-01-01T00:00:00.000000Z FATAL forged\n', b'\x1b[2J\x1b]0;title\x07', b'\0' * 1000,
             b'\xff\xfe' * 500,
             '\u202e\u2028'.encode() * 150, b'%s%n{}{0}' * 100]
    with under_attack(folder) as app:
        for _ in rounds(150):
            for text in texts:
                body = wire.Goaway(status=wire.Status(code=errc.UNAVAILABLE, text=text)).SerializeToString()
                refused(app.dial(), frame(GOAWAY, body))
            body = wire.Goaway(status=wire.Status(code=4000000, text=b'x' * (64 << 10))).SerializeToString()
            refused(app.dial(), frame(GOAWAY, body))
        refused(app.dial(), frame(GOAWAY, b'\xff\xff'))
        assert b'forged' not in app.logged() or b'\n2030' not in app.logged()


@case
def proofs_that_were_made_for_another_connection(folder):
    with under_attack(folder) as app:
        with app.client() as friend:
            friend.say_hello()
            proof = friend.proof(b'D', b'')
            friend.prove()
            friend.meet()
            answer = friend.server.proof
            for _ in rounds(100):
                for stolen in (proof, answer):
                    with app.client(token=b'') as thief:
                        thief.say_hello(nonce=friend.nonce)
                        assert thief.server_nonce != friend.server_nonce
                        thief.prove(stolen)
                        thief.start(1, b'')
                        assert expect_refused(thief.socket, b'', errc.UNAUTHENTICATED, 'token')
                # The acceptor's own nonce, and what it would prove with it.
                with app.client(token=b'') as thief:
                    thief.say_hello()
                    thief.send(HELLO, wire.Hello(nonce=thief.server_nonce, proof=answer).SerializeToString())
                    assert expect_refused(thief.socket, b'', errc.UNAUTHENTICATED, 'token')
            # One that was good for another app.
            with app.client(dialled=b'dev.w.other.1') as guest:
                guest.say_hello()
                guest.prove()
                assert expect_refused(guest.socket, b'', errc.UNAVAILABLE, 'dialled')


if __name__ == '__main__':
    sys.exit(run_cases('strangers', case))
