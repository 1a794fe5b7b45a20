#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Messages between two cores of a Runtime against a bare ring and eventfd, in one run, taking turns."""
import argparse
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import marks, table  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default=os.getcwd(), help="directory of the built programs")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    program = os.path.join(arguments.bin, "m3_cores")
    found = json.loads(subprocess.run([program], stdout=subprocess.PIPE, check=True, timeout=120).stdout)
    figures = [
        marks.Figure("async", "round trip between cores, one message, m3 / bare", found["trip_ratio_1"], "x", at_most=1.3),
        marks.Figure("async", "a hop with 1,024 messages under way", found["hop_ns_1024"], "ns", at_most=100),
        marks.Figure("async", "the same in CPU of both cores", found["hop_cpu_ns_1024"], "ns"),
    ]
    table.show_marks(figures)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump([f.as_json() for f in figures], file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
