"""drgn's crash commands say the same without DWARF as with it, line by line.

Where they cannot, `DIFFERENCES` says what differs and why, and the rest must still be the same.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable
from functools import cache

import drgn.cli
import pytest
from drgn import Program
from drgn.commands import run_command
from drgn.commands._crash.common import CRASH_COMMAND_NAMESPACE
from drgn.helpers.linux.kallsyms import load_module_kallsyms
from drgn.helpers.linux.pid import for_each_task

from kscope.target.drgn_helpers import import_all
from tests.target.btf.programs import SERIES, with_btf, with_dwarf

pytestmark = pytest.mark.lab

DUMP = "hung-task"

COMMANDS = """
    sys | sys config | set | set PID | log | log -T | log -t | help ps
    bt | bt -a | bt -c 0-3 | bt TASK | bt -f | bt -FF | bt -l | bt -p | bt -V | foreach bt
    runq | runq -T | runq -t | runq -m | runq -g | runq -c 0
    timer | timer -r | timer -C 0
    mod | mod -t | mount | mount -n PID | net | net -a
    kmem -i | kmem -s | kmem -S | kmem -o | kmem -f | kmem -F | kmem -v | kmem -V | kmem -n
    kmem -z | kmem -h | kmem -p | kmem -m | kmem -g | kmem TASK | kmem DENTRY | kmem TEXT
    kmem STACK | kmem -s task_struct | kmem -I task_struct -s
    ps | ps -S | ps -m | ps -y RR,FIFO | ps -G | ps -k | ps -u | ps -A | ps -s | ps -p PID
    ps -c PID | ps -t | ps -l | ps -a PID | ps -g | ps -r PID | ps -C 0
    files PID | files -c PID | files -d DENTRY | files -R / PID | vm PID
    eval 1+1 | eval -b 255 | ascii | ascii 6b73636f7065 | p jiffies | p init_task.comm
    p runqueues:a.nr_running | p tk_core | p slab_caches | p modules | p watchdog_thresh
    p panic_cpu | p saved_command_line | p rcu_state.gp_seq
    sym schedule | sym TEXT | sym -q schedule_timeout | sym -n schedule | sym -p schedule | sym -l
    whatis schedule | whatis init_task | whatis task_struct | whatis jiffies | whatis pid_t
    struct task_struct | struct task_struct.comm,pid TASK | struct task_struct TASK
    struct rq runqueues:0 | struct list_head modules | struct mm_struct MM | struct page
    struct xa_node | union thread_union | *list_head modules
    list -H modules | list -H modules -s module.name -o module.list
    list -H slab_caches -s kmem_cache.object_size -o kmem_cache.list
    tree -t maple -r mm_struct.mm_mt MM | tree -t rbtree vmap_area_root
    rd linux_banner 16 | rd -a linux_banner | rd -S STACK 32 | rd -SS STACK 32 | rd -s STACK 32
    rd -p 0x1000 4 | vtop TASK | vtop -k TASK | ptov 0x1000 | ptob 1 | btop 0x1000
    search -t TASK | search -T TASK | search -s schedule -e schedule_timeout cccccccc
    foreach files | foreach ps | foreach task | foreach vm | foreach set | foreach sig | sig PID
    sig -l | task PID | task -R comm,pid PID | ipcs | ipcs -s | ipcs -M | irq | irq -u | irq -d
    irq -a | irq -s | irq -b | dev | dev -p | dev -d | dev -D | dev -i | bpf | bpf -p | bpf -m
    swap | waitq QUEUE
"""

NOT_RUN = {
    "!": "runs a program",
    "drgn": "runs Python",
    "exit": "ends the session",
    "q": "ends the session",
}
"""Commands without an output of their own to compare."""

Normalise = Callable[[list[str]], list[str]]


def commands() -> list[str]:
    return [command.strip() for command in re.split(r"[|\n]", COMMANDS) if command.strip()]


@cache
def program(series: str, kind: str) -> Program:
    if kind == "btf":
        return with_btf(series, DUMP)
    prog = with_dwarf(series, DUMP)
    # drgn does this by itself only if the modules' own debugging information is there.
    prog.register_symbol_finder("modules", load_module_kallsyms(prog), enable_index=-1)
    return prog


@cache
def arguments(series: str) -> dict[str, str]:
    prog = with_dwarf(series, DUMP)
    user = next(task for task in for_each_task(prog) if task.mm)
    return {
        "PID": str(user.pid.value_()),
        "TASK": hex(user.value_()),
        "MM": hex(user.mm.value_()),
        "DENTRY": hex(user.fs.pwd.dentry.value_()),
        "STACK": hex(user.stack.value_() + 0x3F00),
        "TEXT": hex(prog.symbol("schedule").address + 16),
        "QUEUE": hex(user.signal.wait_chldexit.address_),
    }


def run(prog: Program, command: str) -> list[str]:
    prog.config["crash_scroll"] = False
    import_all()
    with tempfile.TemporaryFile("w+") as output:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            run_command(
                prog,
                f"crash {command}",
                globals=drgn.cli.default_globals(prog),
                onerror=lambda error: print("error:", error),
            )
        output.seek(0)
        return output.read().splitlines()


FRAME = re.compile(r"^#\d+ (\[[0-9a-f]+\]) +(\S+) (at [0-9a-f]+)")
SUFFIX = re.compile(r"\.(cold|isra|constprop|part)\b[.\d]*")
LABELS = {
    "entry_SYSCALL_64_after_hwframe": "entry_SYSCALL_64",
    "end_repeat_nmi": "asm_exc_nmi",
    "secondary_startup_64_no_verify": "secondary_startup_64",
    "common_startup_64": "secondary_startup_64",
}
"""Places inside assembly functions: kallsyms names the nearest, where an ELF symbol has a size."""


def frames(lines: list[str]) -> list[str]:
    """Without inlined frames, frame numbers, source lines and local variables.

    Functions are called what the source calls them: symbols also name the pieces they were cut
    into.
    """
    kept = []
    for line in lines:
        text = line.strip()
        frame = FRAME.match(text)
        if frame:
            stack, function, where = frame.groups()
            # DWARF names the function inlined into a system call's entry, and only that.
            name = SUFFIX.sub("", function).replace("__do_sys_", "__x64_sys_")
            kept.append(f"{stack} {LABELS.get(name, name)} {where}")
        elif not (re.match(r"#\d+ \(inline\)", text) or re.fullmatch(r"\S+: \d+", text)):
            kept.append(labels([line])[0])
    return kept


def labels(lines: list[str]) -> list[str]:
    """With places in assembly functions called after the function, without the offset."""
    return [
        re.sub(
            r"\b([A-Za-z_]\w*)\+(?:0x)?[0-9a-f]+",
            lambda m: LABELS.get(m[1], m[1]) if LABELS.get(m[1], m[1]) in LABELS.values() else m[0],
            line,
        )
        for line in lines
    ]


def only_frames(lines: list[str]) -> list[str]:
    return [line for line in frames(lines) if re.match(r"\[[0-9a-f]{16}\] \S+ at ", line)]


def frames_with_unnamed_words(lines: list[str]) -> list[str]:
    """Also without the words on the stack that either table has a name for."""
    kept = []
    for line in frames(lines):
        address, colon, words = line.partition(":  ")
        kept.append(address if colon and words.strip() else line)
    return kept


def without_kernel_path(lines: list[str]) -> list[str]:
    return [line for line in lines if "KERNEL:" not in line]


def without_source_lines(lines: list[str]) -> list[str]:
    return [re.sub(r" \S+: \d+$", "", line) for line in lines]


def without_handler_names(lines: list[str]) -> list[str]:
    return [re.sub(r"\] \S+", "]", line) for line in lines]


def members(lines: list[str]) -> list[str]:
    """With ``[0]`` as ``[]``, and without the names of what pointers point at."""
    return [re.sub(r"\)[.\w]+\+0x[0-9a-f]+ = ", ")", line.replace("[0]", "[]")) for line in lines]


def kernel_symbols(lines: list[str]) -> list[str]:
    """Without what is no address in the kernel, and kallsyms' own tables."""
    left_out = re.compile(r"[0-9a-f]{1,15} |\w+ (kallsyms_|init_per_cpu__|__init_scratch_end)")
    return sorted(line for line in lines if not left_out.match(line))


STACK = (
    "BTF has no inlined frames and no source lines; a frame is named by its symbol instead of its"
    " function",
    frames,
)
SOURCE = ("only DWARF has source lines", without_source_lines)
NEAREST = ("kallsyms names the nearest label where ELF symbols name the function", labels)
VALUES = (
    "BTF does not tell [0] from []; where several symbols have one address, each table picks one",
    members,
)

DIFFERENCES: dict[str, tuple[str, Normalise]] = {
    "sys": ("no vmlinux is in use that could be named", without_kernel_path),
    **dict.fromkeys(
        [command for command in commands() if re.match(r"(foreach )?bt\b", command)], STACK
    ),
    "bt -V": ("BTF has no local variables", only_frames),
    "bt -FF": (
        "kallsyms has no symbols of string constants",
        frames_with_unnamed_words,
    ),
    "sym -l": ("kallsyms leaves out constants and itself", kernel_symbols),
    **dict.fromkeys(["sym schedule", "sym TEXT", "sym -n schedule", "sym -p schedule"], SOURCE),
    **dict.fromkeys(["rd -S STACK 32", "rd -SS STACK 32", "rd -s STACK 32"], NEAREST),
    **dict.fromkeys(["struct task_struct TASK", "task PID", "foreach task"], VALUES),
    "irq -d": ("several symbols have one address; each table picks its own", without_handler_names),
}


def test_every_crash_command_is_compared() -> None:
    compared = {command.split()[0].removeprefix("*") or "*" for command in commands()}
    compared |= {"*" for command in commands() if command.startswith("*")}
    names = {name for name, _command in CRASH_COMMAND_NAMESPACE.enabled(program("6.1", "btf"))}
    assert names - compared - set(NOT_RUN) == set()


@pytest.mark.parametrize("command", commands())
@pytest.mark.parametrize("series", SERIES)
def test_a_command_without_dwarf(series: str, command: str) -> None:
    line = re.sub(r"\b[A-Z]{2,}\b", lambda m: arguments(series).get(m[0], m[0]), command)
    expected, found = (run(program(series, kind), line) for kind in ("dwarf", "btf"))
    if command in DIFFERENCES:
        _why, normalise = DIFFERENCES[command]
        expected, found = normalise(expected), normalise(found)
    assert expected
    assert found == expected
