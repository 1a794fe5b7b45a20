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
    """The answers that name a section, a key of a section, or a key of the top that there is not."""
    out = []
    sections = set(known) | {key.split(".")[0] for key in known[""] if "." in key}
    for answer in answers:
        named = re.findall(r"\[([a-z_]+(?:\.[a-z_]+)?)\]", answer)
        section = named[0] if named else ""
        keys = known.get(section) or {key.partition(".")[2] for key in known[""] if key.startswith(section + ".")}
        wrong = [name for name in named if name not in sections]
        wrong += [key for key in re.findall(r"\b(\w+) = ", answer) if key not in keys]
        if wrong:
            out.append(answer)
    return out


def check_answers(declared, source):
    with open(source, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r'"\s*\n\s*"', "", text[:text.index("kOldRoots")])  # a literal of two lines is one answer
    answers = [a.replace('\\"', '"') for a in re.findall(r'"((?:[^"\\]|\\.)*)"', text) if " " in a]
    known = keys_of(declared)
    wrong = wrong_answers(answers, known)
    # The check itself: it must see what is not there.
    bad = ["now [broker.nats] sirvers = [{}]", "now [database.mongo]", "now [database.sqlite] file = {}", "now lissten = {} at the top of the file",
           "now [admin] port = {}", "write [lease.consul] or [broker.nats]"]
    blind = len(answers) < 20 or "listen" not in known[""] or wrong_answers(bad, known) != bad
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
