#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
"""A client in another language calls an app that serves /proto.SimpleSer/HelloWorld.

wire_test.py COMMAND...   starts COMMAND, where {port}, {token} and {config} stand for a free port, the token and the path
                          of a configuration with both, and runs the cases against 127.0.0.1:port.
$M3_SLOW_PEER is a program that serves /peer.Peer/Echo, whose answers can be made to wait: m3ctl_peer.cpp.
"""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

from wire_client import (HEADER, HELLO, NOTIFY, REQUEST, RESPONSE, Closed, Goaway, WireClient, errc, generate,
                         method_hash, wire)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from cases import Cases, free_port, new_folder  # noqa: E402

METHOD = '/proto.SimpleSer/HelloWorld'
TOKEN = b's3cret'
CONFIG = '''listen = "127.0.0.1:{port}"
drain_wait = "0s"
[rpc]
token = "{token}"
max_frame = "64KiB"
max_metadata = "1KiB"
max_calls = 100
'''
PROTO = '''syntax = "proto3";
message Req { string Req = 1; }
message Rsp { string Rsp = 1; }
message SlowReq { string text = 1; uint32 wait_ms = 3; }
'''
SLOW_METHOD = '/peer.Peer/Echo'
SLOW_CONFIG = '''listen = "127.0.0.1:{port}"
id = "dev.world1.peer.1"
cores = 1
drain_wait = "0s"
[rpc]
token = "{token}"
max_calls = 3
max_connections = 4
'''

with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder, 'hello_world.proto').write_text(PROTO)
    hello_world, = generate(folder, 'hello_world.proto')
case = Cases()


def body_of(name):
    return hello_world.Req(Req=name).SerializeToString()


def expect_goaway(client, code, text):
    """The server says why and closes."""
    try:
        while True:
            client.read()
    except Goaway as goaway:
        assert goaway.code == code, f'{goaway}, expected {errc.Errc.Name(code)}'
        assert text in goaway.text, f'{goaway}, expected: {text}'
        assert not goaway.drain
    try:
        client.read()
        assert False, 'the server went on after its goaway'
    except Closed:
        pass


def expect_error(answer, code, text, not_executed=True):
    assert answer.code == code, f'{errc.Errc.Name(answer.code)}: {answer.text}'
    assert text in answer.text, answer.text
    assert answer.not_executed == not_executed
    assert answer.body == b''


@case
def the_server_knows_the_token_and_lists_its_methods(server):
    with server.client().handshake() as client:
        assert client.methods[METHOD] == method_hash(METHOD), client.methods
        assert client.server.app_id.count(b'.') == 3, client.server.app_id


@case
def a_call_is_answered(server):
    with server.client().handshake() as client:
        answer = client.call(METHOD, body_of('Ann'))
        assert answer.code == errc.OK, answer.text
        assert hello_world.Rsp.FromString(answer.body).Rsp == 'HelloWorld , Ann', answer.body


@case
def many_calls_at_once_are_each_answered_once(server):
    with server.client().handshake() as client:
        calls = {client.start(METHOD, body_of(str(i))): str(i) for i in range(90)}
        for number, name in calls.items():
            assert hello_world.Rsp.FromString(client.answer(number).body).Rsp == 'HelloWorld , ' + name


@case
def who_has_proven_nothing_learns_nothing(server):
    with server.client() as client:
        client.say_hello()
        assert client.intro == wire.Hello(protocol=2, nonce=client.server_nonce), client.intro
        client.prove(bytes(32))
        try:
            client.read()
        except Goaway as goaway:
            assert goaway.code == errc.UNAUTHENTICATED, goaway
            assert goaway.text == 'dev.world1.python.1 proves a different token from the one required', goaway


@case
def a_server_that_is_not_the_one_dialled_says_so_to_who_has_the_token(server):
    with server.client(dialled=b'dev.world1.nobody.1') as client:
        client.say_hello()
        client.prove()
        expect_goaway(client, errc.UNAVAILABLE, 'dialled dev.world1.nobody.1, but')


@case
def frames_may_come_one_byte_at_a_time(server):
    with server.client().handshake() as client:
        whole, client.send_bytes = client.send_bytes, lambda data: [whole(data[i:i + 1]) for i in range(len(data))]
        assert client.call(METHOD, body_of('Cat')).code == errc.OK


@case
def a_ping_is_answered(server):
    with server.client().handshake() as client:
        assert client.ping() < 2


@case
def unknown_flags_fields_and_cancels_are_ignored(server):
    with server.client().handshake() as client:
        client.cancel(12345)
        client.send(REQUEST, body_of('Dan') + b'\xf8\x3f\x01', flags=0xf0, metadata=b'\xf8\x3f\x01',
                    method=client.methods[METHOD], deadline=client.clock() + 1000, call_id=7)
        assert client.answer(7).code == errc.OK


@case
def an_unknown_method_is_an_error_answer(server):
    with server.client().handshake() as client:
        expect_error(client.call(1, b''), errc.UNIMPLEMENTED, '1')
        assert client.call(METHOD, body_of('Eve')).code == errc.OK


@case
def a_body_that_is_no_request_is_an_error_answer(server):
    with server.client().handshake() as client:
        expect_error(client.call(METHOD, b'\xff\xff'), errc.INVALID_ARGUMENT, 'HelloWorld.Req')


@case
def malformed_metadata_is_an_error_answer(server):
    with server.client().handshake() as client:
        expect_error(client.call(METHOD, body_of('Fay'), metadata=b'\xff'), errc.INVALID_ARGUMENT, 'metadata')
        too_many = wire.Metadata(entries=[wire.Metadata.Entry(key=b'k')] * 129).SerializeToString()
        expect_error(client.call(METHOD, body_of('Fay'), metadata=too_many), errc.INVALID_ARGUMENT, '128')


@case
def a_deadline_that_has_passed_is_an_error_answer(server):
    with server.client().handshake() as client:
        expect_error(client.call(METHOD, body_of('Gus'), timeout_ms=-1000), errc.DEADLINE_EXCEEDED, 'deadline')


@case
def a_deadline_of_zero_is_the_moment_of_the_hello(server):
    with server.client().handshake() as client:
        time.sleep(0.01)
        client.send(REQUEST, body_of('Hal'), method=client.methods[METHOD], call_id=1)
        expect_error(client.answer(1), errc.DEADLINE_EXCEEDED, 'deadline')


@case
def a_notify_of_a_method_that_answers_is_dropped(server):
    with server.client().handshake() as client:
        client.start(METHOD, body_of('Ida'), kind=NOTIFY)
        assert client.call(METHOD, body_of('Ida')).call_id == 2


@case
def a_frame_over_the_limit_is_refused_before_its_bytes_come(server):
    with server.client().handshake() as client:
        client.send_bytes(HEADER.pack((64 << 10) + 1, REQUEST, 0, 0, 1, 0, 1))
        expect_goaway(client, errc.INVALID_ARGUMENT, 'the limit is 65536')


@case
def the_largest_frame_is_answered(server):
    with server.client().handshake() as client:
        head = len(body_of('x' * 60000)) - 60000
        answer = client.call(METHOD, body_of('x' * ((64 << 10) - 20 - head)))
        # The answer has a few bytes more and no longer fits.
        expect_error(answer, errc.RESOURCE_EXHAUSTED, 'limit', not_executed=False)


@case
def metadata_over_the_limit_is_refused(server):
    with server.client().handshake() as client:
        client.send_bytes(HEADER.pack(20 + 1025, REQUEST, 0, 1025, 1, 0, 1))
        expect_goaway(client, errc.INVALID_ARGUMENT, 'the limit is 1024')


def slow_body(milliseconds):
    return hello_world.SlowReq(text='x', wait_ms=milliseconds).SerializeToString()


@case
def more_calls_in_flight_than_allowed_are_error_answers(server):
    with server.slow().client().handshake() as client:
        slow = [client.start(SLOW_METHOD, slow_body(1500), timeout_ms=60000) for _ in range(3)]
        expect_error(client.call(SLOW_METHOD, slow_body(0)), errc.RESOURCE_EXHAUSTED, 'too many calls in flight')
        for number in slow:
            assert client.answer(number).code == errc.OK
        assert client.call(SLOW_METHOD, slow_body(0)).code == errc.OK
    with server.slow().client(limits=wire.Limits(max_calls=1)).handshake() as client:  # the lesser of both
        one = client.start(SLOW_METHOD, slow_body(500), timeout_ms=60000)
        expect_error(client.call(SLOW_METHOD, slow_body(0)), errc.RESOURCE_EXHAUSTED, 'too many calls in flight')
        assert client.answer(one).code == errc.OK


@case
def a_cancelled_call_makes_room_for_another_when_its_handler_has_ended(server):
    with server.slow().client(limits=wire.Limits(max_calls=1)).handshake() as client:
        client.cancel(client.start(SLOW_METHOD, slow_body(3600000), timeout_ms=3600000))
        until = time.monotonic() + 20
        while client.call(SLOW_METHOD, slow_body(0)).code != errc.OK:
            assert time.monotonic() < until


@case
def a_call_ends_with_its_deadline(server):
    with server.slow().client().handshake() as client:
        expect_error(client.call(SLOW_METHOD, slow_body(3600000), timeout_ms=200), errc.DEADLINE_EXCEEDED, 'deadline',
                     not_executed=False)


@case
def more_connections_than_allowed_are_refused(server):
    slow = server.slow()
    until = time.monotonic() + 20
    while True:  # the connections of the cases before may not be gone yet
        clients = [slow.client() for _ in range(4)]
        try:
            for client in clients:
                client.handshake()
            break
        except Goaway:
            assert time.monotonic() < until
            for client in clients:
                client.close()
    with slow.client() as client:
        try:
            client.handshake()
            raise AssertionError('one more was let in')
        except Goaway as refused:
            assert refused.code == errc.RESOURCE_EXHAUSTED and refused.text == 'too many connections', refused
    assert clients[0].call(SLOW_METHOD, slow_body(0)).code == errc.OK
    for client in clients:
        client.close()


@case
def the_lesser_limit_of_both_sides_counts(server):
    with server.client(limits=wire.Limits(max_frame=5000)).handshake() as client:
        client.send_bytes(HEADER.pack(5001, REQUEST, 0, 0, 1, 0, 1))
        expect_goaway(client, errc.INVALID_ARGUMENT, 'the limit is 5000')


@case
def a_header_that_contradicts_itself_is_refused(server):
    for header, text in [((20, 0, 0, 0), 'kind 0'), ((20, 9, 0, 0), 'kind 9'), ((19, REQUEST, 0, 0), 'length 19'),
                         ((20, REQUEST, 0, 1), 'metadata length 1')]:
        with server.client().handshake() as client:
            client.send_bytes(HEADER.pack(*header, 0, 0, 0))
            expect_goaway(client, errc.INVALID_ARGUMENT, text)


@case
def a_kind_that_a_dialer_may_not_send_is_refused(server):
    for kind in (RESPONSE, HELLO):
        with server.client().handshake() as client:
            client.send(kind)
            expect_goaway(client, errc.INVALID_ARGUMENT, 'unexpected frame from the dialer')


@case
def a_request_before_the_hellos_is_refused(server):
    with server.client() as client:
        client.send(REQUEST)
        expect_goaway(client, errc.INVALID_ARGUMENT, 'before the hellos are complete')


@case
def a_hello_that_is_none_is_refused(server):
    for fields, text in [({'nonce': b'short'}, 'nonce'), ({'dialled': b'two words'}, 'app id')]:
        with server.client() as client:
            hello = wire.Hello(**{'protocol': 2, 'nonce': bytes(16), **fields})
            client.send(HELLO, hello.SerializeToString())
            expect_goaway(client, errc.INVALID_ARGUMENT, text)
    with server.client(limits=wire.Limits(max_frame=1)) as client:
        client.say_hello()
        client.prove()
        expect_goaway(client, errc.INVALID_ARGUMENT, 'max_frame')
    with server.client() as client:
        client.send(HELLO, b'\xff')
        expect_goaway(client, errc.INVALID_ARGUMENT, 'm3.wire.Hello')


@case
def another_protocol_version_is_refused_naming_both(server):
    with server.client() as client:
        client.send(HELLO, wire.Hello(protocol=7, nonce=bytes(16)).SerializeToString())
        expect_goaway(client, errc.FAILED_PRECONDITION, 'version 7 meets version 2')


@case
def a_wrong_proof_is_refused(server):
    for proof in (b'', bytes(32), bytes(31)):
        with server.client() as client:
            client.say_hello()
            client.prove(proof)
            expect_goaway(client, errc.UNAUTHENTICATED, 'token')


@case
def a_request_behind_a_wrong_proof_is_not_answered(server):
    with server.client() as client:
        client.say_hello()
        client.prove(bytes(32))
        client.start(method_hash(METHOD), body_of('Joe'))
        expect_goaway(client, errc.UNAUTHENTICATED, 'token')


@case
def hellos_over_4_kib_are_refused(server):
    with server.client() as client:
        client.send_bytes(HEADER.pack(4097, HELLO, 0, 0, 0, 0, 0))
        expect_goaway(client, errc.INVALID_ARGUMENT, 'the limit is 4096')
    with server.client() as client:
        client.say_hello(methods=[wire.Method(name=b'x' * 3000)])
        client.send(HELLO, bytes(2000))
        expect_goaway(client, errc.INVALID_ARGUMENT, 'the hellos are more than 4096 bytes')


@case
def a_handshake_longer_than_2_s_is_refused(server):
    began = time.monotonic()
    with server.client() as client:
        client.send_bytes(b'\x20')
        expect_goaway(client, errc.DEADLINE_EXCEEDED, 'longer than 2 s')
    assert 1.8 < time.monotonic() - began < 4


@case
def a_peer_that_does_not_read_does_not_stop_the_others(server):
    with server.client().handshake() as deaf, server.client().handshake() as other:
        deaf.socket.setblocking(False)
        request = HEADER.pack(20 + 60000 + 4, REQUEST, 0, 0, deaf.methods[METHOD], deaf.clock() + 60000, 1)
        request += body_of('x' * 60000)
        sent = 0
        until = time.monotonic() + 3
        part = b''
        while time.monotonic() < until and sent < 256 << 20:
            part = part or request
            try:
                count = deaf.socket.send(part)
                part = part[count:]
                sent += count
            except BlockingIOError:
                time.sleep(0.01)
        assert sent < 64 << 20, f'the server took {sent} bytes from a peer that reads no answers'
        assert other.call(METHOD, body_of('Kim')).code == errc.OK
        assert server.resident_bytes() < 256 << 20


@case
def a_server_that_drains_says_so(server):
    with server.client().handshake() as client:
        client.call(METHOD, body_of('Lea'))
        server.process.send_signal(signal.SIGTERM)
        try:
            while True:
                client.read()
        except Goaway as goaway:
            assert goaway.code == errc.UNAVAILABLE, goaway
        assert server.process.wait(20) == 0


class Server:
    def __init__(self, command, folder, text=CONFIG):
        self.folder = folder
        self.slow_peer = None
        self.port = free_port()
        config = pathlib.Path(folder, f'{self.port}.toml')
        config.write_text(text.format(port=self.port, token=TOKEN.decode()))
        places = {'{port}': str(self.port), '{token}': TOKEN.decode(), '{config}': str(config)}
        for place, value in places.items():
            command = [part.replace(place, value) for part in command]
        self.process = subprocess.Popen(command)
        self.wait_until_it_listens()

    def wait_until_it_listens(self):
        until = time.monotonic() + 20
        while True:
            try:
                return socket.create_connection(('127.0.0.1', self.port), 1).close()
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f'the server ended with {self.process.returncode}')
                if time.monotonic() > until:
                    sys.exit('the server does not listen')
                time.sleep(0.05)

    def slow(self):
        """A server with few connections and few calls in flight, whose answers can be made to wait."""
        if not self.slow_peer:
            self.slow_peer = Server([os.environ['M3_SLOW_PEER'], '--config', '{config}'], self.folder, SLOW_CONFIG)
        return self.slow_peer

    def client(self, **options):
        return WireClient(('127.0.0.1', self.port), token=TOKEN, app_id=b'dev.world1.python.1', **options).connect()

    def resident_bytes(self):
        pages = int(pathlib.Path(f'/proc/{self.process.pid}/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGE_SIZE')

    def stop(self):
        if self.slow_peer:
            self.slow_peer.stop()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def main():
    with new_folder() as folder:
        server = Server(sys.argv[1:], folder)
        try:
            return case.run('wire', given=lambda: contextlib.nullcontext(server))
        finally:
            server.stop()


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main())
