#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The planter of faults must see one that is caught, one that survives and one that does not compile, refuse a list that
no longer fits the code, and leave the tree as it was. Its tree here is of shell scripts: no compiler is needed."""
import pathlib
import subprocess
import sys
import tempfile

PLANTER = pathlib.Path(__file__).parents[1] / "tools/mutate.py"

TREE = {
    "meson.build": "project('tree')\nsubdir('test/unit/a')\n",
    "test/unit/a/meson.build": "custom_target('unit-a', input: '../../../m3/a/a.sh', output: 'unit-a',\n"
    "  command: ['sh', '-c', 'sh -n $0 && cp $0 $1 && chmod +x $1', '@INPUT@', '@OUTPUT@'])\n",
    "m3/a/a.sh": "#!/bin/sh\necho \"begin one\" >>$M3_TEST_RESULTS\none=1 # first\ntwo=2\n[ $one = 1 ] || exit 1\n"
    "[ $one = 1 ] && echo \"pass one\" >>$M3_TEST_RESULTS\n",
}
KILLED = ("one=1 # first", "one=3")
CRASH = ("two=2", "kill -9 $$")
SURVIVOR = ("two=2", "two=3")
BROKEN = ("two=2", "if")
STALE = ("three=3", "three=4")
TWICE = ("[ $one = 1 ]", "true")

# (faults, arguments, what the output must contain, exit code)
CASES = [
    ([KILLED], [], ["caught           one", "1 of 1 caught (100 %)"], 0),
    ([CRASH], [], ["caught           crashes: one"], 0),
    ([KILLED, SURVIVOR], [], ["SURVIVED", "a        1 of 2", "1 of 2 caught (50 %), 1 survived, 0 do not compile"], 1),
    ([KILLED] * 9 + [SURVIVOR], ["--jobs", "2"], ["9 of 10 caught (90 %)"], 0),
    ([BROKEN], [], ["does not compile", "0 of 1 caught"], 1),
    ([KILLED, SURVIVOR], ["--only", "1"], ["1 of 1 caught"], 0),
    ([KILLED, SURVIVOR], ["--list"], ["1  m3/a/a.sh", "2  m3/a/a.sh", "unit-a: it breaks"], 0),
    ([KILLED, STALE], ["--only", "1"], ["fault 2: its old text is found 0 times in m3/a/a.sh"], 2),
    ([TWICE], [], ["fault 1: its old text is found 2 times"], 2),
    ([KILLED], ["--only", "7"], ["there is no fault 7"], 2),
    ([], [], ["there is no fault 1"], 2),
]


def plant(folder, faults, arguments):
    listed = folder / "faults.toml"
    listed.write_text("".join(f"[[fault]]\nfile = 'm3/a/a.sh'\nold = '{old}'\nnew = '{new}'\nbreaks = 'it breaks'\n"
                              for old, new in faults))
    tree = folder / "tree"
    done = subprocess.run([sys.executable, str(PLANTER), "--root", str(tree), "--faults", str(listed), "--work",
                           str(folder / "work"), *arguments], capture_output=True, text=True, check=False)
    kept = all((tree / name).read_text() == text for name, text in TREE.items())
    return done.stdout + done.stderr, done.returncode, kept


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for path, text in TREE.items():
            (folder / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "tree" / path).write_text(text)
        subprocess.run(["git", "init", "-q", str(folder / "tree")], check=True)
        for faults, arguments, parts, code in CASES:
            output, got, kept = plant(folder, faults, arguments)
            missing = [part for part in parts if part not in output]
            if missing or got != code or not kept:
                failures += 1
                print(f"{faults} {arguments}: exit code {got} instead of {code}, without {missing}, "
                      f"the tree {'as it was' if kept else 'CHANGED'}:\n{output}")
    print(f"{len(CASES) - failures} of {len(CASES)} as they should be")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
