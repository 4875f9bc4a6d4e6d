"""The survey's panes as lines: facts of the machine, its load, its settings, its dump."""

from __future__ import annotations

from collections.abc import Iterable

from kscope.dialect.layout import date, duration, size
from kscope.model.debug_info import DebugInfoReport
from kscope.model.system import CpuState, System
from kscope.model.target import Identity
from kscope.model.task_states import TaskStates
from kscope.screens.links import CpuLink, TaskLink
from kscope.widgets.facts import bar, facts
from kscope.widgets.line import Cell, Line, Span, line
from kscope.widgets.text_view import link

_BAR_CELLS = 9


def system_lines(system: System) -> list[Line]:
    """What crash's ``sys`` says, what the frame does not say already first, then the DMI strings,
    then what could not be read."""
    rows: list[tuple[str, Cell]] = []

    def add(label: str, value: Cell | None) -> None:
        if value:
            rows.append((label, value))

    add("DATE", None if system.date_seconds is None else date(system.date_seconds))
    add("UPTIME", None if system.uptime_seconds is None else duration(system.uptime_seconds))
    load = system.load_average
    add("LOAD", None if load is None else " ".join(f"{value:.2f}" for value in load))
    add("TASKS", None if system.tasks is None else f"{system.tasks:,}")
    add("NODENAME", system.nodename)
    add("RELEASE", system.release)
    clock: Cell = (f" {system.mhz} MHz", "dim") if system.mhz else ""
    add("MACHINE", line(system.machine, clock))
    for position, taint in enumerate(system.taints or ()):
        label = "" if position else "TAINT"
        rows.append((label, line((taint.letter, "warning strong"), " ", taint.meaning)))
    if system.panic_message:
        add("PANIC", (system.panic_message, "critical"))
    if (task := system.panic_task) is not None:
        add(
            "TASK",
            line(
                link(f"{task.comm} {task.pid}", TaskLink(task.pid, task.task), "strong"),
                (" on CPU ", "dim"),
                link(str(task.cpu), CpuLink(task.cpu)),
            ),
        )
    add("VERSION", system.version)
    if system.cpus is not None:
        offline = [(f"  {system.offline} offline", "warning")] if system.offline else []
        add("CPUS", line(str(system.cpus), *offline))
    add("MEMORY", None if system.memory is None else size(system.memory.total_bytes))
    lines = facts(rows, right=True)
    if system.dmi:
        lines += [(), line(("DMI", "header"))]
        lines += facts([(fact.name, fact.value) for fact in system.dmi], right=True)
    if system.command_line:
        lines += [(), line(("command line", "header")), line(system.command_line)]
    if system.unreadable:
        lines += [(), line(("could not be read", "critical"))]
        lines += [line((u.what, "strong"), "  ", (u.why, "dim")) for u in system.unreadable]
    return lines


_MOST_CPUS = 8
"""With more of them, those that were idle are only counted."""


def load_lines(system: System) -> list[Line]:
    """What the CPUs ran, and how full memory was."""
    lines: list[Line] = []
    if system.cpu_states:
        lines.append(_cpus_line(system))
    if (memory := system.memory) is not None and memory.free_bytes is not None:
        used = 1 - memory.free_bytes / memory.total_bytes if memory.total_bytes else 0.0
        role = "critical" if used > 0.95 else "warning" if used > 0.9 else "accent"
        lines.append(
            line(
                ("MEM", "dim"), " ", bar(used, _BAR_CELLS, role),
                f" {100 * used:.0f}%", (" of ", "dim"), size(memory.total_bytes),
            )
        )  # fmt: skip
    return lines


def states_line(states: TaskStates) -> Line:
    """How many tasks are in each state; those in UN as a bar of all that are not idle workers."""
    counts = dict(states.states)
    blocked = counts.pop("UN", 0)
    awake = blocked + sum(n for state, n in counts.items() if state != "ID")
    others: list[Cell] = [
        part for state, count in counts.items() for part in ("  ", (state, "dim"), f" {count:,}")
    ]
    role = "critical" if blocked else "accent"
    return line(
        ("UN ", "dim"), " ", bar(blocked / awake if awake else 0, _BAR_CELLS, role),
        (f" {blocked:,}", "strong" if blocked else ""), *others,
    )  # fmt: skip


def _cpus_line(system: System) -> Line:
    """What each CPU ran; where they are many, only those that were not idle."""
    panic_cpu = system.panic_task.cpu if system.panic_task else None
    shown = system.cpu_states
    if many := len(shown) > _MOST_CPUS:
        shown = tuple(
            state for state in shown if not state.idle or state.softirq or state.cpu == panic_cpu
        )
    spans: list[Cell] = [("CPU", "dim")]
    if many:
        spans += ["  ", (f"{len(system.cpu_states) - len(shown)} idle", "dim"), " "]
    for state in shown:
        spans += [" ", link(str(state.cpu), CpuLink(state.cpu), "dim"), " "]
        spans += [_cpu_word(state, panic_cpu), " "]
    return line(*spans)


def _cpu_word(state: CpuState, panic_cpu: int | None) -> Span:
    if state.cpu == panic_cpu:
        return Span("PANIC", "critical strong")
    if state.idle and state.softirq:
        # As on the CPUs screen: the idle task has nothing to do with it.
        return Span("softirq", "good", CpuLink(state.cpu))
    if state.idle:
        return Span("idle", "dim")
    target = None if state.pid is None else TaskLink(state.pid)
    return Span(state.comm, "good", target)


def settings_lines(system: System) -> list[Line]:
    """The watchdogs' settings, then the kdump reservation; what is notable stands out."""
    lines: list[Line] = [
        line(
            (setting.name.removeprefix("kernel."), "" if setting.notable else "dim"), " ",
            (str(setting.value), "strong"), "  ", (setting.meaning, "dim"),
        )
        for setting in sorted(system.settings, key=lambda setting: not setting.notable)
    ]  # fmt: skip
    if (kdump := system.crash_kernel) is not None:
        if not kdump.size_bytes:
            value: Cell = ("none reserved", "warning")
        elif kdump.loaded:
            value = f"{size(kdump.size_bytes)}, loaded"
        else:
            value = line(f"{size(kdump.size_bytes)}, ", ("nothing loaded", "warning"))
        lines.append(line(("crashkernel ", "dim"), value))
    return lines


def dump_lines(identity: Identity, system: System, debug_info: DebugInfoReport) -> list[Line]:
    """The state of the dump: its format, what is missing from it, where types come from."""
    rows: list[tuple[str, Cell]] = [("format", _format(identity))]
    if not identity.complete:
        rows.append(("", (identity.incomplete_why, "critical")))
    if system.cpu_states and not identity.live:
        rows.append(("registers", _registers(system.cpu_states)))
    itself = "kernel" if identity.live else "dump"
    types = {
        "dwarf": f"DWARF of {debug_info.kernel.vmlinux}",
        "btf": f"BTF and kallsyms of the {itself} itself",
        "none": "none",
    }[debug_info.kernel.types]
    rows.append(("types", (types, "" if debug_info.kernel.types == "dwarf" else "warning")))
    for sentence in debug_info.kernel.missing:
        rows.append(("", (sentence, "dim")))
    modules = debug_info.modules[1:]
    with_symbols = sum(module.symbols != "none" for module in modules)
    rows.append(("modules", f"{with_symbols} of {len(modules)} with symbols"))
    for module in modules:
        if module.why:
            rows.append(("", line((module.name, "strong"), "  ", (module.why, "dim"))))
    unreadable = len(system.unreadable)
    rows.append(
        (
            "unreadable",
            (f"{unreadable} value{'s' * (unreadable > 1)}", "critical")
            if unreadable
            else ("nothing", "good"),
        )
    )
    if identity.build_id:
        rows.append(("build-ID", (identity.build_id, "dim")))
    if debug_info.kernel.fetch:
        rows.append(("vmlinux", (debug_info.kernel.fetch[0], "dim")))
    return facts(rows)


def _format(identity: Identity) -> Line:
    if identity.live:
        # /proc/kcore is as large as all addresses there are.
        what = "the kernel that runs here" if identity.format == "kcore" else "a running guest"
        return line(f"{what}, ", (f"{identity.path}; F5 reads it again", "dim"))
    level = f", -d{identity.dump_level}" if identity.dump_level else ""
    compression = f" {identity.compression}" if identity.compression else ""
    return line(
        f"{identity.format}{compression}{level}, {size(identity.size_bytes)}, ",
        ("complete", "good") if identity.complete else ("incomplete", "critical strong"),
    )


def _registers(states: Iterable[CpuState]) -> Cell:
    states = list(states)
    noted = [state for state in states if state.registers == "crash note"]
    if len(noted) == len(states):
        return f"{len(states)} of {len(states)} CPUs, crash notes"
    without = ", ".join(str(s.cpu) for s in states if s.registers == "none")
    if without:
        return line(f"{len(noted)} of {len(states)} CPUs, ", (f"none of CPU {without}", "warning"))
    return "the dump's PRSTATUS notes, one per CPU"
