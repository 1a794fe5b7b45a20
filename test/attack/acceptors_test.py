#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
"""Instances that lie: an app dials them, because its list says so, and its calls must go to the true one beside them."""
import contextlib
import hashlib
import hmac
import os
import signal
import socket
import struct
import sys
import threading
import time

from support import (ECHO, MIB, RELAY, TOKEN, App, Closed, attack, call_again, echo, errc, frame, run_cases,
                     under_attack, wire)
from cases import Cases, eventually
from wire_client import GOAWAY, HEADER, HELLO, NOTIFY, PING, PONG, REQUEST, RESPONSE, Frame, method_hash

case = Cases()
TRUE = 'dev.w.target.1'
ANSWER = attack.EchoRsp(answered_by=TRUE, text='steady').SerializeToString()


# ---- liars

class Visit:
    """A connection of the app to a liar, seen from the liar."""

    def __init__(self, connection, app_id):
        self.connection, self.app_id = connection, app_id

    def read(self):
        header = HEADER.unpack(self.read_bytes(HEADER.size))
        return Frame(header, self.read_bytes(header[0] - 20))

    def read_bytes(self, count):
        data = b''
        while len(data) < count:
            part = self.connection.recv(count - len(data))
            if not part:
                raise Closed('the app closed')
            data += part
        return data

    def wait(self):
        """Until the app closes."""
        with contextlib.suppress(OSError):
            while self.connection.recv(1 << 16):
                pass

    def say(self, *frames):
        self.connection.sendall(b''.join(frames))

    # ---- the handshake, as an honest acceptor does it unless told otherwise

    def answer_hello(self, **fields):
        self.dialer = wire.Hello.FromString(self.read().body)
        self.nonce = os.urandom(16)
        self.say(frame(HELLO, wire.Hello(**{'protocol': 2, 'nonce': self.nonce, **fields}).SerializeToString()))
        self.proven = wire.Hello.FromString(self.read().body)

    def proof(self, token=TOKEN, app_id=None):
        ids = (self.dialer.app_id, self.dialer.dialled, app_id or self.app_id)
        told = b''.join(struct.pack('<H', len(one)) + one for one in ids)
        return hmac.new(token, b'A' + self.dialer.nonce + self.nonce + told, hashlib.sha256).digest()

    def hello_4(self, **fields):
        methods = [wire.Method(hash=method_hash(ECHO), name=ECHO.encode())]
        fields = {'app_id': self.app_id, 'proof': self.proof(), 'generation': 1, 'run_id': 7, 'methods': methods,
                  **fields}
        return frame(HELLO, wire.Hello(**fields).SerializeToString())

    def welcome(self):
        self.answer_hello()
        self.say(self.hello_4())

    def requests(self):
        """Those that come, with pings answered."""
        while True:
            got = self.read()
            if got.kind == REQUEST:
                yield got
            elif got.kind == PING:
                self.say(frame(PONG, deadline=got.deadline, call_id=got.call_id))

    def serve(self, before=b'', behind=b''):
        """Answers as the true instance does, with something more."""
        for request in self.requests():
            self.say(before, frame(RESPONSE, ANSWER, call_id=request.call_id), behind)

    def serve_while_flooding(self, data):
        """The same, and sends the data as often as it can."""
        buffer, answers = b'', b''
        while True:
            with contextlib.suppress(BlockingIOError):
                part = self.connection.recv(1 << 16, socket.MSG_DONTWAIT)
                if not part:
                    return
                buffer += part
            while len(buffer) >= HEADER.size and len(buffer) >= 4 + HEADER.unpack_from(buffer)[0]:
                length, kind, _, _, _, _, call_id = HEADER.unpack_from(buffer)
                buffer = buffer[4 + length:]
                if kind == REQUEST:
                    answers += frame(RESPONSE, ANSWER, call_id=call_id)
            self.say(answers, data)
            answers = b''


class Liar:
    """Listens under the id of an instance; `behave(visit)` is what it does with each connection, and then it closes."""

    def __init__(self, number, behave):
        self.app_id, self.behave, self.visits = f'dev.w.target.{number}'.encode(), behave, 0
        self.open = set()
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=1000)
        self.place = f'{self.app_id.decode()}@127.0.0.1:{self.listener.getsockname()[1]}'
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.visits += 1
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError, Closed):
            self.open.add(connection)
            self.behave(Visit(connection, self.app_id))
        self.open.discard(connection)

    def close(self):
        for end in [self.listener, *self.open]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def relay(client):
    """A call that the app passes on; raises when the true instance has not answered it."""
    answer = call_again(client, RELAY, attack.EchoReq(text='steady').SerializeToString())
    assert answer.code == errc.OK, f'{errc.Errc.Name(answer.code)}: {answer.text}'
    rsp = attack.EchoRsp.FromString(answer.body)
    assert (rsp.answered_by, rsp.text) == (TRUE, 'steady'), rsp


def beside_liars(folder, behaviours, seconds=0.5, call=relay, **options):
    """An app that calls the true instance and then learns that there are liars, too: one for each behaviour.

    call: what the well-behaved client does; with `echo` the app answers it alone, and another client makes it call them.
    """
    true = App(folder, app_id=TRUE)
    liars = []
    front = None
    try:
        peers = [f'{TRUE}@127.0.0.1:{true.port}']
        more = '[router.static]\npeers = {}\n'
        # As many attempts as there may be instances, so that no call gives up before it comes to the true one.
        front = App(folder, app_id='dev.front.target.1', more=more.format(peers), rpc='max_attempts = 10')
        with front.peer() as client:
            relay(client)  # connects it with the true instance
        with under_attack(folder, app=front, call=call, **options), front.peer() as other:
            liars = [Liar(number, behave) for number, behave in enumerate(behaviours, 2)]
            config = front.config.read_text()
            front.config.write_text(config.replace(str(peers), str(peers + [liar.place for liar in liars])))
            front.process.send_signal(signal.SIGHUP)

            def all_visited():
                front.lives()
                if call is not relay:
                    other.start(RELAY, b'', timeout_ms=100)
                return all(liar.visits for liar in liars)
            eventually('the app dials each liar', all_visited)
            until = time.monotonic() + seconds
            eventually('the attack has lasted', lambda: all_visited() and time.monotonic() > until)
            for liar in liars:
                liar.close()
        true.ends_in_peace()
        return [liar.visits for liar in liars]
    finally:
        for app in filter(None, (true, front)):
            app.kill()


# ---- cases

TOO_LONG = 0.5  # seconds after which docs/reference/routing.md leaves out an instance that cannot be reached


def deaf(visit):
    visit.wait()


def deaf_after_hello_2(visit):
    visit.answer_hello()
    visit.wait()


@case
def instances_that_never_finish_the_handshake(folder):
    def dripping(visit):
        visit.answer_hello()
        for byte in visit.hello_4():
            visit.say(bytes([byte]))
            time.sleep(0.05)
    beside_liars(folder, [deaf, deaf_after_hello_2, dripping], stall=3 * TOO_LONG)


@case
def instances_that_close_at_every_step(folder):
    def at_once(_):
        pass

    def after_hello_1(visit):
        visit.read()

    def after_hello_3(visit):
        visit.answer_hello()

    def after_hello_4(visit):
        visit.welcome()

    def torn(visit):
        visit.answer_hello()
        visit.say(visit.hello_4()[:-1])
    # A close that comes together with bytes is noticed a quarter of a second later.
    visits = beside_liars(folder, [at_once, after_hello_1, after_hello_3, after_hello_4, torn], stall=0.25)
    assert max(visits) < 100, f'the app dialled {visits} times'


@case
def instances_that_send_rubbish(folder):
    def rubbish(*data):
        def behave(visit):
            visit.read()
            for part in data:
                visit.say(part)
            visit.wait()
        return behave

    def rubbish_behind_hello_4(visit):
        visit.welcome()
        visit.say(bytes(100))
        visit.wait()
    visits = beside_liars(folder, [
        rubbish(b'HTTP/1.1 400 Bad Request\r\n\r\n'), rubbish(b'\x15\x03\x01\x00\x02\x02\x16' * 4), rubbish(bytes(MIB)),
        rubbish(frame(HELLO, length=2**32 - 1)), rubbish(frame(HELLO, b'\xff')),
        rubbish(frame(RESPONSE, call_id=1) * 1000),
        rubbish(frame(HELLO, wire.Hello(protocol=2, nonce=bytes(5)).SerializeToString())), rubbish_behind_hello_4])
    assert max(visits) < 100, f'the app dialled {visits} times'


@case
def instances_that_are_not_who_they_say(folder):
    def proving(proof=None, **fields):
        def behave(visit):
            visit.answer_hello()
            visit.say(visit.hello_4(**({'proof': proof(visit)} if proof else {}), **fields))
            for request in visit.requests():
                visit.say(frame(RESPONSE, attack.EchoRsp(answered_by='liar', text='steady').SerializeToString(),
                                call_id=request.call_id))
        return behave

    def other_id(visit):
        visit.app_id = b'dev.w.target.99'
        proving()(visit)

    def other_version(visit):
        visit.answer_hello(protocol=3)

    def own_nonce_back(visit):
        hello = wire.Hello.FromString(visit.read().body)
        visit.say(frame(HELLO, wire.Hello(protocol=2, nonce=hello.nonce).SerializeToString()))
        proven = wire.Hello.FromString(visit.read().body)
        methods = [wire.Method(hash=method_hash(ECHO), name=ECHO.encode())]
        visit.say(frame(HELLO, wire.Hello(app_id=visit.app_id, proof=proven.proof, methods=methods).SerializeToString()))
        proving()(visit)
    visits = beside_liars(folder, [
        proving(lambda visit: visit.proof(b'another token')), proving(lambda _: b''), proving(lambda _: bytes(32)),
        proving(lambda visit: visit.proven.proof), proving(lambda visit: visit.proof()[:31]),
        proving(app_id=TRUE.encode()), other_id, other_version, own_nonce_back])
    assert max(visits) < 100, f'the app dialled {visits} times'


@case
def instances_with_enormous_hellos(folder):
    def listing(count, name=b'/x.X/%d'):
        methods = [wire.Method(hash=i, name=name % i) for i in range(count)]
        behind = wire.Hello(methods=methods).SerializeToString()  # messages that stand one after the other are merged

        def behave(visit):
            visit.answer_hello()
            body = visit.hello_4()[HEADER.size:]
            visit.say(frame(HELLO, body + behind))
            visit.serve()
        return behave

    def limits(**fields):
        def behave(visit):
            visit.answer_hello()
            visit.say(visit.hello_4(limits=wire.Limits(**fields)))
            visit.wait()
        return behave
    beside_liars(folder, [listing(100000), listing(10000), listing(0), listing(1, b'x' * 262000 + b'%d'),
                          limits(max_frame=1),
                          limits(max_frame=2**32 - 1), limits(max_metadata=1), limits(max_metadata=70000)])


@case
def instances_that_refuse_and_leave(folder):
    def refusing(**fields):
        def behave(visit):
            visit.read()
            visit.say(frame(GOAWAY, wire.Goaway(**fields).SerializeToString()) * 100)
        return behave

    def leaving(visit):
        visit.welcome()
        visit.say(frame(GOAWAY, wire.Goaway(drain=True).SerializeToString()) * 1000)
        visit.serve()
    status = wire.Status(code=errc.UNAVAILABLE, text=b'\r\n\x1b[2J' * 200)
    visits = beside_liars(folder, [refusing(status=status), refusing(drain=True),
                                   refusing(status=wire.Status(code=12345)),
                                   leaving])
    assert max(visits) < 100, f'the app dialled {visits} times'


@case
def an_instance_that_dies_of_each_request(folder):
    def behave(visit):
        visit.welcome()
        next(visit.requests())
    beside_liars(folder, [behave] * 3)


@case
def an_instance_that_answers_calls_nobody_made(folder):
    strange = b''.join(frame(RESPONSE, b'\xff' * 50, call_id=2**40 + i) for i in range(20))

    def behave(visit):
        visit.welcome()
        visit.say(strange * 1000)
        visit.serve(before=strange, behind=strange)
    beside_liars(folder, [behave])


@case
def an_instance_that_answers_each_call_three_times(folder):
    def behave(visit):
        visit.welcome()
        for request in visit.requests():
            visit.say(frame(RESPONSE, ANSWER, call_id=request.call_id), frame(RESPONSE, b'\xff',
                                                                              call_id=request.call_id) * 2)
    beside_liars(folder, [behave])


@case
def an_instance_that_sends_what_an_acceptor_may_not(folder):
    def sending(*frames):
        def behave(visit):
            visit.welcome()
            visit.say(*frames)
            visit.wait()
        return behave
    visits = beside_liars(folder, [sending(frame(kind, bytes(30), method=method_hash(ECHO), deadline=2**20))
                                   for kind in (0, HELLO, REQUEST, NOTIFY, 5, 9, 200)])
    assert max(visits) < 100, f'the app dialled {visits} times'


@case
def an_instance_whose_answers_are_no_answers(folder):
    def answering(body=b'', **fields):
        def behave(visit):
            visit.welcome()
            for request in visit.requests():
                visit.say(frame(RESPONSE, body, call_id=request.call_id, **fields))
        return behave
    refusal = wire.Metadata(status=wire.Status(code=errc.UNAVAILABLE)).SerializeToString()
    beside_liars(folder, [answering(metadata=refusal, flags=1)])
    # Answers that cannot be read are errors: five in a row, and some on trial, before it is left out for long.
    for behave in (answering(b'\xff'), answering(metadata=b'\xff')):
        beside_liars(folder, [behave], failures=20)


@case
def an_instance_that_floods_the_app(folder):
    def flooding(data):
        def behave(visit):
            visit.welcome()
            visit.serve_while_flooding(data)
        return behave
    for data in (frame(PING, call_id=1), frame(PONG, call_id=1), frame(RESPONSE, bytes(100), call_id=2**50)):
        beside_liars(folder, [flooding(data * 500)], call=echo, seconds=0.4)


if __name__ == '__main__':
    sys.exit(run_cases('acceptors', case))
