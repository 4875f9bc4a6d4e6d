"""Grouped stacks of the lab's guests: every task's, compared with unwinding it."""

import pytest

from kscope.dialect.stacks import equivalent
from kscope.kernel.process.task_table import task_rows
from kscope.kernel.process.whole_stacks import whole_stacks
from kscope.kernel.unwinding.unwind import unwind
from kscope.model.backtrace import BacktraceQuery
from kscope.model.stacks import Stacks, StacksQuery
from kscope.model.task import TaskQuery
from kscope.session.answering import answer
from kscope.target.target import Target
from tests.lab.catalogue import LabDump, find
from tests.lab.oracle import crash
from tests.on_lab.opening import open_lab

pytestmark = pytest.mark.lab


def functions_of(found: Stacks, comm: str) -> list[str]:
    return next(
        [frame.function for frame in group.frames if not frame.inline]
        for group in found.groups
        if comm in group.comms
    )


def differing(target: Target, found: Stacks, step: int = 1) -> list[int | None]:
    """PIDs of tasks whose own stack is not that of their group."""
    pids: list[int | None] = []
    for group in found.groups:
        if not group.frames:
            continue
        path = [frame.address for frame in group.frames]
        for index in range(0, group.count, step):
            really = [frame.address for frame in unwind(target, group.addresses[index]).frames]
            if really != path:
                pids.append(group.tasks[index])
    return pids


@pytest.fixture
def target(dump: LabDump, types: str) -> Target:
    if dump.name.startswith("truncated") and types == "btf":
        pytest.skip("its own types lie behind its end")
    return open_lab(dump.name, dump.series, types)


def test_every_task_has_the_stack_of_its_group(target: Target) -> None:
    found = answer(target, StacksQuery())
    assert differing(target, found, step=1 + found.tasks // 500) == []


def test_every_backtrace_is_what_unwinding_that_very_task_yields(target: Target) -> None:
    rows = task_rows(target)
    every = BacktraceQuery(tasks=" ".join(f"{task.task:x}" for task in rows))
    for found in answer(target, every).backtraces[:: 1 + len(rows) // 500]:
        assert found.stack == unwind(target, found.task.task)


def test_of_twenty_thousand_threads_sampled_ones_have_the_stack_of_their_group(
    series: str,
) -> None:
    target = open_lab("many", series)
    found = answer(target, StacksQuery())
    assert found.tasks > 20_000
    assert found.unwound < 100
    assert max(group.count for group in found.groups) >= 20_000
    assert differing(target, found, step=50) == []


def test_of_the_backtraces_of_twenty_thousand_threads_few_are_unwound(series: str) -> None:
    target = open_lab("many", series)
    every = BacktraceQuery(tasks=" ".join(f"{task.task:x}" for task in task_rows(target)))
    assert len(answer(target, every).backtraces) > 20_000
    assert whole_stacks(target).unwound < 100


def test_groups_are_the_same_with_and_without_dwarf(series: str) -> None:
    def groups(types: str) -> set[tuple[str, tuple[int | None, ...]]]:
        found = answer(open_lab("deadlock", series, types), StacksQuery())
        return {(group.state, group.tasks) for group in found.groups}

    assert groups("btf") == groups("dwarf")


def test_blocked_tasks_wait_in_what_the_guest_made_them_wait_for(series: str, types: str) -> None:
    found = answer(open_lab("deadlock", series, types), StacksQuery(state="UN"))
    for comm, telling in {
        "logrotated": "mutex_lock",
        "rotator": "down_write",
        "scan/1": "down_read",
        "rtclient": "rt_mutex_lock",
        "semwaiter": "down",
        "completer": "wait_for_completion",
    }.items():
        group = next(group for group in found.groups if comm in group.comms)
        assert (comm, group.summary[0]) == (comm, telling)


def test_dwarf_adds_source_lines_and_inlined_frames(series: str) -> None:
    found = answer(open_lab("deadlock", series, "dwarf"), StacksQuery(match="^logrotated$"))
    frames = found.groups[0].frames
    assert any(frame.inline for frame in frames)
    assert any(frame.source.startswith("kernel/locking/mutex.c:") for frame in frames)


def test_frames_are_those_of_crash(types: str) -> None:
    dump = find("deadlock", "6.12")
    comms = ("logrotated", "scan/1", "rtclient", "flusher", "zombieparent")
    outputs = crash(dump, [f"bt {dump.task(comm)['pid']}" for comm in comms])
    found = answer(open_lab("deadlock", "6.12", types), StacksQuery())
    for comm, output in zip(comms, outputs, strict=True):
        said = [line.split("]", 1)[1].split()[0] for line in output.splitlines() if "] " in line]
        assert functions_of(found, comm) == said


def test_variables_of_frames_are_known_with_dwarf(series: str) -> None:
    pid = find("deadlock", series).task("logrotated")["pid"]
    target = open_lab("deadlock", series, "dwarf")
    answered = answer(target, TaskQuery(task=str(pid), variables=True))
    assert answered.stack is not None
    frames = answered.stack.stack.frames
    lock = find("deadlock", series).lock("storlab_b")
    targets = {
        (frames[found.frame].function, variable.name): variable.target
        for found in answered.stack.variables
        for variable in found.variables
    }
    assert int(lock["address"], 16) in targets.values()
    for found in answered.stack.variables:
        for variable in found.variables:
            if variable.value.startswith("{…} at"):
                assert variable.value == f"{{…}} at {variable.target:x}"


@pytest.mark.parametrize("query", [StacksQuery(), StacksQuery(state="UN"), StacksQuery(only="1,2")])
def test_the_drgn_equivalent_runs(
    series: str, query: StacksQuery, capsys: pytest.CaptureFixture[str]
) -> None:
    import drgn

    target = open_lab("deadlock", series)
    drgn.set_default_prog(target.program)
    exec(compile(equivalent(query).drgn, "drgn", "exec"), {"prog": target.program})
    counted = [
        int(line.split()[0]) for line in capsys.readouterr().out.splitlines() if line[:1].isdigit()
    ]
    assert sum(counted) == answer(target, query).tasks
