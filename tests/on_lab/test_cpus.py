"""CPUs equal crash, drgn and what the lab set up, with the dump's own types and with DWARF."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pytest
from drgn import Object, cast
from drgn.helpers.linux.percpu import per_cpu, per_cpu_ptr
from drgn.helpers.linux.sched import cpu_curr, cpu_rq
from drgn.helpers.linux.stack import kernel_stack_trace
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns
from drgn.helpers.linux.timer import hrtimer_clock_base_for_each, timer_base_for_each

from kscope.dialect.cpu import bt, runq
from kscope.dialect.cpu.timer import wheels
from kscope.model.base import QueryError
from kscope.model.cpus import INTERRUPT_FLAG, Cpu, Cpus, CpusQuery, Ipi, Queued, state_of
from kscope.screens.cpu_grid import CpuGrid
from kscope.session.answering import answer
from kscope.widgets.line import plain
from tests.lab.cache import LabError
from tests.lab.catalogue import find
from tests.lab.oracle import crash
from tests.on_lab.opening import CAPTURED, PANICS, SERIES, open_lab
from tests.screens.conftest import dashboard_on, keys

pytestmark = pytest.mark.lab

KDUMPS = (
    "demo", "sysrq", "null-deref", "soft-lockup", "offline-cpu-1", "stuck-cpus", "panic-stopped"
)  # fmt: skip
"""Dumps that crash opens with either kernel."""
OTHER_KDUMPS = (
    (*(name for name in PANICS if name not in KDUMPS), "offline-cpu")
    if os.environ.get("KSCOPE_ALL_DUMPS")
    else ()
)
"""crash takes minutes to start on all of these; KSCOPE_ALL_DUMPS=1 does that."""
TYPES = ("btf", "dwarf")
KERNEL_SPACE = 1 << 63
EVERYTHING = CpusQuery(
    backtrace=True, full=True, raw=True, runqueue=True, timers=True, watchdog=True
)


@lru_cache(maxsize=4)
def read(name: str, series: str, types: str = "btf") -> Cpus:
    return answer(open_lab(name, series, types), EVERYTHING)


_COMMANDS = ("bt", "bt -a", "bt -a -f", "runq", "runq -T", "runq -g", "timer", "timer -r")


@lru_cache
def _crash(name: str, series: str) -> dict[str, str]:
    # crash needs several seconds to start: it is asked for everything at once.
    try:
        answers = crash(find(name, series), _COMMANDS)
    except LabError as error:
        if (name, series) != ("stuck-cpus", "6.1"):
            raise
        # It opens about every second one: where it finds no task that panicked before it comes to
        # an exception stack of size 0, it gives up.
        pytest.skip(str(error).splitlines()[0])
    return dict(zip(_COMMANDS, answers, strict=True))


def crash_says(name: str, series: str, command: str) -> str:
    return _crash(name, series)[command]


def words(text: str) -> list[str]:
    """Lines without indentation, each blank one."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def as_crash_knows(cpus: Sequence[Cpu]) -> str:
    """Runqueues without what crash does not look for."""
    text = "\n\n".join(runq.runqueue(cpu) for cpu in cpus).replace("  (THROTTLED)", "")
    return re.sub(r"\n  (?:STOP TASK|DL TASKS|WAKE LIST):(?:\n     .*)+", "", text)


def named(name: str, series: str, comm: str) -> Cpu:
    return next(cpu for cpu in read(name, series).cpus if cpu.current and cpu.current.comm == comm)


# Runqueues.


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", KDUMPS)
def test_runq_equals_crash(name: str, series: str, types: str) -> None:
    ours = as_crash_knows(read(name, series, types).cpus)
    assert words(ours) == words(crash_says(name, series, "runq"))


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", KDUMPS)
def test_lag_equals_crash(name: str, series: str) -> None:
    ours = runq.lag(read(name, series).cpus)
    assert words(ours) == words(crash_says(name, series, "runq -T"))


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", KDUMPS)
def test_task_groups_equal_crash(name: str, series: str) -> None:
    ours = "\n\n".join(runq.groups(cpu) for cpu in read(name, series).cpus)
    assert words(ours) == words(crash_says(name, series, "runq -g"))


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", OTHER_KDUMPS)
def test_runqueues_of_every_other_dump_equal_crash(name: str, series: str) -> None:
    cpus = read(name, series).cpus
    ours = {
        "runq": as_crash_knows(cpus),
        "runq -T": runq.lag(cpus),
        "runq -g": "\n\n".join(map(runq.groups, cpus)),
    }
    assert {command: words(text) for command, text in ours.items()} == {
        command: words(crash_says(name, series, command)) for command in ours
    }


@pytest.mark.parametrize("series", SERIES)
def test_tasks_that_share_a_cpu_are_on_its_queue(series: str) -> None:
    cpu = read("demo", series).cpus[3]
    assert cpu.current is not None
    sharing = {cpu.current.comm, *(task.comm for task in cpu.fair)}
    assert {"compressd", "checksumd"} <= sharing


@pytest.mark.parametrize("series", SERIES)
def test_a_real_time_task_is_on_its_queue_while_it_runs(series: str) -> None:
    # Since Linux kernel commit d741f297bcea ("sched/fair: Fair server interface") (in v6.12), fair
    # tasks have 50 ms of each second even there.
    cpu = read("demo", series).cpus[2]
    assert cpu.current is not None
    assert cpu.current.comm in ("rtpoll", "collector")
    running = cpu.current.comm == "rtpoll"
    assert [(task.comm, task.prio, task.current) for task in cpu.rt] == [("rtpoll", 69, running)]


@pytest.mark.parametrize("series", SERIES)
def test_a_task_kept_from_the_cpu_waits_as_long_as_drgns_numbers_say(series: str) -> None:
    program = open_lab("demo", series).program
    newest = max(cpu_rq(program, cpu).clock.value_() for cpu in range(4))
    queues = [(*cpu.rt, *cpu.fair) for cpu in read("demo", series).cpus]
    waiting = [task for queue in queues for task in queue if task.task and not task.current]
    assert {task.comm for task in waiting} & {"compressd", "checksumd"}
    for task in waiting:
        queued = Object(program, "struct task_struct *", task.task).sched_info.last_queued
        assert task.waiting_ns == newest - queued.value_()


def test_eevdf_has_a_deadline_and_cfs_has_not() -> None:
    assert [task.deadline_ns for task in read("demo", "6.1").cpus[3].fair] == [None]
    (task,) = read("demo", "6.12").cpus[3].fair
    assert task.deadline_ns is not None
    assert task.slice_ns is not None


def test_real_time_bandwidth_is_left_out_by_kernels_without_it() -> None:
    old, new = read("demo", "6.1").cpus[0].queues, read("demo", "6.12").cpus[0].queues
    assert old is not None
    assert new is not None
    assert (old.rt_throttled, old.rt_runtime_ns) == (False, 950_000_000)
    assert (new.rt_throttled, new.rt_runtime_ns) == (None, None)


@pytest.mark.parametrize("series", SERIES)
def test_the_stop_task_waits_where_nothing_else_can_be_scheduled(series: str) -> None:
    queues = named("soft-lockup", series, "spinner").queues
    assert queues is not None
    assert queues.stop is not None
    assert queues.stop.comm == "migration/1"


# Backtraces.

_FRAME = re.compile(r"#\d+ \[(\w+)\] (\S+) at (\w+)")
_NOT_IN_THE_NOTE = {"machine_kexec", "__crash_kexec"}
"""crash finds by looking through the stack what was called after the registers were saved."""


def frames(text: str) -> list[tuple[str, str, str]]:
    """Stack address, function and address of each frame."""
    return [
        (match[1], match[2], match[3])
        for match in map(_FRAME.match, words(text))
        if match and match[2] not in _NOT_IN_THE_NOTE
    ]


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", ["demo", "sysrq", "null-deref"])
def test_backtraces_equal_crash(name: str, series: str, types: str) -> None:
    expected = frames(crash_says(name, series, "bt -a"))
    found = frames("\n\n".join(bt.backtrace(cpu) for cpu in read(name, series, types).cpus))
    if types == "dwarf":
        # With an ELF symbol table, the entry code's inner labels have no names of their own.
        found = [(sp, "", pc) for sp, _, pc in found]
        expected = [(sp, "", pc) for sp, _, pc in expected]
    assert found == expected


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", sorted({*KDUMPS, *OTHER_KDUMPS} - {"stuck-cpus", "panic-stopped"}))
def test_no_frame_of_crash_is_missing(name: str, series: str) -> None:
    # crash itself leaves out a call that is the last instruction of its function. Of dumps from
    # outside and of offline CPUs it shows what is left on the stack from earlier.
    printed = {
        int(match[1]): frames(block)
        for block in re.split(r"\n\n(?=PID)", crash_says(name, series, "bt -a"))
        if (match := re.search(r"CPU: (\d+)", block))
    }
    for cpu in read(name, series).cpus:
        if cpu.offline:
            continue
        found = iter([(sp, pc) for sp, _, pc in frames(bt.backtrace(cpu))])
        assert [f for f in printed[cpu.cpu] if (f[0], f[2]) not in found] == []


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize(
    "name", ["demo", "soft-lockup", "hard-lockup", "deadlock", "stuck-cpus", "deferred-work"]
)
def test_backtraces_equal_drgn(name: str, series: str, types: str) -> None:
    program = open_lab(name, series, types).program
    for cpu in read(name, series, types).cpus:
        trace = [(f.pc, f.sp) for f in kernel_stack_trace(cpu_curr(program, cpu.cpu))]
        ours = [(f.address, f.sp) for f in cpu.backtrace if f.interrupted or not _handler(cpu, f)]
        in_user = sum(sp < KERNEL_SPACE for _, sp in trace)
        # What drgn finds in a program's memory behind its first frame is noise.
        assert ours == trace[: len(trace) - max(0, in_user - 1)]


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", [*PANICS, *CAPTURED, "demo", "stuck-cpus", "deferred-work"])
def test_only_the_last_frame_of_a_cpu_may_be_a_programs(name: str, series: str) -> None:
    for cpu in read(name, series).cpus:
        where = [frame.sp is not None and frame.sp < KERNEL_SPACE for frame in cpu.backtrace]
        assert not any(where[:-1])


def _handler(cpu: Cpu, frame: Any) -> bool:
    """Whether it is of a handler, which the registers that drgn begins with leave out."""
    segment = cpu.segments[frame.segment]
    return segment.stopped and segment.rflags is None


@pytest.mark.parametrize("series", SERIES)
def test_the_nmi_that_stopped_a_cpu_is_a_segment_of_its_own(series: str) -> None:
    stopped_by_nmi = [cpu for cpu in read("sysrq", series).cpus if cpu.idle]
    assert stopped_by_nmi
    for cpu in stopped_by_nmi:
        nmi, *interrupted = cpu.segments
        assert (nmi.kind, nmi.stopped) == ("nmi", True)
        # The task alone, or what had interrupted that just before.
        assert interrupted
        assert not any(segment.stopped or segment.kind == "nmi" for segment in interrupted)
        assert cpu.backtrace[0].function == "crash_nmi_callback"


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
def test_a_softirq_is_said_to_run_on_the_irq_stack_above_what_it_interrupted(
    series: str, types: str
) -> None:
    cpu = read("deferred-work", series, types).cpus[3]
    assert [(segment.kind, segment.softirq) for segment in cpu.segments] == [
        ("irq", "run_timer_softirq"), ("task", ""),
    ]  # fmt: skip
    function = find("deferred-work", series).manifest["in_softirq"]["3"]
    assert (cpu.backtrace[0].function, cpu.softirq) == (function, "run_timer_softirq")
    assert cpu.interrupt == ""


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize(
    ("name", "command"), [("deferred-work", "bt -c 3"), ("machine-check", "bt -c 1")]
)
def test_a_softirqs_and_a_machine_checks_backtrace_equal_crash(
    name: str, command: str, types: str
) -> None:
    # Not on 6.1: crash does not open its dump from outside, and it was made without machine checks.
    (printed,) = crash(find(name, "6.12"), [command])
    cpu = read(name, "6.12", types).cpus[int(command[-1])]
    # Where a CPU was interrupted, crash has the function above the frames, with its registers.
    expected = [(sp, pc) for sp, _, pc in frames(printed)]
    calls = [(sp, pc) for sp, _, pc in frames(bt.backtrace(cpu))]
    assert [call for call in calls if call in expected] == expected
    tops = {f"[exception RIP: {f.function}+{f.offset}]" for f in cpu.backtrace if f.interrupted}
    assert set(re.findall(r"\[exception RIP: \S+\]", printed)) <= tops
    assert len(calls) - len(expected) <= len(tops)


@pytest.mark.parametrize("types", TYPES)
def test_a_machine_check_has_an_exception_stack_of_its_own(types: str) -> None:
    cpu = read("machine-check", "6.12", types).cpus[1]
    assert [segment.kind for segment in cpu.segments] == ["exception", "task", "user"]
    assert cpu.segments[0].stopped


@pytest.mark.parametrize("series", SERIES)
def test_an_idle_cpu_in_a_softirq_is_locked_up_as_long_as_the_kernel_said(series: str) -> None:
    cpu = read("deferred-work", series).cpus[3]
    assert cpu.idle
    assert cpu.lockup is not None
    assert cpu.lockup.kind == "soft"
    assert 10 < cpu.lockup.seconds < 120


@pytest.mark.parametrize("series", SERIES)
def test_registers_are_those_of_crash(series: str) -> None:
    printed = words(crash_says("sysrq", series, "bt -a"))
    for cpu in read("sysrq", series).cpus:
        for line in words(bt.backtrace(cpu)):
            if re.match(r"R[A-Z0-9]+: ", line):
                assert line in printed


@pytest.mark.parametrize("series", SERIES)
def test_a_frame_holds_the_words_that_crash_shows(series: str) -> None:
    printed = words(crash_says("sysrq", series, "bt -a -f"))
    idle = next(cpu for cpu in read("sysrq", series).cpus if cpu.idle)
    frame = next(frame for frame in idle.backtrace if frame.function == "cpu_startup_entry")
    assert frame.sp is not None
    assert f"{frame.sp:016x}: {' '.join(map(str, frame.words[:2]))}" in printed


@pytest.mark.parametrize("series", SERIES)
def test_the_raw_stack_is_what_is_in_memory(series: str) -> None:
    program = open_lab("sysrq", series).program
    for cpu in read("sysrq", series).cpus:
        start = cpu_curr(program, cpu.cpu).stack.value_()
        data = program.read(start, program["THREAD_SIZE"].value_())
        assert b"".join(int(w.value).to_bytes(8, "little") for w in cpu.raw_stack) == data


# Interrupts, lockups.


@pytest.mark.parametrize("series", SERIES)
def test_interrupts_are_off_on_the_cpu_that_spins_without_them(series: str) -> None:
    (stuck,) = (
        s for s in find("hard-lockup", series).manifest["spinning"] if not s["irqs_enabled"]
    )
    cpus = read("hard-lockup", series).cpus
    off = {cpu.cpu: cpu for cpu in cpus if cpu.irqs_enabled is False}
    assert state_of(off.pop(stuck["cpu"])) == "X"
    # Another may have been in an interrupt at that moment, so not for long.
    assert all((cpu.tick_ago_ns or 0) < 10**8 for cpu in off.values())


@pytest.mark.parametrize("series", SERIES)
def test_a_cpu_with_interrupts_off_has_had_no_tick(series: str) -> None:
    cpus = read("hard-lockup", series).cpus
    assert [cpu.cpu for cpu in cpus if (cpu.tick_ago_ns or 0) > 10**9] == [2]


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", ["soft-lockup", "hard-lockup"])
def test_a_cpu_that_spins_for_a_lock_says_for_which(name: str, series: str, types: str) -> None:
    manifest = find(name, series).manifest
    (waiter,) = (s for s in manifest["spinning"] if s["waits_for"])
    (lock,) = (lock for lock in manifest["locks"] if lock["name"] == waiter["waits_for"])
    (cpu,) = (cpu for cpu in read(name, series, types).cpus if cpu.spinning is not None)
    assert cpu.spinning is not None
    assert cpu.cpu == waiter["cpu"]
    assert cpu.spinning.what == "a spinlock"
    assert cpu.spinning.name == waiter["waits_for"]
    assert cpu.spinning.lock == int(lock["address"], 16)
    assert cpu.spinning.caller == "storlab_take_spinlock"


@pytest.mark.parametrize("series", SERIES)
def test_the_soft_lockup_is_on_the_cpu_that_spins_and_took_interrupts(series: str) -> None:
    dump = find("soft-lockup", series)
    (spinner,) = (s for s in dump.manifest["spinning"] if not s["waits_for"])
    cpu = named("soft-lockup", series, "spinner")
    assert cpu.cpu == spinner["cpu"]
    assert cpu.panicked
    assert cpu.irqs_enabled is True
    assert cpu.lockup is not None
    assert cpu.lockup.kind == "soft"


@pytest.mark.parametrize("series", SERIES)
def test_a_lockup_has_lasted_as_long_as_the_kernel_said(series: str) -> None:
    said = re.search(
        r"soft lockup - CPU#1 stuck for (\d+)s", find("soft-lockup", series).log.read_text()
    )
    assert said is not None
    lockup = named("soft-lockup", series, "spinner").lockup
    assert lockup is not None
    # The kernel counts in units of 2^30 ns and prints them as seconds; the clock went on.
    assert 0 <= lockup.seconds - int(said[1]) <= 1


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", [*PANICS, "deadlock", "cpus64"])
def test_only_the_lockups_that_were_made_are_found(name: str, series: str) -> None:
    locked = {cpu.cpu for cpu in read(name, series).cpus if cpu.lockup is not None}
    # The CPU that spins for the lock may have been found out, too.
    assert locked <= ({1, 2} if name == "soft-lockup" else set())


@pytest.mark.parametrize("series", SERIES)
def test_panic_called_from_a_system_call_says_nothing_about_interrupts(series: str) -> None:
    cpu = named("sysrq", series, "crasher")
    assert cpu.panicked
    assert cpu.irqs_enabled is None


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", ["bug", "null-deref", "general-protection"])
def test_a_crash_by_an_exception_shows_how_interrupts_were_before_it(
    name: str, series: str
) -> None:
    cpu = named(name, series, "crasher")
    assert [segment.stopped for segment in cpu.segments][:2] == [True, False]
    assert cpu.irqs_enabled is True


@pytest.mark.parametrize("series", SERIES)
def test_the_panic_cpu_is_that_of_crash(series: str) -> None:
    cpu = next(cpu for cpu in read("sysrq", series).cpus if cpu.panicked)
    assert f"CPU: {cpu.cpu} " in crash_says("sysrq", series, "bt")


# RCU, work, IPIs.


@pytest.mark.parametrize("series", SERIES)
def test_the_grace_period_is_held_up_by_the_cpu_that_the_kernel_named(series: str) -> None:
    log = find("rcu-stall", series).log.read_text()
    named_by_kernel = re.search(r"rcu:\s+(\d+)-", log)
    sequence = re.search(r"jiffies,? g=(-?\d+)", log)
    assert named_by_kernel is not None
    assert sequence is not None
    cpus = read("rcu-stall", series).cpus
    holding = [cpu for cpu in cpus if cpu.health and cpu.health.rcu.holds_up]
    assert [cpu.cpu for cpu in holding] == [int(named_by_kernel[1])]
    assert holding[0].health is not None
    assert holding[0].health.rcu.gp_seq == int(sequence[1])


@pytest.mark.parametrize("series", SERIES)
def test_a_stuck_work_item_is_with_its_worker(series: str) -> None:
    pools = [pool for cpu in read("demo", series).cpus if cpu.health for pool in cpu.health.pools]
    busy = [worker.function.name for pool in pools for worker in pool.busy]
    assert "storlab_flush_fn" in busy


@pytest.mark.parametrize("series", SERIES)
def test_work_that_a_spinning_cpu_keeps_waiting_is_pending(series: str) -> None:
    health = named("soft-lockup", series, "spinner").health
    assert health is not None
    stalled = [pool for pool in health.pools if pool.pending]
    assert max(pool.stalled_ns or 0 for pool in stalled) > 5 * 10**9
    assert not any(pool.stuck for pool in stalled)  # the workqueue watchdog allows 30 s


# CPUs on which everything waits: 1 takes no interrupts, 2 waits for it, 3 has real-time tasks.


def stuck(series: str, types: str = "btf") -> tuple[tuple[Cpu, ...], dict[str, Any]]:
    return read("stuck-cpus", series, types).cpus, find("stuck-cpus", series).manifest


def comms(tasks: Sequence[Queued]) -> list[str]:
    """Of the lab's own tasks, in their order."""
    return [task.comm for task in tasks if task.task and not task.comm.startswith("k")]


def unanswered(cpu: Cpu) -> tuple[Ipi, ...]:
    assert cpu.health is not None
    return cpu.health.ipis


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
def test_calls_that_a_cpu_has_not_taken_are_those_that_were_made(series: str, types: str) -> None:
    cpus, manifest = stuck(series, types)
    calls = [
        {
            "function": ipi.function and ipi.function.name,
            "from": ipi.from_cpu,
            "waits": ipi.kind == "call, sender waits",
        }
        for ipi in unanswered(cpus[1])
        if ipi.kind.startswith("call")
    ]
    assert calls == manifest["calls"]["1"]


@pytest.mark.parametrize("series", SERIES)
def test_only_the_cpu_without_interrupts_has_ipis_pending(series: str) -> None:
    cpus, _ = stuck(series)
    assert [cpu.cpu for cpu in cpus if unanswered(cpu)] == [1]


@pytest.mark.parametrize("series", SERIES)
def test_the_kernels_own_question_about_a_stall_is_among_them(series: str) -> None:
    cpus, _ = stuck(series)
    work = [
        ipi.function.name for ipi in unanswered(cpus[1]) if ipi.kind == "irq work" and ipi.function
    ]
    assert work == ["rcu_iw_handler"]
    # CPU 2 spins in the kernel, too, and may have had no quiet moment in this grace period.
    holding_up = {cpu.cpu for cpu in cpus if cpu.health and cpu.health.rcu.holds_up}
    assert {1} <= holding_up <= {1, 2}


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
def test_tasks_woken_for_a_cpu_that_took_no_notice_are_on_its_wake_list(
    series: str, types: str
) -> None:
    cpus, manifest = stuck(series, types)
    found = {cpu.cpu: comms(cpu.queues.wake_list) for cpu in cpus if cpu.queues}
    assert found == {0: [], 1: manifest["wakeups"]["1"], 2: [], 3: []}


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
def test_who_spins_for_an_answer_says_which_cpu_owes_it(series: str, types: str) -> None:
    cpus, _ = stuck(series, types)
    (caller,) = (cpu for cpu in cpus if cpu.spinning is not None)
    assert caller.spinning is not None
    assert (caller.cpu, caller.spinning.cpus) == (2, (1,))
    assert caller.spinning.what == "CPU 1 to handle storlab_called_and_awaited"
    assert caller.spinning.caller.startswith("storlab_")


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
def test_tasks_of_every_class_are_on_the_queue_in_the_order_they_would_run(
    series: str, types: str
) -> None:
    cpus, manifest = stuck(series, types)
    for number, expected in manifest["queued"].items():
        cpu = cpus[int(number)]
        assert (comms(cpu.dl), comms(cpu.rt)) == (expected["dl"], expected["rt"])
        assert sorted(comms(cpu.fair)) == expected["fair"]


@pytest.mark.parametrize("series", SERIES)
def test_a_task_behind_a_stuck_one_has_waited_since_it_came(series: str) -> None:
    cpus, manifest = stuck(series)
    for number in manifest["queued"]:
        cpu = cpus[int(number)]
        waiting = [t.waiting_ns for t in (*cpu.dl, *cpu.rt, *cpu.fair) if t.task and comms([t])]
        # They came 35 s before the dump was taken, give or take what a busy host does to a guest.
        assert all(w is not None and 20 * 10**9 < w < 240 * 10**9 for w in waiting)


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
def test_real_time_tasks_that_used_up_their_share_are_throttled(series: str, types: str) -> None:
    cpus, manifest = stuck(series, types)
    throttled = [cpu.cpu for cpu in cpus if cpu.queues and cpu.queues.rt_throttled]
    assert throttled == manifest["realtime_throttled"][series]
    assert comms(cpus[3].rt) == manifest["realtime"]["3"]


def test_a_throttled_queue_has_run_for_as_long_as_it_may() -> None:
    queues = stuck("6.1")[0][3].queues
    assert queues is not None
    assert queues.rt_runtime_ns == 18 * 10**9
    assert queues.rt_time_ns is not None
    assert queues.rt_time_ns >= queues.rt_runtime_ns


@pytest.mark.parametrize("series", SERIES)
def test_deadline_tasks_that_never_ran_have_missed_their_deadlines(series: str) -> None:
    cpu = stuck(series)[0][1]
    deadlines = [task.deadline_ns for task in cpu.dl]
    assert cpu.clock_ns is not None
    assert all(deadline is not None and deadline < cpu.clock_ns for deadline in deadlines)
    assert deadlines == sorted(deadlines, key=lambda deadline: deadline or 0)


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
def test_timers_of_a_cpu_without_interrupts_are_overdue(series: str, types: str) -> None:
    cpus, manifest = stuck(series, types)
    timers = cpus[1].timers
    assert timers is not None
    overdue = {
        timer.timer: timer.function.name
        for base in (*timers.wheels, *timers.clocks)
        for timer in base.timers
        if timer.overdue and timer.function.name.startswith("storlab")
    }
    objects = manifest["objects"]
    assert overdue == {
        int(objects["storlab_late_timer"]["address"], 16): "storlab_late_timer_fn",
        int(objects["storlab_late_hrtimer"]["address"], 16): "storlab_late_hrtimer_fn",
    }


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
def test_work_for_the_workers_of_a_stuck_cpu_is_stuck(series: str, types: str) -> None:
    cpus, manifest = stuck(series, types)
    assert cpus[1].health is not None
    pools = [pool for pool in cpus[1].health.pools if pool.pending]
    work = [function.name for pool in pools for function in pool.pending]
    assert [name for name in work if name.startswith("storlab")] == manifest["work"]["1"]
    assert [pool.stuck for pool in pools] == [True]


@pytest.mark.parametrize("series", SERIES)
def test_a_pool_whose_workers_get_no_turn_is_stuck_and_others_are_not(series: str) -> None:
    pools = [(cpu.cpu, pool) for cpu in stuck(series)[0] if cpu.health for pool in cpu.health.pools]
    assert {cpu for cpu, pool in pools if pool.stuck} == {1, 2}


@pytest.mark.parametrize("series", SERIES)
def test_lockups_are_those_that_the_kernel_reported_or_could_not(series: str) -> None:
    cpus, _ = stuck(series)
    found = {cpu.cpu: cpu.lockup.kind for cpu in cpus if cpu.lockup is not None}
    assert found == {1: "hard", 2: "soft"}
    console = (find("stuck-cpus", series).directory / "console.log").read_text(errors="replace")
    # Each report of RCU's puts the watchdog of CPU 2 off.
    assert set(re.findall(r"BUG: soft lockup - CPU#(\d+)", console)) <= {"2"}


@pytest.mark.parametrize("types", TYPES)
def test_json_tells_of_queues_and_calls(types: str) -> None:
    dump = find("stuck-cpus", "6.12")
    vmlinux = ["-s", str(dump.vmlinux)] if types == "dwarf" else []
    command = ["show", "cpus", str(dump.vmcore), *vmlinux, "--cpu", "1", "--watchdog", "--json"]
    output = subprocess.run(
        [sys.executable, "-m", "kscope", *command], check=True, capture_output=True
    ).stdout
    (cpu,) = json.loads(output)["cpus"]
    assert cpu["irqs_enabled"] is False
    assert [task["comm"] for task in cpu["dl"]] == ["fair server", "deadline-a", "deadline-b"]
    assert [task["comm"] for task in cpu["rt"]] == ["rt-high", "rt-low"]
    (waited_for,) = (i for i in cpu["health"]["ipis"] if i["kind"] == "call, sender waits")
    assert waited_for["from_cpu"] == 2
    assert waited_for["function"]["name"] == "storlab_called_and_awaited"
    address = dump.manifest["objects"]["storlab_call"]["address"]
    assert address in [ipi["address"] for ipi in cpu["health"]["ipis"]]


# Timers.


@pytest.mark.parametrize("name", [*KDUMPS, *OTHER_KDUMPS])
def test_the_timer_wheel_equals_crash(name: str) -> None:
    # crash 8.0.6 does not know the third wheel that 6.12 has.
    ours = sorted(words(wheels(read(name, "6.1").cpus)))
    assert ours == sorted(words(crash_says(name, "6.1", "timer")))


@pytest.mark.parametrize("series", SERIES)
def test_the_timer_wheels_equal_drgn(series: str) -> None:
    program = open_lab("demo", series).program
    jiffies = program["jiffies"].value_()
    for cpu in read("demo", series).cpus:
        assert cpu.timers is not None
        bases = per_cpu(program["timer_bases"], cpu.cpu)
        assert len(cpu.timers.wheels) == len(bases)
        for wheel, base in zip(cpu.timers.wheels, bases, strict=True):
            expected = {
                (t.value_(), t.expires.value_(), t.expires.value_() - jiffies)
                for t in timer_base_for_each(base.address_of_())
            }
            assert {(t.timer, t.expires, t.tte) for t in wheel.timers} == expected


@pytest.mark.parametrize("series", SERIES)
def test_hrtimers_equal_drgn(series: str) -> None:
    program = open_lab("demo", series).program
    now = ktime_get_coarse_ns(program).value_()
    for cpu in read("demo", series).cpus:
        assert cpu.timers is not None
        bases = per_cpu(program["hrtimer_bases"], cpu.cpu).clock_base
        for clock, base in zip(cpu.timers.clocks, bases, strict=True):
            current = now + base.offset.value_()
            expected = [
                (t.value_(), t.node.expires.value_(), t.node.expires.value_() - current)
                for t in hrtimer_clock_base_for_each(base.address_of_())
            ]
            assert [(t.timer, t.expires, t.tte) for t in clock.timers] == expected


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", [*KDUMPS, *OTHER_KDUMPS])
def test_hrtimers_expire_when_crash_says(name: str, series: str) -> None:
    printed = crash_says(name, series, "timer -r")
    for cpu in read(name, series).cpus:
        assert cpu.timers is not None
        for timer in (t for clock in cpu.timers.clocks for t in clock.timers):
            line = next(line for line in printed.splitlines() if str(timer.timer) in line)
            assert [int(n) for n in line.split()[:2]] == [timer.soft_expires, timer.expires]
            assert f"<{timer.function.name}>" in line


@pytest.mark.parametrize("series", SERIES)
def test_the_timer_of_delayed_work_names_the_work(series: str) -> None:
    about = {
        timer.about
        for cpu in read("demo", series).cpus
        if cpu.timers
        for base in cpu.timers.wheels
        for timer in base.timers
        if timer.function.name == "delayed_work_timer_fn"
    }
    assert about
    assert all(re.fullmatch(r"work \w+", name) for name in about)


@pytest.mark.parametrize("series", SERIES)
def test_hz_is_that_of_debian(series: str) -> None:
    timers = read("demo", series).cpus[0].timers
    assert timers is not None
    assert timers.hz == 250


# Offline CPUs, notes, damage.


@pytest.mark.parametrize("series", SERIES)
def test_an_offline_cpu_is_offline_and_has_no_registers(series: str) -> None:
    cpus = read("offline-cpu", series).cpus
    (offline,) = (cpu for cpu in cpus if not cpu.online)
    assert [offline.cpu] == find("offline-cpu", series).manifest["offline_cpus"]
    assert state_of(offline) == "O"
    assert (offline.registers, offline.irqs_enabled, offline.backtrace) == ("none", None, ())
    assert "offline" in offline.registers_note


MISNUMBERED = [("offline-cpu-1", "6.1"), ("offline-cpu-1", "6.12"), ("offline-cpu-1-elf", "6.1")]


@pytest.mark.parametrize(("name", "series"), MISNUMBERED)
def test_notes_behind_an_offline_cpu_are_said_to_be_misnumbered(name: str, series: str) -> None:
    notes = [(cpu.registers, cpu.registers_note) for cpu in read(name, series).cpus]
    assert notes == [
        ("crash note", ""),
        ("none", "it was offline: its crash note is empty"),
        ("crash note", "the dump file's note 1 is this CPU's: it has none for a CPU before it"),
        ("crash note", "the dump file's note 2 is this CPU's: it has none for a CPU before it"),
    ]


@pytest.mark.parametrize(("name", "series"), MISNUMBERED)
def test_registers_behind_an_offline_cpu_are_its_own(name: str, series: str) -> None:
    program = open_lab(name, series).program
    for cpu, comm in ((2, "second"), (3, "third")):
        found = read(name, series).cpus[cpu]
        assert found.current is not None
        if not cpu_curr(program, cpu).on_cpu:
            continue  # it was caught between two tasks, and its runqueue names the next one already
        assert found.current.comm == comm
        note = cast("struct elf64_note *", per_cpu_ptr(program["crash_notes"], cpu))
        # struct elf_prstatus: 112 bytes, then the registers as struct pt_regs has them. The note's
        # header takes 12 bytes and its name, "CORE", 8.
        saved = Object(program, "struct pt_regs", address=note.value_() + 20 + 112)
        interrupted = next(segment for segment in found.segments if segment.rflags is not None)
        registers = {register.name: register.value for register in interrupted.registers}
        assert (registers["rip"], registers["rsp"]) == (saved.ip.value_(), saved.sp.value_())


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
def test_cpus_that_panic_stopped_show_what_they_ran(series: str, types: str) -> None:
    cpus = read("panic-stopped", series, types).cpus
    stopped = find("panic-stopped", series).manifest["stopped_cpus"]
    assert [cpu.cpu for cpu in cpus if cpu.stopped] == stopped
    # CPU 0 has nothing to do, or what the guest's first process has it do.
    assert "".join(map(state_of, cpus[1:])) == "XPB"
    assert [cpu.current.comm for cpu in cpus[1:] if cpu.current] == ["stuck", "crasher", "busy"]


@pytest.mark.parametrize("series", SERIES)
def test_interrupts_of_a_stopped_cpu_are_those_of_what_it_ran(series: str) -> None:
    cpus = read("panic-stopped", series).cpus
    assert [cpu.irqs_enabled for cpu in cpus[1:]] == [False, None, True]
    # By an NMI only where the interrupt for it was not taken.
    how = [[segment.kind for segment in cpu.segments if segment.stopped] for cpu in cpus]
    assert ["nmi" in kinds for kinds in how] == [False, True, False, False]
    assert all(len(kinds) == 1 for kinds in how)


@pytest.mark.parametrize("series", SERIES)
def test_stopped_cpus_have_their_notes_from_the_hypervisor(series: str) -> None:
    found = read("panic-stopped", series).cpus
    assert {(cpu.registers, cpu.registers_note) for cpu in found} == {("PRSTATUS note", "")}


@pytest.mark.parametrize("series", SERIES)
def test_a_dump_from_outside_has_prstatus_notes_and_no_panic_cpu(series: str) -> None:
    found = read("deadlock", series)
    assert {cpu.registers for cpu in found.cpus} == {"PRSTATUS note"}
    assert found.panic_cpu is None


@pytest.mark.parametrize("series", SERIES)
def test_interrupts_of_a_cpu_that_was_not_stopped_are_as_its_registers_say(series: str) -> None:
    program = open_lab("deadlock", series).program
    for cpu in read("deadlock", series).cpus:
        rflags = kernel_stack_trace(cpu_curr(program, cpu.cpu))[0].registers()["rflags"]
        if rflags & INTERRUPT_FLAG:
            assert cpu.irqs_enabled
        else:
            # An interrupt's handler has them off by itself.
            assert cpu.interrupt or not cpu.irqs_enabled


@pytest.mark.parametrize("series", SERIES)
def test_sixty_possible_cpus_that_never_came_are_offline(series: str) -> None:
    found = read("cpus64", series)
    assert (found.possible, found.online) == (64, 4)
    states = "".join(map(state_of, found.cpus))
    assert "O" not in states[:4]
    assert states[4:] == "O" * 60


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
def test_nothing_of_a_possible_cpu_is_unreadable_for_it_never_came(series: str, types: str) -> None:
    assert [cpu.unreadable for cpu in read("cpus64", series, types).cpus] == [()] * 64


@pytest.mark.parametrize("series", SERIES)
def test_the_grid_costs_as_much_as_there_are_cpus(series: str) -> None:
    target = open_lab("cpus64", series)

    def seconds(cpus: str) -> float:
        def once() -> float:
            start = time.process_time()
            answer(target, CpusQuery(cpu=cpus))
            return time.process_time() - start

        return min(once() for _ in range(5))

    # What all CPUs have in common is read in both.
    common = seconds("4")
    assert seconds("4-63") - common < 2 * 59 * (seconds("4-23") - common) / 19


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("series", SERIES)
async def test_the_grid_of_64_cpus_is_painted_and_scrolls(
    series: str, size: tuple[int, int]
) -> None:
    vmcore = find("cpus64", series).vmcore
    async with dashboard_on(vmcore) as app, app.run_test(size=size) as pilot:
        await keys("4")(pilot)
        grid = app.query_one("#cpus-grid", CpuGrid)
        assert grid.line_count() == 64
        assert "O offline 60" in plain(grid.header_lines(60)[1])

        def shown() -> str:
            return " ".join(grid.render_line(y).text for y in range(grid.size.height))

        await keys("z", "z")(pilot)
        assert re.search(r"\b0 (?:I idle|T in interrupt)", " ".join(shown().split()))
        await keys("G")(pilot)
        assert "63 O offline was never online" in " ".join(shown().split())


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize(
    "name", [*PANICS, "demo", "hard-lockup", "deadlock", "stuck-cpus", "panic-stopped"]
)
def test_nothing_of_a_sound_dump_is_unreadable(name: str, series: str, types: str) -> None:
    found = read(name, series, types)
    assert found.unreadable == ()
    assert [cpu.unreadable for cpu in found.cpus] == [()] * len(found.cpus)


@pytest.mark.parametrize("name", ["truncated-kdump", "truncated-elf", "damaged-middle"])
def test_a_damaged_dump_is_answered_as_far_as_it_goes(name: str) -> None:
    try:
        found = answer(open_lab(name, "6.1"), EVERYTHING)
    except QueryError as error:
        assert error.kind in ("unreadable", "no-types")  # noqa: PT017
        return
    assert [cpu.cpu for cpu in found.cpus] == [0, 1, 2, 3]


# What is asked for.


@pytest.mark.parametrize("series", SERIES)
def test_busy_leaves_out_idle_and_offline_cpus(series: str) -> None:
    found = answer(open_lab("soft-lockup", series), CpusQuery(busy=True))
    assert [cpu.cpu for cpu in found.cpus] == [1, 2]


def test_cpus_are_chosen_as_crash_takes_them() -> None:
    found = answer(open_lab("demo", "6.1"), CpusQuery(cpu="0,2-3"))
    assert [cpu.cpu for cpu in found.cpus] == [0, 2, 3]


def test_a_cpu_that_there_is_not_is_refused() -> None:
    with pytest.raises(QueryError, match="There is no CPU 9"):
        answer(open_lab("demo", "6.1"), CpusQuery(cpu="9"))
