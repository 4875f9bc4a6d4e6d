"""CPUs of the bundled dump: a panic, an idle one, a real-time task and two that share a CPU."""

import contextlib
import io
import re
import time

import pytest
from drgn import Symbol, SymbolBinding, SymbolKind, sizeof
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.sched import cpu_rq

from kscope.dialect.cpus import equivalent, text
from kscope.kernel.processor.cpu_spinning import spinning
from kscope.kernel.processor.cpu_stacks import Stretch
from kscope.kernel.processor.registers import RegisterSources
from kscope.model.base import Address
from kscope.model.cpus import Cpu, CpuFrame, Cpus, CpusQuery, rflags_names, state_of
from kscope.model.target import OpenQuery
from kscope.session.answering import answer, finish
from kscope.target.opening import open_target
from kscope.target.target import Target
from tests.kernel.excluding import exclude
from tests.kernel.putting import put


@pytest.fixture(scope="module")
def found(demo_target: Target) -> Cpus:
    return answer(demo_target, CpusQuery(backtrace=True, runqueue=True, timers=True, watchdog=True))


@pytest.fixture(scope="module")
def grid(demo_target: Target) -> Cpus:
    return answer(demo_target, CpusQuery())


def running(found: Cpus, comm: str) -> Cpu:
    return next(cpu for cpu in found.cpus if cpu.current and cpu.current.comm == comm)


def test_the_panic_cpu_ran_the_hung_task_detector(found: Cpus) -> None:
    cpu = running(found, "khungtaskd")
    assert cpu.panicked
    assert found.panic_cpu == cpu.cpu
    assert state_of(cpu) == "P"


def test_how_interrupts_were_on_the_panic_cpu_cannot_be_known(found: Cpus) -> None:
    # panic() itself switches them off, and nothing interrupted the kernel thread before.
    cpu = running(found, "khungtaskd")
    assert cpu.segments[0].rflags is not None
    assert cpu.segments[0].irqs_enabled is False
    assert cpu.irqs_enabled is None


def test_interrupts_are_read_from_what_the_nmi_interrupted(found: Cpus) -> None:
    cpu = running(found, "rtpoll")
    assert [(segment.kind, segment.stopped) for segment in cpu.segments] == [
        ("nmi", True),
        ("user", False),
    ]
    assert cpu.irqs_enabled is True


def test_a_real_time_task_is_on_the_real_time_queue_while_it_runs(found: Cpus) -> None:
    cpu = running(found, "rtpoll")
    assert state_of(cpu) == "R"
    assert [(task.comm, task.current) for task in cpu.rt] == [("rtpoll", True)]


def test_who_waits_behind_a_real_time_task_says_how_long(found: Cpus) -> None:
    waiting = {task.comm: task.waiting_ns for task in running(found, "rtpoll").fair}
    assert waiting["collector"] is not None
    assert waiting["collector"] > 0


def test_lag_is_measured_from_the_most_advanced_clock(grid: Cpus) -> None:
    clocks = [cpu.clock_ns for cpu in grid.cpus if cpu.clock_ns is not None]
    assert [cpu.lag_ns for cpu in grid.cpus] == [max(clocks) - clock for clock in clocks]


def test_lag_does_not_depend_on_which_cpus_are_asked_for(demo_target: Target, grid: Cpus) -> None:
    (alone,) = answer(demo_target, CpusQuery(cpu="1")).cpus
    assert alone.lag_ns == grid.cpus[1].lag_ns


def test_details_are_only_given_when_asked_for(grid: Cpus) -> None:
    assert all(
        not cpu.backtrace and cpu.queues is None and cpu.timers is None and cpu.health is None
        for cpu in grid.cpus
    )


def test_registers_name_what_they_point_at(found: Cpus) -> None:
    registers = running(found, "khungtaskd").segments[0].registers
    targets = {register.name: register.target for register in registers}
    assert targets["rip"].startswith("__crash_kexec+")


def test_every_cpu_saved_its_own_registers(grid: Cpus) -> None:
    assert {(cpu.registers, cpu.registers_note) for cpu in grid.cpus} == {("crash note", "")}


ALL = (0, 1, 2, 3)


def test_a_note_behind_a_missing_one_is_misnumbered() -> None:
    source, note = RegisterSources(notes=3, at_work=ALL, present=ALL, saved=(0, 2, 3)).of(2)
    assert source == "crash note"
    assert "note 1 is this CPU's" in note


def test_an_online_cpu_without_a_note_did_not_answer_the_nmi() -> None:
    source, note = RegisterSources(notes=3, at_work=ALL, present=ALL, saved=(0, 2, 3)).of(1)
    assert source == "none"
    assert "did not answer" in note


def test_notes_of_a_hypervisor_are_misnumbered_if_they_are_fewer_than_any_known_cpus() -> None:
    source, note = RegisterSources(notes=2, at_work=(0, 1, 2), present=ALL, saved=()).of(1)
    assert source == "PRSTATUS note"
    assert note == "the dump file has 2 notes for 4 CPUs: they may be misnumbered"


@pytest.mark.parametrize("at_work", [ALL, (0, 1, 3)])
def test_a_hypervisor_has_a_note_for_every_cpu_of_the_machine(at_work: tuple[int, ...]) -> None:
    sources = RegisterSources(notes=4, at_work=at_work, present=ALL, saved=())
    assert {sources.of(cpu) for cpu in at_work} == {("PRSTATUS note", "")}


def test_what_a_hypervisor_says_of_an_offline_cpu_is_not_the_kernels() -> None:
    sources = RegisterSources(notes=4, at_work=(0, 1, 3), present=ALL, saved=())
    assert sources.of(2) == ("none", "it was offline")


@pytest.mark.parametrize(
    ("rflags", "names"),
    [(0x46, ("PF", "ZF")), (0x246, ("PF", "ZF", "IF")), (0x10082, ("SF", "RF"))],
)
def test_rflags_are_decoded(rflags: int, names: tuple[str, ...]) -> None:
    assert rflags_names(rflags) == names


def test_nothing_of_the_bundled_dump_is_unreadable(found: Cpus) -> None:
    assert [found.unreadable, *(cpu.unreadable for cpu in found.cpus)] == [()] * 5


# Pages that are not in the dump.


@pytest.fixture
def without_a_runqueue(demo: object) -> Target:
    """The bundled dump without the pages of CPU 2's runqueue."""
    target = finish(open_target(OpenQuery(path=str(demo))), None)
    program = target.program
    rq = cpu_rq(program, 2)
    size = program.type("struct rq").size
    assert size is not None
    exclude(program, [rq.value_()], size)
    return target


def test_a_cpu_whose_runqueue_was_excluded_says_so_and_is_not_idle(
    without_a_runqueue: Target,
) -> None:
    cpu = answer(without_a_runqueue, CpusQuery()).cpus[2]
    assert (cpu.current, cpu.nr_running, cpu.clock_ns, cpu.lag_ns) == (None,) * 4
    assert state_of(cpu) == "?"
    assert {missing.what for missing in cpu.unreadable} >= {"clock", "nr_running", "current task"}
    assert all("excluded" in missing.why for missing in cpu.unreadable)


def test_an_excluded_runqueue_leaves_the_other_cpus_as_they_are(
    without_a_runqueue: Target, grid: Cpus
) -> None:
    cpus = answer(without_a_runqueue, CpusQuery()).cpus
    for number in (0, 1, 3):
        ours, whole = cpus[number], grid.cpus[number]
        assert ours.current is not None
        assert whole.current is not None
        assert ours.current.task == whole.current.task
        assert ours.irqs_enabled == whole.irqs_enabled


def test_everything_about_an_unreadable_cpu_can_be_printed(without_a_runqueue: Target) -> None:
    query = CpusQuery(backtrace=True, raw=True, runqueue=True, timers=True, watchdog=True)
    printed = text(query, answer(without_a_runqueue, query))
    assert "CPU 2 clock: the page of" in printed


def test_a_cpu_that_awaits_others_spins_even_if_a_queue_of_calls_was_excluded(
    demo: object,
) -> None:
    program = finish(open_target(OpenQuery(path=str(demo))), None).program
    queue = per_cpu(program["call_single_queue"], 1)
    exclude(program, [queue.address_ or 0], sizeof(queue))
    frames = tuple(
        CpuFrame(
            function=name, offset=0, module="", source="", address=Address(0), interrupted=False,
            stack="task", segment=0,
        )
        for name in ("smp_call_function_single", "flush_tlb_page")
    )  # fmt: skip
    found = spinning(program, 2, [Stretch("task", frames, {}, ())])
    assert found is not None
    assert (found.what, found.cpus) == ("other CPUs to handle an IPI", ())
    assert found.caller == "flush_tlb_page"


# Hard-lockup detectors: the bundled dump's guest had no performance counters, so what the kernel
# would have written with them is put in its place.


@pytest.fixture
def with_perf(demo: object) -> Target:
    """The perf detector runs everywhere; CPU 3's timer has not since it last looked: it said so."""
    target = finish(open_target(OpenQuery(path=str(demo))), None)
    program = target.program
    count = per_cpu(program["hrtimer_interrupts"], 3).value_()
    put(program, program["watchdog_enabled"], 3)
    put(program, program["nmi_watchdog_available"], 1)
    put(program, per_cpu(program["hrtimer_interrupts_saved"], 3), count)
    put(program, per_cpu(program["hard_watchdog_warn"], 3), 1)
    return target


def test_a_guest_without_performance_counters_has_no_hard_lockup_detector(found: Cpus) -> None:
    detectors = {cpu.health.watchdog.hardlockup_detector for cpu in found.cpus if cpu.health}
    assert detectors == {"none"}


def test_a_watchdog_that_was_told_to_begin_anew_has_no_time(with_perf: Target) -> None:
    """As in kernels before v5.13, where the stamp then is the largest number that there is."""
    put(with_perf.program, per_cpu(with_perf.program["watchdog_touch_ts"], 2), -1)
    health = answer(with_perf, CpusQuery(cpu="2", watchdog=True)).cpus[0].health
    assert health is not None
    assert (health.watchdog.touched_seconds, health.watchdog.touched_ago_ns) == (None, None)


def test_a_lockup_that_the_perf_detector_reported_is_shown_as_one(with_perf: Target) -> None:
    cpus = answer(with_perf, CpusQuery(watchdog=True)).cpus
    assert [cpu.health.watchdog.hardlockup_detector for cpu in cpus if cpu.health] == ["perf"] * 4
    assert [cpu.cpu for cpu in cpus if cpu.lockup is not None] == [3]
    assert cpus[3].lockup is not None
    assert cpus[3].lockup.kind == "hard"
    assert cpus[3].lockup.evidence == "the hard-lockup detector reported it"


def test_the_count_that_the_detector_saw_is_beside_the_one_now(with_perf: Target) -> None:
    query = CpusQuery(cpu="3", watchdog=True)
    printed = text(query, answer(with_perf, query))
    assert "performance counters" in printed
    ran = re.search(r"ran (\d+) times, (\d+) when the detector last looked", printed)
    assert ran is not None
    assert ran[1] == ran[2]


def test_a_kernel_with_the_buddy_detector_says_so(with_perf: Target) -> None:
    program = with_perf.program
    name = "watchdog_buddy_check_hardlockup"
    symbol = Symbol(name, 0xFFFFFFFF81000000, 64, SymbolBinding.GLOBAL, SymbolKind.FUNC)
    program.register_symbol_finder(
        "buddy",
        lambda _program, wanted, _address, _one: [symbol] if wanted == name else [],
        enable_index=0,
    )
    (cpu,) = answer(with_perf, CpusQuery(cpu="0", watchdog=True)).cpus
    assert cpu.health is not None
    assert cpu.health.watchdog.hardlockup_detector == "buddy"


# Dialect.


@pytest.mark.parametrize(
    ("query", "command"),
    [
        (CpusQuery(), "runq -T"),
        (CpusQuery(backtrace=True), "bt -a"),
        (CpusQuery(cpu="0,2-3", backtrace=True), "bt -c 0,2-3"),
        (CpusQuery(cpu="2", full=True), "bt -f -c 2"),
        (CpusQuery(cpu="2", raw=True), "bt -r -c 2"),
        (CpusQuery(cpu="2", runqueue=True), "runq -c 2"),
        (CpusQuery(cpu="2", timers=True), "timer -C 2"),
        (CpusQuery(cpu="2", watchdog=True), "p watchdog_touch_ts:2"),
    ],
)
def test_the_crash_command_for_what_is_shown(query: CpusQuery, command: str) -> None:
    assert equivalent(query).crash == command


@pytest.mark.parametrize("cpu", ["", "0,2-3"])
@pytest.mark.parametrize(
    "part", ["busy", "backtrace", "full", "raw", "runqueue", "timers", "watchdog"]
)
def test_the_drgn_code_runs_as_it_is(demo_target: Target, part: str, cpu: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = equivalent(CpusQuery(cpu=cpu, **{part: True})).drgn
        exec(code, {"prog": demo_target.program})
    assert printed.getvalue()


def test_the_table_has_a_line_for_each_cpu(grid: Cpus) -> None:
    _, *lines = text(CpusQuery(), grid).splitlines()
    assert [int(line.split()[0]) for line in lines] == [0, 1, 2, 3]
    assert "P panic" in lines[grid.panic_cpu or 0]


# Speed.


def test_the_grid_is_answered_in_a_third_of_a_second(demo: object) -> None:
    target = finish(open_target(OpenQuery(path=str(demo))), None)
    start = time.process_time()
    answer(target, CpusQuery())
    assert time.process_time() - start < 0.3
