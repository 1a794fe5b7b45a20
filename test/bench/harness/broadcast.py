# SPDX-License-Identifier: BSL-1.0
"""BroadCast to eight processes, m3's beside a bare publisher and bare subscribers on the same server."""
import contextlib
import os
import tempfile

from . import processes
from .marks import Figure, median

RECEIVERS = 8
BROKERS = {"redis": ("redis-server", "peer_redis", "[broker.redis]\naddress = \"127.0.0.1:{port}\"\n"),
           "nats": ("nats-server", "peer_nats", "[broker.nats]\nservers = [\"127.0.0.1:{port}\"]\n")}
APP = "log_level = \"error\"\nlisten = \"127.0.0.1:0\"\ncores = 1\ndrain_wait = \"0s\"\n[router.static]\n"


class Crowd:
    """One publisher and its receivers."""

    def __init__(self, stack, server, publisher, receivers):
        self.server = server
        self.receivers = [stack.enter_context(processes.Talker(command)) for command in receivers]
        self.publisher = stack.enter_context(processes.Talker(publisher))
        self.publisher.wait_for("ready", 30)
        waiting = list(self.receivers)
        for _ in range(100):  # until each has heard one
            self.publisher.say("probe")
            waiting = [r for r in waiting if not self._heard(r)]
            if not waiting:
                return
        raise RuntimeError(f"{len(waiting)} of {len(self.receivers)} receivers hear nothing")

    @staticmethod
    def _heard(receiver):
        with contextlib.suppress(TimeoutError):
            receiver.wait_for("probed", 0.3)
            return True
        return False

    def shout(self, count):
        """Messages a second that all have heard, and the CPU of a message at both ends, in us."""
        server_cpu = processes.cpu_seconds(self.server.pid)
        self.publisher.say(f"shout {count}")
        published = self.publisher.wait_for("published", 120)
        heard = [r.wait_for("heard", 60) for r in self.receivers]
        lost = [count - h["messages"] for h in heard if h["messages"] != count]
        if lost:
            raise RuntimeError(f"{self.publisher.name}: {len(lost)} receivers miss up to {max(lost)} messages")
        elapsed = (max(h["ended_ns"] for h in heard) - published["began_ns"]) * 1e-9
        found = {"per_second": count / elapsed, "publisher_us": published["cpu_ns"] / count / 1e3,
                 "receiver_us": median([h["cpu_ns"] for h in heard]) / count / 1e3,
                 "server_us": (processes.cpu_seconds(self.server.pid) - server_cpu) / count * 1e6}
        found["all_us"] = found["publisher_us"] + RECEIVERS * found["receiver_us"] + found["server_us"]
        return found


def measure(directory, kind, rounds, count):
    """{"m3": [...], "bare": [...]}, or why not."""
    program, bare, section = BROKERS[kind]
    if not processes.path_of(program):
        return None
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(processes.Service(program))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="m3-bench-"))
        config = os.path.join(folder, "crier.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(APP + section.format(port=server.port))
        path = os.path.join(directory, bare)
        crowds = {
            "bare": Crowd(stack, server.process, [path, "publish", str(server.port)],
                          [[path, "subscribe", str(server.port)]] * RECEIVERS),
            "m3": Crowd(stack, server.process, [os.path.join(directory, "m3_town_caller"), config],
                        [[os.path.join(directory, "m3_crier"), "--id", f"bench.world1.crier.{i + 1}",
                          "--config", config] for i in range(RECEIVERS)])}
        results = {name: [] for name in crowds}
        for _ in range(rounds):
            for name, crowd in crowds.items():
                results[name].append(crowd.shout(count))
        return results


def show(results, show_rows):
    rows = [["broker", "peer", "messages/s", "publisher us", "receiver us", "server us", "all us"]]
    for kind, found in results.items():
        for name, runs in found.items():
            rows.append([kind, name] + [f"{median([r[key] for r in runs]):,.{digits}f}" for key, digits in
                                        (("per_second", 0), ("publisher_us", 2), ("receiver_us", 2),
                                         ("server_us", 2), ("all_us", 2))])
    print(f"\n64 bytes to {RECEIVERS} processes; CPU per message of the publisher, one receiver, the server and all")
    show_rows(rows)


def figures(results, sanitized):
    for kind, found in results.items():
        share = median([a["per_second"] / b["per_second"] for a, b in zip(found["m3"], found["bare"])])
        yield Figure("mesh", f"BroadCast to {RECEIVERS} processes over {kind}, messages/s, m3 / bare", share, "x",
                     **({} if sanitized else {"at_least": 0.6}))
        cpu = median([a["all_us"] / b["all_us"] for a, b in zip(found["m3"], found["bare"])])
        yield Figure("mesh", f"BroadCast to {RECEIVERS} processes over {kind}, CPU of all, m3 / bare", cpu, "x")
