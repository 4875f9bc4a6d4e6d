"""Runs kscope on the kernel that it runs on, and notes what /proc said before and after.

Writes /out/NAME.json for each command: what was asked, what came, and the two views of /proc.
"""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from kscope import headless
from kscope.dialect import views
from kscope.model.base import QueryError
from kscope.model.codec import to_json
from kscope.model.target import OpenQuery
from kscope.session.answering import answer
from kscope.target.target import Target

OUT = Path("/out")
KSCOPE = [sys.executable, "-m", "kscope"]
COMMANDS = {
    "system": ["show", "system", "--live", "--json"],
    "survey-alone": ["survey", "--live", "--json"],
    "debug-info-with-vmlinux": ["show", "debug-info", "--live", "-s", "/debug/vmlinux", "--json"],
    "run-with-vmlinux": ["run", "--live", "-s", "/debug/vmlinux", "bt -l 1", "log -T | tail -1"],
    "run": [
        "run",
        "--live",
        "ps -m | grep UN",
        "bt 1",
        "p jiffies",
        "p jiffies",
        "log -T | tail -1",
    ],
}
VIEWS = ("tasks", "stacks", "log", "cpus", "locks", "task-states", "debug-info", "survey")
"""Asked of a target that stays open, as the dashboard's worker does."""
WHILE_FORKING = ("tasks", "tasks", "stacks", "cpus", "locks", "task-states", "survey")
UNAME = ("sysname", "nodename", "release", "version", "machine")
ANSWER_SECONDS = 60
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]|\x1b\][^\x07]*\x07")


def threads() -> Iterator[tuple[str, str]]:
    """PID of the group, PID of the thread."""
    for group in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for thread in (group / "task").iterdir():
                yield group.name, thread.name


def tasks() -> dict[str, dict[str, object]]:
    """Every thread by PID; what ends while it is read is left out."""
    found = {}
    for tgid, tid in threads():
        try:
            raw = Path(f"/proc/{tgid}/task/{tid}/stat").read_bytes()
        except OSError:
            continue
        pid, _, rest = raw.partition(b" (")
        comm, _, numbers = rest.rpartition(b") ")
        words = numbers.split()
        found[pid.decode()] = {
            "comm": comm.decode("latin-1"),
            "tgid": int(tgid),
            "state": words[0].decode(),
            "ppid": int(words[1]),
            "nice": int(words[16]),
            "start_ticks": int(words[19]),
            "rt_priority": int(words[37]),
            "policy": int(words[38]),
        }
    return found


def view() -> dict[str, object]:
    """What the kernel says of itself."""
    return {
        "uptime": float(Path("/proc/uptime").read_text().split()[0]),
        "time": time.time(),
        "loadavg": Path("/proc/loadavg").read_text().split(),
        "online": Path("/sys/devices/system/cpu/online").read_text().strip(),
        "meminfo": Path("/proc/meminfo").read_text(),
        "tasks": tasks(),
    }


def log() -> list[str]:
    """The kernel's log as /dev/kmsg has it."""
    records = []
    kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    while True:
        try:
            records.append(os.read(kmsg, 8192).decode("utf-8", "replace"))
        except BlockingIOError:
            break
        except BrokenPipeError:  # records were overwritten before they were read
            continue
    os.close(kmsg)
    return records


def note(name: str, what: dict[str, object]) -> None:
    (OUT / f"{name}.json").write_text(json.dumps(what))


def run(name: str, arguments: list[str]) -> None:
    before = view()
    started = time.monotonic()
    done = subprocess.run([*KSCOPE, *arguments], capture_output=True, check=False, timeout=300)
    note(name, {
        "status": done.returncode,
        "stdout": done.stdout.decode("utf-8", "surrogateescape"),
        "stderr": done.stderr.decode("utf-8", "replace"),
        "before": before,
        "after": view(),
    })  # fmt: skip
    print(f"{name}: status {done.returncode}, {time.monotonic() - started:.1f} s", flush=True)


def too_long(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"no answer within {ANSWER_SECONDS} s")


def ask(target: Target, name: str, view_name: str) -> None:
    before, log_before = view(), log()
    started = time.monotonic()
    answered: dict[str, object] = {}
    signal.alarm(ANSWER_SECONDS)
    try:
        result = answer(target, views.find(view_name).QUERY())
        answered["result"] = json.loads(to_json(result))
    except (QueryError, TimeoutError):
        answered["failure"] = traceback.format_exc()
    signal.alarm(0)
    took = time.monotonic() - started
    note(name, {
        **answered, "before": before, "after": view(), "log_before": log_before, "seconds": took,
    })  # fmt: skip
    print(f"{name}: {took:.1f} s {answered.get('failure', '')}", flush=True)


def fork_storm() -> int:
    """A process whose children come and go; returns its PID."""
    process_id = os.fork()
    if process_id:
        return process_id
    os.setpgid(0, 0)
    # What looks on is to have most of the processors' time, without KVM not much.
    os.nice(10)
    while True:
        for _ in range(8):
            if not os.fork():
                time.sleep(0.01)
                os._exit(0)
        for _ in range(8):
            os.wait()


class Terminal:
    """kscope on a pseudo-terminal."""

    def __init__(self, *arguments: str) -> None:
        self.output = b""
        self.all = b""
        self.process_id, self._master = pty.fork()
        if self.process_id == 0:
            print("SIZE", os.get_terminal_size(), flush=True)
            os.environ |= {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
            os.execv(sys.executable, [*KSCOPE, *arguments])
        self.settings = self.settings_now()

    def text(self) -> str:
        return _ESCAPES.sub(b"", self.output).decode("utf-8", "replace")

    def press(self, keys: str) -> None:
        self.output = b""
        os.write(self._master, keys.encode())

    def wait_for(self, *wanted: str, seconds: float = 120.0) -> str:
        end = time.monotonic() + seconds
        while not all(each in self.text() for each in wanted):
            if time.monotonic() > end:
                raise TimeoutError(f"{wanted} not painted, but: {self.text()[-3000:]}")
            self.read(0.1)
        self.read(1.0)
        return self.text()

    def settings_now(self) -> list[object]:
        return list(termios.tcgetattr(self._master))

    def read(self, seconds: float) -> None:
        while select.select([self._master], [], [], seconds)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            self.output += data
            self.all += data

    def wait_for_end(self) -> int:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            self.read(0.1)
            process_id, status = os.waitpid(self.process_id, os.WNOHANG)
            if process_id:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.process_id, signal.SIGKILL)
        raise TimeoutError("kscope did not end")


def dashboard() -> None:
    """A look at the screens in a terminal."""
    before = view()
    screens: dict[str, str] = {}
    clean = False
    failure, status = "", None
    terminal = Terminal("--live")
    try:
        screens["survey"] = terminal.wait_for("live", "logrotated")
        terminal.press("2")
        screens["log"] = terminal.wait_for("storlab:")
        Path("/dev/kmsg").write_text("<4>latecomer: a line that was not there before")
        terminal.press("\x1b[15~")  # F5
        screens["log again"] = terminal.wait_for("latecomer")
        terminal.press("3")
        screens["tasks"] = terminal.wait_for("backupd")
        terminal.press("4")
        screens["cpus"] = terminal.wait_for("hardlockup detector")
        terminal.press("6")
        screens["locks"] = terminal.wait_for("logrotated")
        terminal.press("\x03")
        status = terminal.wait_for_end()
        clean = terminal.settings == terminal.settings_now()
    except TimeoutError as error:
        failure = str(error)
    (OUT / "dashboard.bytes").write_bytes(terminal.all)
    note("dashboard", {
        "screens": screens, "failure": failure, "status": status, "clean": clean,
        "before": before, "after": view(),
    })  # fmt: skip
    print(f"dashboard: {failure or status}", flush=True)


def main() -> None:
    note("uname", dict(zip(UNAME, os.uname(), strict=True)))
    for name, arguments in COMMANDS.items():
        run(name, arguments)
    signal.signal(signal.SIGALRM, too_long)
    target = headless.open_here(OpenQuery(live=True))
    for name in VIEWS:
        ask(target, name, name)
    storm = fork_storm()
    for count, name in enumerate(WHILE_FORKING):
        ask(target, f"while-forking-{count}-{name}", name)
    os.killpg(storm, signal.SIGKILL)
    os.waitpid(storm, 0)
    dashboard()


main()
