#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Writes the seeds of the net_* fuzz targets into corpus/. Run it after a change of the wire format.

Needs protoc and python3-protobuf.
"""
import hashlib
import hmac
import pathlib
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parent.parent / 'proto'

with tempfile.TemporaryDirectory() as generated:
    subprocess.run(['protoc', f'-I{PROTO}', f'--python_out={generated}', 'm3/errc.proto', 'm3/wire.proto'], check=True)
    sys.path.insert(0, generated)
    from m3 import wire_pb2 as wire

HELLO, REQUEST, RESPONSE, NOTIFY, CANCEL, PING, PONG, GOAWAY = range(1, 9)
DIALER, ACCEPTOR = b'dev.world1.client.1', b'dev.world1.hello.1'
NONCES = b'\x11' * 16, b'\x22' * 16


def frame(kind, body=b'', metadata=b'', flags=0, method=0, deadline=0, call_id=0):
    return struct.pack('<IBBHIIQ', 20 + len(metadata) + len(body), kind, flags, len(metadata), method, deadline,
                       call_id) + metadata + body


def proof(role, dialled=b'', acceptor=b''):
    ids = b''.join(struct.pack('<H', len(i)) + i for i in (DIALER, dialled, acceptor))
    return hmac.new(b's3cret', role + NONCES[0] + NONCES[1] + ids, hashlib.sha256).digest()


def intro(dials, **fields):
    fields = {'protocol': 2, 'nonce': NONCES[0] if dials else NONCES[1], **fields}
    if dials:
        fields = {'app_id': DIALER, **fields}
    return frame(HELLO, wire.Hello(**fields).SerializeToString())


def last(dials, given, **fields):
    fields = {'proof': given, 'features': 3, 'generation': 5, 'run_id': 6, **fields}
    if not dials:
        fields = {'app_id': ACCEPTOR, 'methods': [wire.Method(hash=7, name=b'/hello.Hello/Say')], **fields}
    limits = wire.Limits(max_frame=1 << 20, max_metadata=4096, max_calls=100)
    return frame(HELLO, wire.Hello(limits=limits, **fields).SerializeToString())


def goaway(code, text):
    status = wire.Status(code=code, text=text, retry_after_ms=100)
    return frame(GOAWAY, wire.Goaway(status=status, drain=True).SerializeToString())


def write(target, seeds):
    folder = HERE / 'corpus' / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (folder / name).write_bytes(data)


full = wire.Metadata(
    actor_id=b'role-1',
    traceparent=b'00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', call_chain=[b'a', b'b'],
    status=wire.Status(code=17, app_code=-5, retry_after_ms=10, text=b'moved', owner=b'dev.world1.role.2'),
    entries=[wire.Metadata.Entry(key=b'k', value=b'v'), wire.Metadata.Entry(key=b'k')]).SerializeToString()

write('wire_metadata', {
    'empty': b'',
    'full': full,
    'twice': full + full,
    'unknown_fields': bytes.fromhex('5001' '597a7a7a7a7a7a7a7a' '62027a7a' '6d7a7a7a7a' '73500574' '3a014c'),
    'long_varints': bytes.fromhex('10ffffffffffffffffff01' '92808080000161' '3a8180808000' '4c'),
    'wrong_types': bytes.fromhex('0801' '1201' '61' '2d00000000' '4b4c' '2a020a00'),
    'deep_groups': b'\x73' * 100 + b'\x74' * 100,
    'too_deep_groups': b'\x73' * 101 + b'\x74' * 101,
    'deep_in_status': b'\x2a\xc6\x01' + b'\x73' * 99 + b'\x74' * 99,
    'too_deep_in_status': b'\x2a\xc8\x01' + b'\x73' * 100 + b'\x74' * 100,
    'too_many_entries': b'\x4a\x03\x0a\x01k' * 129,
    'upper_case_key': b'\x4a\x03\x0a\x01K',
})
write('wire_frame', {
    'every_kind': b'\xff\x05' + b''.join(frame(kind, b'body', b'meta', call_id=kind) for kind in range(1, 9)),
    'bad_kind': b'\xff\x05' + frame(9),
    'too_large': b'\x05\x07' + frame(REQUEST, b'x' * 41),
    'metadata_too_large': b'\x05\x07' + frame(REQUEST, b'', b'x' * 21),
    'short': b'\xff\x01' + struct.pack('<I', 19) + bytes(20),
    'cut': b'\xff\x01' + frame(REQUEST, b'x' * 30)[:-1],
})
write('wire_hello', {
    'accept': b'\x02' + intro(True, dialled=ACCEPTOR) + last(True, proof(b'D', ACCEPTOR)),
    'accept_open': b'\x00' + intro(True) + last(True, b''),
    'accept_reflected': b'\x02' + intro(True) + last(True, proof(b'A', b'', ACCEPTOR)),
    'accept_request': b'\x02' + frame(REQUEST),
    'dial': b'\x07' + intro(False) + last(False, proof(b'A', ACCEPTOR, ACCEPTOR)),
    'dial_open': b'\x01' + intro(False) + last(False, b'', state=wire.Hello.LEAVING),
    'dial_refused': b'\x03' + goaway(16, b'no'),
    'version': b'\x02' + intro(True, protocol=1),
})
