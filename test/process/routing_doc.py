#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The program in docs/reference/routing.md agrees with the runtime on every key.  routing_doc.py HASH-OWNERS PAGE

HASH-OWNERS reads one line of ids, then keys, and prints each key's slot and owner."""
import re
import subprocess
import sys


def main():
    program, page = sys.argv[1:]
    with open(page, encoding="utf-8") as file:
        source = re.search(r"```python\n(.*?)```", file.read(), re.S).group(1)
    rules = {}
    exec(source, rules)  # pylint: disable=exec-used
    ids = [f"dev.world1.role.{i}" for i in (1, 2, 3, 9, 10, 11, 250)] + ["dev.world1.role.blue-7"]
    keys = [str(i) for i in range(3000)] + ["player:42", "ä", "a b", "x" * 300]
    wrong = 0
    for some in (ids, ids[:1], ids[2:5]):
        text = " ".join(some) + "\n" + "\n".join(keys) + "\n"
        done = subprocess.run([program], input=text.encode(), stdout=subprocess.PIPE, check=True, timeout=60)
        lines = done.stdout.decode().splitlines()
        assert len(lines) == len(keys), (len(lines), len(keys))
        for key, line in zip(keys, lines):
            expected = f"{rules['slot'](key)} {rules['owner'](key, some)}"
            if line != expected:
                wrong += 1
                print(f"key {key!r}: the page says {expected}, the runtime {line}")
    print("ok routing: the page's program finds the runtime's owners" if not wrong else f"FAIL routing: {wrong} keys differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
