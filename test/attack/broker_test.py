#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
"""Who may publish at the broker and does not know the token, or sends again what others have published."""
import contextlib
import hashlib
import hmac
import os
import shutil
import socket
import struct
import subprocess
import sys

from support import HEARD, MIB, SHOUT, TOKEN, attack, errc, frame, rounds, run_cases, under_attack
from cases import PATIENCE, Cases, Skip, eventually, free_port
from wire_client import NOTIFY, REQUEST, method_hash

CASES = Cases()
TOPIC = b'm3.all.dev.w.target'


def case(function):
    """Runs with each of the brokers."""
    for broker in (Redis, Nats):
        def with_broker(folder, broker=broker):
            if not shutil.which(broker.program):
                raise Skip(f'{broker.program} is not installed')
            with broker(folder) as server:
                function(folder, server)
        with_broker.__name__ = f'{broker.name}: {function.__name__}'
        CASES(with_broker)
    return function


# ---- brokers

class Broker:
    """A real server, and a publisher's connection to it."""

    def __init__(self, folder):
        self.port = free_port()
        self.process = subprocess.Popen(self.command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.connection = eventually(f'{self.name} listens', self.dial)
        except BaseException:
            self.end()
            raise

    def dial(self):
        assert self.process.poll() is None, f'{self.name} ended'
        with contextlib.suppress(OSError):
            return socket.create_connection(('127.0.0.1', self.port), PATIENCE)
        return None

    def publish(self, messages, topic=TOPIC):
        """Sends them all and waits until the server has taken them."""
        self.connection.sendall(b''.join(self.publication(topic, message) for message in messages) + self.ping)
        answer = b''
        while self.pong not in answer:
            part = self.connection.recv(1 << 20)
            assert part, f'{self.name} closed: {answer[-200:]}'
            answer = answer[-20:] + part

    def end(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.end()


class Redis(Broker):
    name, program = 'redis', 'redis-server'
    ping, pong = b'*1\r\n$4\r\nPING\r\n', b'+PONG\r\n'

    def command(self, folder):
        # It keeps what a receiver has not read yet: what is lost here, the app has lost.
        return [self.program, '--port', str(self.port), '--bind', '127.0.0.1', '--save', '', '--dir', str(folder),
                '--client-output-buffer-limit', 'pubsub', '0', '0', '0']

    @property
    def config(self):
        return f'[broker.redis]\naddress = "127.0.0.1:{self.port}"\n'

    def publication(self, topic, message):
        return b'*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n' % (len(topic), topic, len(message), message)


class Nats(Broker):
    name, program = 'nats', 'nats-server'
    ping, pong = b'PING\r\n', b'PONG\r\n'

    def command(self, folder):
        return [self.program, '-a', '127.0.0.1', '-p', str(self.port)]

    @property
    def config(self):
        return f'[broker.nats]\nservers = ["127.0.0.1:{self.port}"]\n'

    def dial(self):
        if connection := super().dial():
            connection.sendall(b'CONNECT {"verbose":false}\r\n')
        return connection

    def publication(self, topic, message):
        return b'PUB %s %d\r\n%s\r\n' % (topic, len(message), message)


# ---- messages, as docs/reference/wire.md has them

class Publisher:
    """One that knows the token."""

    def __init__(self, token=TOKEN, topic=TOPIC, app_id=b'dev.w.python.1'):
        self.run_id, self.number = os.urandom(8), 0
        self.token, self.topic, self.app_id = token, topic, app_id

    def message(self, *texts):
        frames = b''.join(frame(NOTIFY, attack.ShoutReq(text=text).SerializeToString(), method=method_hash(SHOUT))
                          for text in texts)
        return self.sealed(frames, len(texts))

    def sealed(self, frames, count=1):
        head = b'm3b2' + self.run_id + struct.pack('<Q', self.number + 1) + bytes([len(self.app_id)]) + self.app_id
        self.number += count
        if not self.token:
            return head + b'\0' + frames
        key = hmac.new(self.token, b'm3 broadcast', hashlib.sha256).digest()
        proof = hmac.new(key, struct.pack('<H', len(self.topic)) + self.topic + head + frames, hashlib.sha256).digest()
        return head + b'\x20' + proof + frames


class Listener:
    """What the attacked app has heard."""

    def __init__(self, app, server):
        self.server, self.client, self.friend = server, app.peer(), Publisher(app_id=b'dev.w.friend.1')
        self.app = app

    def heard(self):
        answer = self.client.call(HEARD, b'')
        assert answer.code == errc.OK, answer.text
        return attack.HeardRsp.FromString(answer.body)

    def heard_last(self):
        """None while the app is too busy to answer: an overloaded one refuses calls."""
        answer = self.client.call(HEARD, b'')
        if answer.code == errc.RESOURCE_EXHAUSTED:
            return None
        assert answer.code == errc.OK, answer.text
        return attack.HeardRsp.FromString(answer.body)

    def hears(self, text):
        """A true shout arrives, and what was published before it has been looked at."""
        self.server.publish([self.friend.message(text)])

        def heard_it():
            said = self.heard_last()
            return said if said and said.last == text else None

        return eventually(f'{text} is heard', heard_it).shouts

    def bad(self):
        return self.app.metric('m3_broadcasts_bad_total')


@contextlib.contextmanager
def listening(folder, server, **options):
    with under_attack(folder, more=server.config, **options) as app:
        listener = Listener(app, server)
        try:
            yield listener
        finally:
            listener.client.close()


def expect_dropped(listener, messages, least=1000):
    """Published again and again they are all dropped and counted, and true ones are heard between them."""
    before, bad, times = listener.hears('before'), listener.bad(), 0
    repeat = max(1, least // len(messages))
    for i in rounds(2):
        listener.server.publish(messages * repeat)
        times += repeat * len(messages)
        assert listener.hears(f'true {i}') == before + 1, f'{listener.heard().shouts - before - 1} bad ones were heard'
        before += 1
    assert listener.bad() - bad == times, f'{listener.bad() - bad} of {times} were counted'


# ---- cases

@case
def what_is_no_message_of_m3(folder, server):
    rubbish = [b'', b'hello', b'm3b2', b'm3b1' + bytes(100), b'm3b2' + bytes(17), b'm3b2' + b'\xff' * 200, bytes(5000),
               b'\r\n' * 50,
               b'\x1b[2J\xff\n' * 100, frame(NOTIFY, method=method_hash(SHOUT))]
    with listening(folder, server) as listener:
        expect_dropped(listener, rubbish, 10000)


@case
def messages_without_a_proof_or_with_a_wrong_one(folder, server):
    forged = [Publisher(token=token).message('forged') for token in (b'', b'x', TOKEN[:-1], TOKEN + b'0', bytes(32))]
    plain_key = Publisher()
    frames = frame(NOTIFY, attack.ShoutReq(text='forged').SerializeToString(), method=method_hash(SHOUT))
    head = plain_key.sealed(b'')[:-33]
    forged += [head + bytes([size]) + bytes(size) + frames for size in (0, 1, 31, 32, 33, 255)]
    key = hmac.new(TOKEN, struct.pack('<H', len(TOPIC)) + TOPIC + head + frames, hashlib.sha256).digest()
    forged.append(head + b'\x20' + key + frames)  # the token itself as the key
    with listening(folder, server) as listener:
        expect_dropped(listener, forged)


@case
def true_messages_that_were_changed(folder, server):
    true = Publisher().message('one', 'two')
    proof_at = len(Publisher().sealed(b'')) - 33
    changed = [true[:size] for size in range(len(true))]
    changed += [true + b'\0', true + true[-34:], true[:4] + bytes(8) + true[12:], true[:12] + bytes(8) + true[20:]]
    changed += [true[:at] + bytes([true[at] ^ 0x80]) + true[at + 1:] for at in range(len(true))]
    changed.append(true[:proof_at] + b'\0' + true[proof_at + 33:])
    changed.append(Publisher(topic=b'm3.all.dev.w.other').message('for others'))
    changed.append(Publisher(topic=b'm3.topic.dev.w.guild').message('for others'))
    with listening(folder, server) as listener:
        expect_dropped(listener, changed)


@case
def true_messages_sent_again(folder, server):
    with listening(folder, server) as listener:
        friend = Publisher()
        first, second, third = friend.message('first'), friend.message('second', 'second'), friend.message('third')
        server.publish([first, second, third])
        before = listener.hears('before')
        for i in rounds(2):
            server.publish([third, first, second, second, first, third] * 500)
            assert listener.hears(f'true {i}') == before + i + 1, 'what was heard is handled once'
        # A run of the same publisher that was followed by another one is over.
        again = Publisher(app_id=friend.app_id)
        server.publish([again.message('new run')] + [first, second, third] * 100)
        assert listener.hears('end') == before + i + 3, 'what was heard is handled once'


@case
def an_old_message_that_is_sent_again_beside_its_publishers_new_run(folder, server):
    with listening(folder, server) as listener:
        old, new = Publisher(), Publisher()
        recorded = old.message('of a run that this app has not heard')
        server.publish([new.message('first of the new run')])
        before = listener.hears('before')
        for i in rounds(2):
            server.publish([recorded, new.message('next of the new run')] * 300)
            assert listener.hears(f'true {i}') == before + 2 * (i + 1) + 1, 'the old one is heard once, each new one once'
        assert listener.app.metric('m3_broadcasts_missing_total') == 0


@case
def true_proofs_over_broken_frames(folder, server):
    body = attack.ShoutReq(text='broken').SerializeToString()
    shout = {'method': method_hash(SHOUT)}
    whole = frame(NOTIFY, body, **shout)
    broken = [whole[:-1], whole + b'\0', frame(NOTIFY, body, length=2**32 - 1, **shout),
              frame(NOTIFY, body, length=0, **shout),
              frame(REQUEST, body, **shout), frame(0, body, **shout), b'', whole + whole[:10]]
    with listening(folder, server) as listener:
        before, bad = listener.hears('before'), listener.bad()
        for _ in rounds(100):
            server.publish([Publisher(app_id=b'dev.w.broken.%d' % i).sealed(frames) for i, frames in enumerate(broken)])
        assert listener.hears('end') <= before + 1 and listener.bad() > bad


@case
def true_messages_that_a_handler_refuses(folder, server):
    bodies = [frame(NOTIFY, b'\x0a\x04\xff\xfe\xfd\xfc', method=method_hash(SHOUT)),
              frame(NOTIFY, b'\xff', method=method_hash(SHOUT)),
              frame(NOTIFY, b'x', method=12345), frame(NOTIFY, b'', metadata=b'\xff', method=method_hash(SHOUT)),
              frame(NOTIFY, b'', method=method_hash(HEARD))]
    with listening(folder, server) as listener:
        publisher, before = Publisher(), listener.hears('before')
        for _ in rounds(2):
            server.publish([publisher.sealed(frames) for frames in bodies * 1000])
        assert listener.hears('end') == before + 1


@case
def messages_from_ten_thousand_publishers(folder, server):
    ids = [b'dev.w.p%d.1' % i for i in range(10000)]
    with listening(folder, server) as listener:
        before = listener.hears('before')
        server.publish([Publisher(app_id=app_id).message('I am new') for app_id in ids])
        assert listener.hears('end') == before + len(ids) + 1
        before = listener.heard().shouts
        odd = [b'', b'x' * 255, b'\n\x1b[2J', b'\xff' * 100, b'no dots', b'....']
        for i in rounds(2):
            server.publish([Publisher(app_id=app_id).message('odd') for app_id in odd * 200])
            listener.hears(f'true {i}')


@case
def more_true_messages_than_one_can_handle(folder, server):
    with listening(folder, server, mebibytes=64) as listener:
        publisher, before = Publisher(), listener.hears('before')
        for _ in rounds():
            server.publish([publisher.message(*['x'] * 300) for _ in range(100)])
        assert before < listener.hears('end') <= before + publisher.number + 1


@case
def messages_over_the_limit(folder, server):
    # The largest notify that a connection would take is 64 KiB here.
    with listening(folder, server, rpc='max_frame = "64KiB"', mebibytes=64) as listener:
        before = listener.hears('before')
        for i in rounds(3):
            server.publish([Publisher().message('x' * (900 << 10)), Publisher(token=b'').message('x' * (900 << 10)),
                            bytes(MIB - 100)])
            assert listener.hears(f'true {i}') == before + i + 1, 'a notify over the limit was handled'


@case
def a_message_of_a_hundred_mebibytes(folder, server):
    if server.name == 'nats':
        raise Skip('NATS takes no such message')
    with listening(folder, server, mebibytes=32) as listener:
        before, bad = listener.hears('before'), listener.bad()
        server.publish([b'x' * (100 * MIB)])
        assert listener.hears('after') == before + 1
        assert listener.bad() == bad + 1


if __name__ == '__main__':
    sys.exit(run_cases('broker', CASES))
