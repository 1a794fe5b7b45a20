#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""docs/reference/config.md says what the code declares, and m3game's keys are answered with keys that are declared.

config_doc.py APP DOC KEYS   (--update rewrites the page; KEYS is m3/config/detail/m3game_keys.cpp)
"""
import re
import subprocess
import sys


def keys_of(reference):
    """Section ("" = top) to its keys, of what --config-reference printed."""
    out = {}
    section = ""
    for line in reference.splitlines():
        if title := re.match(r"## (?:\[(.*)\]|.*)", line):
            section = title[1] or ""
            out[section] = set()
        elif key := re.match(r"\| `([^`]+)` \|", line):
            out[section].add(key[1])
    return out


def wrong_answers(answers, known):
    """The answers that name a key which the section they name does not have. Sections of plugins that this program is
    without cannot be judged."""
    out = []
    for answer in answers:
        for section, key in re.findall(r"\[([a-z]+\.[a-z]+)\] (\w+) = ", answer):
            if section in known and key not in known[section]:
                out.append(answer)
        if top := re.match(r"(?:now|write) ([\w.]+) = .* at the top of the file", answer):
            if top[1] not in known[""]:
                out.append(answer)
    return out


def check_answers(declared, source):
    with open(source, encoding="utf-8") as file:
        text = file.read()
    answers = [a.replace('\\"', '"') for a in re.findall(r'"((?:[^"\\]|\\.)*\b(?:now|write|gone)\b(?:[^"\\]|\\.)*)"', text)]
    known = keys_of(declared)
    wrong = wrong_answers(answers, known)
    # The check itself: it must see a key that is not there.
    blind = len(answers) < 40 or "listen" not in known[""] or not wrong_answers(["now [broker.nats] sirvers = [{}]"], known)
    for answer in wrong:
        print(f"no such key: {answer}")
    print(("FAIL" if wrong or blind else "ok") + " config: m3game's keys are answered with keys that there are")
    return 1 if wrong or blind else 0


def main():
    update = "--update" in sys.argv
    app, page, keys = [a for a in sys.argv[1:] if a != "--update"]
    declared = subprocess.run([app, "--config-reference"], stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode()
    with open(page, encoding="utf-8") as file:
        head, mark, told = file.read().partition("## Top of the file")
    if update:
        with open(page, "w", encoding="utf-8") as file:
            file.write(head + declared)
        return 0
    if mark + told == declared:
        print("ok config: the reference page says what the code declares")
        return check_answers(declared, keys)
    print("FAIL config: the reference page says what the code declares")
    print(f"make it again: python3 {sys.argv[0]} --update {app} {page} {keys}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
