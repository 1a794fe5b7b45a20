# SPDX-License-Identifier: BSL-1.0
"""Who is measured with what, and the alternating rounds."""
import contextlib
import os
import sys

from . import programs

# name: (connections, calls in flight on each, bytes)
WORKLOADS = {"w1": (1, 1, 64), "w2": (1, 128, 64), "w3": (64, 16, 64), "w4": (1, 16, 16384)}


class Peer:
    def __init__(self, name, server, client, handler="", workloads=tuple(WORKLOADS)):
        self.name, self.server, self.client = name, server, client
        self.handler, self.workloads = handler, workloads


PEERS = [
    Peer("m3", "m3_echo_server", "m3_echo_client", "pooled"),
    Peer("epoll", "peer_epoll_server", "peer_epoll_client"),
    Peer("grpc", "peer_grpc_server", "peer_grpc_client"),
    Peer("m3-by-value", "m3_echo_server", "m3_echo_client", "by_value", ("w2", "w3")),
    Peer("m3-suspend", "m3_echo_server", "m3_echo_client", "suspend", ("w2",)),
]

WHY_ABSENT = {"grpc": "libgrpc++-dev and protobuf-compiler-grpc were not there when this was built"}


class Plan:
    """The peers that are built and asked for, and the workloads."""

    def __init__(self, directory, only_peers="", only_workloads=""):
        self.directory = directory
        wanted = [p for p in only_peers.split(",") if p]
        unknown = set(wanted) - {p.name for p in PEERS}
        self.workloads = [w for w in only_workloads.split(",") if w] or list(WORKLOADS)
        unknown |= set(self.workloads) - set(WORKLOADS)
        if unknown:
            sys.exit(f"rpc_bench: unknown peer or workload: {', '.join(sorted(unknown))}")
        self.peers, self.absent = [], {}
        for peer in PEERS:
            if wanted and peer.name not in wanted:
                continue
            missing = [p for p in (peer.server, peer.client) if not os.access(self.path(p), os.X_OK)]
            if missing:
                reason = WHY_ABSENT.get(peer.name, "")
                self.absent[peer.name] = f"no {missing[0]} in {directory}" + (f" ({reason})" if reason else "")
            else:
                self.peers.append(peer)
        self.sanitized = False  # known once the servers run

    def path(self, program):
        return os.path.join(self.directory, program)

    def has(self, name):
        return any(p.name == name for p in self.peers)

    def server_command(self, peer):
        return [self.path(peer.server)] + (["--handler", peer.handler] if peer.handler else [])

    def client_command(self, peer, ready, workload, seconds, warmup):
        connections, outstanding, payload = WORKLOADS[workload]
        return [self.path(peer.client), "--port", str(ready["port"]), "--connections", str(connections),
                "--outstanding", str(outstanding), "--payload", str(payload),
                "--seconds", str(seconds), "--warmup", str(warmup),
                "--server-pid", str(ready["pid"]), "--server-page", ready["page"]]


def measure(plan, count, seconds, warmup):
    """{(peer, workload): [result of each round]}; system calls are counted in one more, short run,
    because counting them slows them down."""
    server_cpu, client_cpu = programs.cpus()
    if server_cpu == client_cpu:
        print("rpc_bench: one CPU only: server and client share it, the figures say little")
    results = {}
    with contextlib.ExitStack() as stack:
        servers = {p.name: stack.enter_context(programs.Server(plan.server_command(p), server_cpu))
                   for p in plan.peers}
        plan.sanitized = any(s.ready["sanitized"] for s in servers.values())

        def run(peer, workload, length, *more):
            command = plan.client_command(peer, servers[peer.name].ready, workload, length, warmup)
            return programs.run_client(command + list(more), client_cpu, length + warmup + 60)

        for _ in range(count):
            for workload in plan.workloads:
                for peer in plan.peers:
                    if workload in peer.workloads:
                        results.setdefault((peer.name, workload), []).append(run(peer, workload, seconds))
        for (name, workload), runs in results.items():
            peer = next(p for p in plan.peers if p.name == name)
            counted = run(peer, workload, min(seconds, 0.3), "--count-syscalls", "1")
            for result in runs:
                for key in ("server_syscalls", "client_syscalls"):
                    result[key] = counted[key]
    return results
