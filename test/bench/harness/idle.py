# SPDX-License-Identifier: BSL-1.0
"""Memory per idle connection: what a fresh server's resident size grows by."""
import resource
import socket
import struct
import time

from . import programs

BATCH = 200


def receive(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("the server closed the connection")
        data += part
    return data


def fnv1a(text):
    value = 2166136261
    for byte in text.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


def echo_once(connection):
    """One call of 64 bytes in the frames of m3; so the connection idles after it was in use."""
    body = b"\n\x40" + b"x" * 64
    connection.sendall(struct.pack("<IBBHIIQ", 20 + len(body), 2, 0, 0, fnv1a("/bench.Echo/Echo"), 0, 1) + body)
    (length,) = struct.unpack("<I", receive(connection, 4))
    receive(connection, length)


def http2_preface(connection):
    """What a gRPC client says first; the server's settings frame is the answer."""
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    receive(connection, 9)


def hello_and_echo(connection):
    """m3's handshake without a token (docs/reference/wire.md), then one call."""
    def frame(body):
        return struct.pack("<IBBHIIQ", 20 + len(body), 1, 0, 0, 0, 0, 0) + body

    for hello in (b"\x08\x02" + b"\x2a\x10" + bytes(16), b""):  # protocol 2 and a nonce; no proof
        connection.sendall(frame(hello))
        (length,) = struct.unpack("<I", receive(connection, 4))
        receive(connection, length)
    body = b"\n\x40" + b"x" * 64
    connection.sendall(
        struct.pack("<IBBHIIQ", 20 + len(body), 2, 0, 0, fnv1a("/bench.Echo/Echo"), 60000, 1) + body)
    (length,) = struct.unpack("<I", receive(connection, 4))
    receive(connection, length)


GREETINGS = {"m3": hello_and_echo, "epoll": echo_once, "grpc": http2_preface}


def measure(plan, count):
    """{peer: bytes per connection}"""
    wanted = count + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        count = min(count, soft - 200)
    return {p.name: measure_one(plan, p, count) for p in plan.peers if p.name in GREETINGS}


def measure_one(plan, peer, count):
    with programs.Server(plan.server_command(peer), programs.cpus()[0]) as server:
        open_connections = []
        try:
            add(open_connections, BATCH, peer.name, server)  # what is needed once is there now
            before = server.resident_bytes()
            add(open_connections, count, peer.name, server)
            time.sleep(0.3)  # buffers are given back
            return (server.resident_bytes() - before) / count
        finally:
            for connection in open_connections:
                connection.close()


def add(connections, count, peer, server):
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.ready["port"]), timeout=20)
        # Or each waits 40 ms for an acknowledgement, and the first are closed as silent before the last are there.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections.append(connection)
        GREETINGS[peer](connection)
