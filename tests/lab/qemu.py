"""One QEMU guest: its process, its two serial ports and its QMP socket.

The first serial port is the console; on the second the guest tells facts as JSON lines.
"""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tests.lab.cache import LabError, say

# Of some 10 on a machine that has nothing else to do.
BOOT_SECONDS = 90

Fact = dict[str, Any]


class TooSlowError(LabError):
    """The guest did not come so far, in time or at all: on a busy machine, that happens."""


Result = TypeVar("Result")


def again_if_too_slow(run: Callable[[], Result], attempts: int = 3) -> Result:
    """What `run` returns, which waits for a guest: with another one when that was too slow."""
    for _ in range(attempts - 1):
        try:
            return run()
        except TooSlowError as error:
            say(f"trying again: {str(error).splitlines()[0]}")
    return run()


VIRTIO_DISK = "if=virtio,format=raw,cache=unsafe"
# A bucket of 64 MiB that is filled up again by a byte a second. QEMU completes what waits for that
# when it stops the guest, which therefore never sees it.
STOPS_ANSWERING = "throttling.bps-total=1,throttling.bps-total-max=67108864"


def read_facts(file: Path) -> list[Fact]:
    """The complete lines of it: the guest may be writing the last one."""
    if not file.exists():
        return []
    lines = file.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines if line.strip()]


class Guest:
    """A running guest; leaving the `with` block ends it."""

    def __init__(
        self,
        *,
        kernel: Path,
        initramfs: Path,
        command_line: str,
        memory_mib: int,
        cpus: str,
        disks: Sequence[Path] = (),
        failing_disk: Path | None = None,
        work: Path,
    ) -> None:
        self._console = work / "console.log"
        self._facts = work / "facts.jsonl"
        self._obeyed = 0
        # Its own short directory, since the path of a UNIX socket has at most 107 bytes.
        self._socket_directory = Path(tempfile.mkdtemp(prefix="kscope-lab-"))
        self.qmp_path = self._socket_directory / "qmp"
        command = [
            "qemu-system-x86_64",
            *("-accel", "tcg,thread=multi"),
            # With five-level page tables makedumpfile and crash fail.
            *("-cpu", "max,la57=off"),
            *("-m", f"{memory_mib}M"),
            *("-smp", cpus),
            *("-kernel", str(kernel)),
            *("-initrd", str(initramfs)),
            # On a busy host a guest waits too long for its timer and would panic at boot, and finds
            # the TSCs of its CPUs apart, which costs it a slow clock.
            *("-append", f"console=ttyS0 no_timer_check tsc=reliable {command_line}"),
            *("-display", "none", "-no-reboot", "-nodefaults"),
            *("-serial", f"file:{self._console}"),
            *("-serial", f"file:{self._facts}"),
            *("-qmp", f"unix:{self.qmp_path},server=on,wait=off"),
            # The guest's kernel tells QEMU here where its VMCOREINFO is, for dump-guest-memory.
            *("-device", "vmcoreinfo"),
        ]
        for disk in disks:
            command += ["-drive", f"file={disk},{VIRTIO_DISK}"]
        if failing_disk is not None:
            command += ["-drive", f"file={failing_disk},{VIRTIO_DISK},{STOPS_ANSWERING}"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def __enter__(self) -> "Guest":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._socket_directory, ignore_errors=True)

    def facts(self) -> list[Fact]:
        """What the guest has told so far."""
        facts = read_facts(self._facts)
        for fact in facts:
            if fact["fact"] == "failed":
                raise LabError(f"in the guest: {fact['what']}")
        return facts

    def wait_for_boot(self) -> None:
        self.wait_for_fact("booted", BOOT_SECONDS)

    def wait_for_fact(self, name: str, timeout: float) -> None:
        self._wait(lambda: any(fact["fact"] == name for fact in self.facts()), name, timeout)

    def wait_for_console(self, text: str, timeout: float) -> None:
        self._wait(lambda: text.encode() in self._console.read_bytes(), text, timeout)

    def wait_for_power_off(self, timeout: float) -> None:
        self._wait(lambda: self._process.poll() is not None, "power off", timeout)

    def _wait(self, happened: Callable[[], bool], what: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not happened():
            self._obey()
            if self._process.poll() is not None and not happened():
                raise TooSlowError(f"the guest ended before {what}\n{self._last_words()}")
            if time.monotonic() > deadline:
                raise TooSlowError(f"no {what} within {timeout:.0f} s\n{self._last_words()}")
            time.sleep(0.2)

    def _obey(self) -> None:
        """Give QEMU's monitor the commands that the guest has asked for since the last time."""
        asked = [fact["command"] for fact in self.facts() if fact["fact"] == "monitor"]
        for command in asked[self._obeyed :]:
            self._obeyed += 1
            answer = self.qmp(
                {"execute": "human-monitor-command", "arguments": {"command-line": command}}
            )
            if answer:
                raise LabError(f"QEMU's monitor, {command}: {answer}")

    def _last_words(self) -> str:
        output = b""
        if self._process.poll() is not None and self._process.stdout is not None:
            output = self._process.stdout.read()
        if self._console.exists():
            output += b"\n".join(self._console.read_bytes().splitlines()[-25:])
        return output.decode(errors="replace")

    def qmp(self, *commands: Fact, timeout: float = 120) -> Any:
        """Execute QMP commands in order on a connection of their own; what the last returned."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(self.qmp_path))
            stream = connection.makefile("rwb")
            stream.readline()
            for command in ({"execute": "qmp_capabilities"}, *commands):
                stream.write(json.dumps(command).encode() + b"\n")
                stream.flush()
                while True:
                    answer = json.loads(stream.readline())
                    if "error" in answer:
                        raise LabError(f"QMP {command['execute']}: {answer['error']['desc']}")
                    if "return" in answer:
                        break
            return answer["return"]

    def dump(self, path: Path, format: str = "elf") -> None:
        """Stop the guest and write its memory, as `virsh dump --memory-only` does."""
        arguments = {"paging": False, "protocol": f"file:{path}", "format": format}
        self.qmp(
            {"execute": "stop"},
            {"execute": "dump-guest-memory", "arguments": arguments},
            timeout=300,
        )
