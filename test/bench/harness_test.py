#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The harness tells a met goal from a missed one, and takes ratios within a round."""
import os
import sys
import types
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import broadcast, marks, processes, programs, routed  # noqa: E402

KEYS = [key for key, _ in marks.RAW]


def runs(**values):
    """One result for each number in the longest list; what is not given is not known."""
    count = max(len(v) for v in values.values())
    return [{key: values[key][i] if key in values else None for key in KEYS} for i in range(count)]


def plan(sanitized=False):
    return types.SimpleNamespace(workloads=["w2"], sanitized=sanitized)


def by_name(figures):
    return {f.name: f for f in figures}


class Marks(unittest.TestCase):
    def test_a_ratio_is_taken_within_each_round(self):
        results = {("m3", "w2"): runs(server_cpu_us=[0.2, 2.0, 0.2]),
                   ("epoll", "w2"): runs(server_cpu_us=[0.2, 2.0, 0.1])}
        self.assertEqual(marks.ratio(results, "w2", "server_cpu_us", "m3", "epoll"), 1.0)

    def test_a_missed_goal_is_said(self):
        results = {("m3", "w2"): runs(server_cpu_us=[0.3], client_cpu_us=[0.3]),
                   ("epoll", "w2"): runs(server_cpu_us=[0.2]), ("grpc", "w2"): runs(server_cpu_us=[15.0])}
        found = by_name(marks.figures(plan(), results, {"m3": 3072}))
        limit = found["w2: server CPU, m3 / epoll"]
        self.assertAlmostEqual(limit.value, 1.5)
        self.assertIs(limit.met(), False)
        self.assertIs(found["w2: server CPU, gRPC / m3"].met(), True)
        self.assertIs(found["w2: m3's client CPU / server CPU"].met(), True)
        self.assertIs(found["memory per idle connection, m3"].met(), False)
        self.assertIsNone(found["m3/w2/server_cpu_us"].met())
        self.assertEqual(limit.as_json(), {"area": "rpc", "name": "w2: server CPU, m3 / epoll", "value": 1.5,
                                           "unit": "x", "goal": "<= 1.35", "met": False})

    def test_no_allocation_means_none(self):
        self.assertIs(marks.Figure("rpc", "a", 0.0005, "per call", at_most=0).met(), True)
        self.assertIs(marks.Figure("rpc", "a", 0.01, "per call", at_most=0).met(), False)

    def test_three_times_a_mark_is_the_end_of_the_quick_check(self):
        self.assertFalse(marks.Figure("rpc", "a", 4.0, "x", at_most=1.35).worse_than(3))
        self.assertTrue(marks.Figure("rpc", "a", 4.1, "x", at_most=1.35).worse_than(3))
        self.assertFalse(marks.Figure("rpc", "a", 14, "x", at_least=40).worse_than(3))
        self.assertTrue(marks.Figure("rpc", "a", 13, "x", at_least=40).worse_than(3))

    def test_a_sanitizer_build_is_not_compared_with_grpc(self):
        results = {("m3", "w2"): runs(server_cpu_us=[0.3]), ("grpc", "w2"): runs(server_cpu_us=[15.0])}
        self.assertNotIn("w2: server CPU, gRPC / m3", by_name(marks.figures(plan(sanitized=True), results, {})))

    def test_a_server_that_does_not_come_up_is_an_error(self):
        with self.assertRaises(RuntimeError):
            programs.Server(["/bin/true"], programs.cpus()[0])


class Mesh(unittest.TestCase):
    def test_a_routed_call_is_held_against_a_fixed_one_of_its_round(self):
        def calls(costs):
            return [{"client_cpu_us": c, "server_cpu_us": 2 * c} for c in costs]

        results = {(route, depth): calls([1.0, 4.0, 2.0]) for route in routed.ROUTES for depth in routed.DEPTHS}
        results[("own-keys", 16)] = calls([1.2, 4.8, 2.4])
        found = by_name(routed.call_figures(results))
        self.assertAlmostEqual(found["100 x 1 calls, random / fixed: caller CPU"].value, 1.0)
        self.assertIs(found["100 x 1 calls, random / fixed: caller CPU"].met(), True)
        own = found["100 x 16 calls, hash, keys of one instance for each caller / fixed: CPU of both"]
        self.assertAlmostEqual(own.value, 1.2)
        self.assertIs(own.met(), False)

    def test_broadcasts_that_are_slower_than_their_share_miss_the_goal(self):
        def runs_of(rates):
            return [{"per_second": r, "all_us": 1.0} for r in rates]

        results = {"redis": {"m3": runs_of([50, 70]), "bare": runs_of([100, 100])},
                   "nats": {"m3": runs_of([10, 20]), "bare": runs_of([100, 100])}}
        title = "BroadCast to 8 processes over {}, messages/s, m3 / bare"
        found = by_name(broadcast.figures(results, False))
        self.assertIs(found[title.format("redis")].met(), True)
        self.assertIs(found[title.format("nats")].met(), False)
        self.assertIsNone(by_name(broadcast.figures(results, True))[title.format("nats")].met())

    def test_a_program_that_ends_without_a_word_is_an_error(self):
        with processes.Talker(["/bin/true"]) as silent, self.assertRaises(RuntimeError):
            silent.wait_for("ready", 10)

    def test_lines_that_are_no_events_are_passed_over(self):
        command = ["/bin/sh", "-c", "echo hello; echo '[1]'; echo '{\"event\": \"ready\", \"x\": 7}'"]
        with processes.Talker(command) as talker:
            self.assertEqual(talker.wait_for("ready", 10)["x"], 7)


if __name__ == "__main__":
    unittest.main()
