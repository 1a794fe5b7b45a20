#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""page.py plays a page that is true, and finds what is planted in it."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import page  # noqa: E402
from cases import Cases  # noqa: E402

case = Cases()
GOES_ON = "bash -c 'trap \"echo bye; exit\" INT; echo one 1; until [ -e go ]; do read -t 0.01 < <(:); done; echo two; kill -INT $$'"
TRUE = f"""# Title
```cpp
// sub/a.cpp
int a;
```
## First
```console
$ cat sub/a.cpp
// sub/a.cpp
int a;
$ cd sub
$ name=ann
$ for i in 1 2; do
>   echo $i $name; done
…
2 ann
$ echo $$
…
$ echo "error: no" && false
error: no
$ true
```
```console 2
$ {GOES_ON}
one …
```
```console eventually
$ touch again; ls | wc -l
2
```
```console
$ touch go
```
```console 2
two
…
bye
```
## Second
```text
whatever
```
```console
$ pwd
…/sub
```
"""
# Old text, new text, what is wrong.
PLANTED = [
    ("// sub/a.cpp\nint", "int", "t.md:3: this file has no name"),
    ("int a;\n$ cd", "int b;\n$ cd", "t.md:8: cat sub/a.cpp\nprinted\n// sub/a.cpp\nint a;\n\nexpected\n// sub/a.cpp\nint b;"),
    ("int a;\n$ cd", "$ cd", "t.md:8: cat sub/a.cpp\nprinted"),
    ("$ cd sub", "$ cd sub\nsub", "t.md:11: cd sub\nprinted"),
    ("$ cd sub", "$ cd suc", "t.md:11: cd suc\nprinted"),
    ("$ true", "$ false", "t.md:21: false\nended with 1"),
    ('error: no" && false\nerror: ', 'eror: no" && false\neror: ', "ended with 1"),
    ("$ true", "$ exit 0", "t.md:21: exit 0\nthe shell ended"),
    ("one …", "none …", "printed\none 1\n"),
    ("\ntwo", "\ntoo", "expected\ntoo"),
    ("touch again; ls | wc -l\n2", "echo 1\n2", "t.md:28: echo 1\nprinted\n1"),
    ("exit\" INT", "exit 3\" INT", "ended with 3"),
    ("…/sub", "…/sup", "pwd\nprinted"),
]


def play(folder, text):
    with page.Player(folder, dict(os.environ), [("4711", "1")]) as reader:
        reader.play("t.md", text)
        reader.stop()
        return reader.commands, reader.lines


@case
def a_true_page_is_played(folder):
    assert play(folder, TRUE) == (11, 1), "commands and lines are counted"
    assert (folder / "sub/a.cpp").read_text() == "// sub/a.cpp\nint a;\n"


@case
def what_is_replaced_is_replaced_everywhere(folder):
    play(folder, TRUE.replace("one 1", "one 4711").replace("int a", "int a4711").replace("one …", "one 4711"))
    assert "int a1" in (folder / "sub/a.cpp").read_text()


@case
def a_section_is_played_alone(folder):
    with page.Player(folder, dict(os.environ)) as reader:
        reader.play("t.md", TRUE.replace("…/sub", "…"), "Second")
        assert (reader.commands, reader.lines) == (1, 0)


@case
def a_fence_without_an_end_is_named(folder):
    try:
        play(folder, TRUE + "```console\n$ true\n")
    except AssertionError as wrong:
        assert "does not end" in str(wrong), wrong
    else:
        raise AssertionError("it was played")


def finds(old, new, wanted):
    def planted(folder):
        assert old in TRUE, old
        try:
            play(folder, TRUE.replace(old, new, 1))
        except page.Wrong as wrong:
            assert wanted in str(wrong), f"{wanted!r} is not in: {wrong}"
        else:
            raise AssertionError(f"{new!r} was not noticed")
    planted.__name__ = f"finds_{old!r}_as_{new!r}"
    case(planted)


for plant in PLANTED:
    finds(*plant)


if __name__ == "__main__":
    page.PATIENCE = 0.5  # for what never comes
    sys.exit(case.run("page", sys.argv[1:]))
