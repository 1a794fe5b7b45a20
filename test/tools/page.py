# SPDX-License-Identifier: BSL-1.0
"""Pages that a test plays as a reader would: their files are written, their commands are typed, what they show is compared.

 - A fence of another language than console or text is a file. Its first line is a comment with the path: `// room/room.proto`,
   `# room.toml`.
 - A fence ```console is the reader's terminal. Behind `$ ` stands a command; below it what it prints, all of it. `…` is anything within
   a line, and on a line of its own any lines. A command succeeds, unless a line that is shown begins with `error: ` or `FILE:LINE: `.
 - ```console eventually: each command is typed again until it prints what is shown.
 - ```console 2: another terminal, with one command that goes on. It is waited for what is shown. A fence without a command is what
   this terminal shows next.
"""
import dataclasses
import os
import re
import select
import signal
import subprocess
import time

from cases import PATIENCE

NOT_PLAYED = ("text", "sh", "")
FAILS = re.compile(r"error: |\S+:\d+: ")
NAMED = re.compile(r"(?://|#) (\S+)\n")
WORK = 300  # seconds; for one command, such as a build
END = "\x01"


class Wrong(AssertionError):
    """What the page says is not so."""


@dataclasses.dataclass
class Fence:
    line: int  # of its first line within
    info: str  # "cpp", "console 2"
    text: str
    section: str  # the heading above it


@dataclasses.dataclass
class Command:
    line: int
    text: str  # "": a terminal goes on
    shown: list


def fences(text):
    """Every fence of a page."""
    out, fence, section = [], None, ""
    for number, line in enumerate(text.split("\n"), 1):
        if fence and line.startswith("```"):
            out.append(fence)
            fence = None
        elif fence:
            fence.text += line + "\n"
        elif line.startswith("```"):
            fence = Fence(number + 1, line[3:].strip(), "", section)
        elif line.startswith("#"):
            section = line.lstrip("# ")
    assert fence is None, f"{fence.line - 1}: a fence that does not end"
    return out


def commands(fence):
    """What is typed in a fence, each with what is shown below it."""
    out = []
    for number, line in enumerate(fence.text.split("\n")[:-1], fence.line):
        if line.startswith("$ "):
            out.append(Command(number, line[2:], []))
        elif line.startswith("> ") and out and not out[-1].shown:
            out[-1].text += "\n" + line[2:]
        else:
            if not out:
                out.append(Command(number, "", []))
            out[-1].shown.append(line)
    return out


def pattern(shown):
    out = ""
    for line in shown:
        if line.strip() == "…":
            out += r"(?:[^\n]*\n)*?"
        else:
            out += ".*?".join(map(re.escape, line.rstrip().split("…"))) + "[ \t]*\n"
    return re.compile(out)


def with_end(text):
    return text if not text or text.endswith("\n") else text + "\n"


class Shell:
    """One bash that is given a command at a time."""

    def __init__(self, folder, env):
        self.process = subprocess.Popen(["bash", "--noprofile", "--norc"], cwd=folder, env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def type(self, command):
        """The exit code, and what was printed."""
        self.process.stdin.write(f"{{ {command}\n}} </dev/null; printf '{END}%d{END}' $?\n".encode())
        self.process.stdin.flush()
        out, until = b"", time.monotonic() + WORK
        while not (end := re.fullmatch(f"(.*){END}(\\d+){END}", out.decode(errors="replace"), re.DOTALL)):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Wrong(f"it has not ended within {WORK} s, and printed\n{out.decode(errors='replace')}")
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                raise Wrong(f"the shell ended\n{out.decode(errors='replace')}")
            out += piece
        return int(end[2]), end[1]

    def close(self):
        end_group(self.process, signal.SIGKILL)


class Terminal:
    """One command that goes on."""

    def __init__(self, command, folder, env, output):
        self.output, self.read = output, 0
        with open(output, "wb") as file:
            self.process = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                                            stdout=file, stderr=subprocess.STDOUT, start_new_session=True)

    def shows(self, shown):
        wanted, until = pattern(shown), time.monotonic() + PATIENCE
        while True:
            ended = self.process.poll() is not None  # before its output is read
            text = self.output.read_text(errors="replace")
            if found := wanted.match(text, self.read):
                self.read = found.end()
                return
            if ended or time.monotonic() > until:
                raise Wrong(f"printed{', and ended' if ended else ''}\n{text[self.read:]}\nexpected\n" + "\n".join(shown))
            time.sleep(0.01)

    def stop(self):
        """Ctrl-C, unless it has ended."""
        if self.process.poll() is None:
            end_group(self.process, signal.SIGINT)
        code = self.process.wait(PATIENCE)
        if code != 0:
            raise Wrong(f"ended with {code}\n{self.output.read_text(errors='replace')}")

    def close(self):
        end_group(self.process, signal.SIGKILL)


def end_group(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
    if number == signal.SIGKILL:
        process.wait()


class Player:
    """Plays pages in a folder. `replaced`: what stands otherwise here than in the page, such as a port: pairs, of which the
    first occurs in files, commands and what is shown."""

    def __init__(self, folder, env, replaced=()):
        self.folder, self.env, self.replaced = folder, env, replaced
        self.shell = Shell(folder, env)
        self.terminals = {}
        self.commands = self.lines = 0  # typed, written

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shell.close()
        for terminal in self.terminals.values():
            terminal.close()

    def here(self, text):
        for old, new in self.replaced:
            text = text.replace(old, new)
        return text

    def play(self, name, text, section=None):
        """The page, or one section of it."""
        for fence in fences(text):
            if section and fence.section != section:
                continue
            words = fence.info.split()
            if fence.info in NOT_PLAYED:
                continue
            if words[0] != "console":
                self.write(name, fence)
                continue
            for command in commands(fence):
                print(f"{name}:{command.line}: {command.text}", flush=True)
                self.commands += bool(command.text)
                try:
                    self.type(words[1:], Command(command.line, self.here(command.text),
                                                 [self.here(line) for line in command.shown]))
                except Wrong as wrong:
                    raise Wrong(f"{name}:{command.line}: {command.text}\n{wrong}") from None

    def write(self, name, fence):
        named = NAMED.match(fence.text)
        if not named:
            raise Wrong(f"{name}:{fence.line}: this file has no name: its first line is a comment with its path")
        code, where = self.shell.type("pwd")
        path = os.path.join(where.strip(), named[1])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.here(fence.text))
        self.lines += fence.text.count("\n") - 1  # its name is not typed

    def type(self, how, command):
        if how and how[0].isdigit():
            self.type_elsewhere(how[0], command)
            return
        until = time.monotonic() + PATIENCE
        while True:
            code, printed = self.shell.type(command.text)
            fine = pattern(command.shown).fullmatch(with_end(printed))
            if fine or how != ["eventually"] or time.monotonic() > until:
                break
            time.sleep(0.02)
        if not fine:
            raise Wrong(f"printed\n{printed}\nexpected\n" + "\n".join(command.shown))
        if code != 0 and not any(map(FAILS.match, command.shown)):
            raise Wrong(f"ended with {code}\n{printed}")

    def type_elsewhere(self, number, command):
        if command.text:
            if number in self.terminals:
                self.terminals.pop(number).stop()
            _, where = self.shell.type("pwd")
            self.terminals[number] = Terminal(command.text, where.strip(), self.env, self.folder / f"terminal-{number}")
        self.terminals[number].shows(command.shown)

    def stop(self):
        """Ctrl-C in every other terminal. What runs there ends well."""
        while self.terminals:
            self.terminals.popitem()[1].stop()
