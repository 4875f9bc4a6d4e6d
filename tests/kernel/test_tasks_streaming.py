"""Tasks and stacks are told of while they are being read; questions share one reading."""

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from drgn import Architecture, Platform

from kscope.kernel import stacks
from kscope.kernel.process import stack_reader, task_table
from kscope.kernel.process.task_table import FoundTask, TaskTable
from kscope.model.base import Part
from kscope.model.stacks import Stacks, StacksQuery
from kscope.model.task import TaskQuery
from kscope.model.tasks import TasksQuery
from kscope.session.answering import answer, begin
from kscope.target.target import Target

Slices = Generator[Any, None, Any]


@pytest.fixture
def unread(demo_target: Target, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """The bundled dump with no task read yet, and slices of ten tasks."""
    kept = demo_target.program.cache.pop(task_table._CACHE_KEY, None)
    monkeypatch.setattr(task_table, "_SLICE", 10)
    monkeypatch.setattr(stacks, "_SLICE", 10)
    yield demo_target
    demo_target.program.cache.pop(task_table._CACHE_KEY, None)
    if kept is not None:
        demo_target.program.cache[task_table._CACHE_KEY] = kept


def slices(target: Target, query: Any) -> Slices:
    begun = begin(target, query)
    assert isinstance(begun, Generator)
    return begun


def run(begun: Slices) -> tuple[list[Any], Any]:
    """The parts, and the answer."""
    parts: list[Any] = []
    while True:
        try:
            step = next(begun)
        except StopIteration as stop:
            return parts, stop.value
        if isinstance(step, Part):
            parts.append(step.result)


def test_the_first_tasks_are_told_of_before_the_others_are_read(unread: Target) -> None:
    first = next(slices(unread, TasksQuery()))
    assert isinstance(first, Part)
    assert len(first.result.tasks) == 10
    assert first.result.total == 0


def test_parts_grow_so_fast_that_all_of_them_cost_less_than_the_whole(unread: Target) -> None:
    parts, whole = run(slices(unread, TasksQuery()))
    told = [len(part.tasks) for part in parts]
    assert told == [10, 40]
    assert sum(told) < len(whole.tasks) == whole.total


def test_what_a_part_tells_of_a_task_is_what_the_answer_tells(unread: Target) -> None:
    parts, whole = run(slices(unread, TasksQuery()))
    rows = {task.task: task for task in whole.tasks}
    for early in parts[-1].tasks:
        late = rows[early.task]
        for member in early.__struct_fields__:
            value = getattr(early, member)
            if value is not None:
                assert (early.comm, member, value) == (late.comm, member, getattr(late, member))


def test_memory_of_which_threads_still_have_shares_is_left_open_not_told_short(
    unread: Target,
) -> None:
    parts, _ = run(slices(unread, TasksQuery()))
    user = [task for task in parts[-1].tasks if task.mm]
    assert user
    assert {(task.rss_bytes, task.vsize_bytes, task.unreadable) for task in user} == {
        (None, None, ())
    }


def test_other_questions_have_their_turn_while_shares_of_memory_are_added_up(
    unread: Target,
) -> None:
    table = TaskTable(unread)
    turns = [step.done for step in table.read_on()]
    # The tasks are gone through twice: before Linux 6.2 each thread has shares of its own.
    assert turns == [*range(10, len(table.rows), 10)] * 2


def test_a_filter_holds_for_parts_too(unread: Target) -> None:
    parts, whole = run(slices(unread, TasksQuery(kthreads=True)))
    assert parts
    assert all(task.kthread for part in (*parts, whole) for task in part.tasks)


def test_two_questions_share_one_reading(unread: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    find = TaskTable._find

    def counted(table: TaskTable, address: int, pid: int | None) -> FoundTask:
        read.append(address)
        return find(table, address, pid)

    monkeypatch.setattr(TaskTable, "_find", counted)
    one, other = slices(unread, TasksQuery()), slices(unread, StacksQuery())
    for _ in range(3):
        next(one), next(other)
    task = answer(unread, TaskQuery(task="1", threads=True)).row
    assert task.comm == "init"
    rows, groups = run(one)[1], run(other)[1]
    assert len(read) == len(set(read)) == rows.total == groups.total == groups.tasks


def test_after_an_interrupt_the_next_question_reads_all_tasks(
    unread: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = slices(unread, TasksQuery())
    next(begun)
    with monkeypatch.context() as patch:
        patch.setattr(TaskTable, "_find", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(begun)
    whole = answer(unread, TasksQuery())
    assert whole.total == len({task.task for task in whole.tasks}) == 114


def interrupted(*_: object) -> FoundTask:
    raise KeyboardInterrupt


def test_a_question_that_is_dropped_leaves_what_it_read_to_the_next(unread: Target) -> None:
    begun = slices(unread, TasksQuery())
    next(begun)
    table = task_table.open_task_table(unread)
    begun.close()
    assert len(table.rows) == 10
    assert answer(unread, TasksQuery()).total == 114


def test_groups_are_told_of_while_stacks_are_being_read(unread: Target) -> None:
    parts, whole = run(slices(unread, StacksQuery()))
    assert [part.tasks for part in parts] == [10, 40]
    assert all(part.total == 0 for part in parts)
    assert whole.tasks == whole.total == 114


def test_where_stacks_cannot_be_recognised_each_is_unwound_and_the_groups_are_the_same(
    demo_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups(found: Stacks) -> list[tuple[str, tuple[int | None, ...]]]:
        return [(group.state, group.tasks) for group in found.groups]

    recognised = answer(demo_target, StacksQuery())
    monkeypatch.setattr(stack_reader, "return_addresses_tell", lambda _platform: False)
    unwound = answer(demo_target, StacksQuery())
    # A zombie has no stack to unwind.
    assert unwound.unwound == unwound.tasks - 1
    assert groups(unwound) == groups(recognised)


@pytest.mark.parametrize(
    ("architecture", "tell"),
    [(Architecture.X86_64, True), (Architecture.AARCH64, False), (Architecture.PPC64, False)],
)
def test_only_where_calls_push_return_addresses_do_they_tell_a_stack(
    architecture: Architecture, tell: bool
) -> None:
    assert stack_reader.return_addresses_tell(Platform(architecture)) is tell
