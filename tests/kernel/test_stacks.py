"""Stacks of the bundled dump, and the recognition of stacks that are known."""

import pytest
from drgn.helpers.linux.pid import find_task
from hypothesis import given
from hypothesis import strategies as st

from kscope.kernel.process.task_table import task_rows
from kscope.kernel.unwinding.recogniser import Recogniser
from kscope.kernel.unwinding.telling import is_idle_worker, summary, telling_frames
from kscope.kernel.unwinding.unwind import unwind
from kscope.model.base import Address
from kscope.model.stacks import Frame, StackGroup, Stacks, StacksQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import answer, finish
from kscope.target.opening import open_target
from kscope.target.target import Target


@pytest.fixture(scope="module")
def found(demo_target: Target) -> Stacks:
    return answer(demo_target, StacksQuery())


def frames(*functions: str) -> tuple[Frame, ...]:
    return tuple(
        Frame(function=name, offset=1, module="", source="", address=Address(index))
        for index, name in enumerate(functions)
    )


def group_with(found: Stacks, comm: str) -> StackGroup:
    return next(group for group in found.groups if comm in group.comms)


def test_every_task_is_in_one_group(demo_target: Target, found: Stacks) -> None:
    grouped = [address for group in found.groups for address in group.addresses]
    assert sorted(grouped) == sorted(task.task for task in task_rows(demo_target))


def test_far_fewer_stacks_are_unwound_than_there_are_tasks(found: Stacks) -> None:
    assert found.unwound < found.tasks / 2


def test_every_member_of_a_group_really_has_its_stack(demo_target: Target, found: Stacks) -> None:
    for group in found.groups:
        if not group.frames:
            continue
        for address in group.addresses:
            really = [frame.address for frame in unwind(demo_target, address).frames]
            assert really == [frame.address for frame in group.frames]


@pytest.fixture
def before_its_first_step(demo: object) -> tuple[Target, int]:
    """The bundled dump with a task made to look as fork() leaves it, and the address of that."""
    target = finish(open_target(OpenQuery(path=str(demo))), None)
    program = target.program
    task = find_task(program, 1)
    # struct inactive_task_frame ends in ret_addr, behind six saved registers.
    return_address = task.thread.sp.value_() + 6 * 8
    first_steps: bytes = program.symbol("ret_from_fork").address.to_bytes(8, "little")

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        return first_steps[offset : offset + count]

    program.add_memory_segment(return_address, 8, read, False)
    return target, task.value_()


def test_a_task_that_never_ran_has_only_its_first_step_before_it(
    before_its_first_step: tuple[Target, int],
) -> None:
    target, task = before_its_first_step
    (group,) = (g for g in answer(target, StacksQuery()).groups if task in g.addresses)
    for frames in (group.frames, unwind(target, task).frames):
        assert [(frame.function, frame.offset) for frame in frames] == [("ret_from_fork", 0)]


def test_uninterruptible_tasks_come_first_and_the_longest_blocked_before_others(
    found: Stacks,
) -> None:
    states = [group.state for group in found.groups]
    blocked = [group for group in found.groups if group.state == "UN"]
    assert states[: len(blocked)] == ["UN"] * len(blocked)
    times = [group.longest_since_last_arrival_ns or 0 for group in blocked]
    assert times == sorted(times, reverse=True)


def test_idle_workers_and_idle_cpus_come_last(found: Stacks) -> None:
    idle = [group.idle_worker for group in found.groups]
    assert idle == sorted(idle)
    assert group_with(found, "swapper/1").idle_worker


def test_blocked_tasks_are_summed_up_by_what_they_wait_in(found: Stacks) -> None:
    assert group_with(found, "logrotated").summary[0] == "mutex_lock"
    assert group_with(found, "rotator").summary[0] == "down_write"
    assert group_with(found, "scan/1").summary[0] == "down_read"
    assert group_with(found, "rtclient").summary[0] == "rt_mutex_lock"


def test_a_text_filter_looks_at_functions_too(demo_target: Target) -> None:
    groups = answer(demo_target, StacksQuery(match="^rwsem_down_write")).groups
    assert {comm for group in groups for comm in group.comms} == {"rotator", "storlab/resync"}


def test_only_the_tasks_named_are_grouped(demo_target: Target, found: Stacks) -> None:
    group = group_with(found, "logrotated")
    names = f"{group.tasks[0]},{group.addresses[1]:x}"
    assert answer(demo_target, StacksQuery(only=names)).tasks == 2


def test_a_task_in_user_mode_has_no_kernel_frames_and_that_is_said(found: Stacks) -> None:
    group = group_with(found, "rtpoll")
    assert (group.frames, group.stopped) == ((), "it was running in user mode")


def test_a_whole_stack_does_not_say_that_it_stopped(demo_target: Target, found: Stacks) -> None:
    group = group_with(found, "logrotated")
    stack = unwind(demo_target, group.addresses[0])
    assert stack.stopped == ""
    assert stack.segments[-1].kind == "user"
    names = {register.name for register in stack.segments[-1].registers}
    assert {"rip", "rsp", "rflags"} <= names


def test_summary_leaves_out_the_scheduler_and_the_entry() -> None:
    stack = frames(
        "__schedule", "schedule", "schedule_preempt_disabled", "__mutex_lock.constprop.0",
        "storlab_write", "vfs_write", "ksys_write", "do_syscall_64",
    )  # fmt: skip
    assert summary(stack) == ("mutex_lock", "storlab_write", "vfs_write")
    assert telling_frames(stack) == (3, 4, 5)


def test_of_a_wait_in_several_functions_the_outermost_is_the_telling_one() -> None:
    stack = frames("__schedule", "rwsem_down_read_slowpath", "down_read", "f")
    assert summary(stack) == ("down_read", "f")
    assert telling_frames(stack) == (2, 3)


@pytest.mark.parametrize(
    ("state", "stack", "idle"),
    [
        ("ID", ("__schedule", "schedule", "worker_thread", "kthread"), True),
        ("RU", ("__schedule", "schedule", "worker_thread", "kthread"), False),
        ("RU", ("native_safe_halt", "default_idle_call", "do_idle"), True),
        ("RU", ("read_hpet", "hrtimer_interrupt", "do_idle"), False),
        ("UN", ("__schedule", "schedule", "flush", "worker_thread"), False),
    ],
)
def test_idle_workers(state: str, stack: tuple[str, ...], idle: bool) -> None:
    assert is_idle_worker(state, frames(*stack)) is idle


addresses = st.integers(0xFFFF_FFFF_8000_0000, 0xFFFF_FFFF_8000_00FF)
stacks_of_words = st.lists(addresses, min_size=4, max_size=24)


@st.composite
def stacks(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Words of a stack, and where its return addresses lie."""
    words = draw(stacks_of_words)
    places = draw(st.sets(st.integers(0, len(words) - 1), min_size=1, max_size=6))
    return words, sorted(places)


@given(stacks())
def test_a_stack_that_was_learnt_is_recognised(stack: tuple[list[int], list[int]]) -> None:
    words, places = stack
    path = tuple(words[place] for place in places)
    recogniser = Recogniser()
    recogniser.learn(words, places, path)
    known = recogniser.recognise(words)
    assert known is not None
    assert known.path == path
    assert tuple(words[place] for place in known.places) == path


@given(stacks(), addresses)
def test_what_is_recognised_lies_on_the_stack_in_that_order(
    stack: tuple[list[int], list[int]], other: int
) -> None:
    words, places = stack
    recogniser = Recogniser()
    recogniser.learn(words, places, tuple(words[place] for place in places))
    changed = [*words]
    changed[places[0]] = other
    known = recogniser.recognise(changed)
    assert known is None or known.path[0] == other


def test_a_gap_of_any_size_below_the_entry_of_a_system_call_is_recognised() -> None:
    wait, call, entry = 0xFFFFFFFF81000010, 0xFFFFFFFF81000020, 0xFFFFFFFF81000030
    path = (wait, call, entry)

    def stack(gap: int) -> tuple[list[int], list[int]]:
        words = [0, wait, 0, call, *[0] * gap, entry, 1, 2]
        return words, [1, 3, 4 + gap]

    recogniser = Recogniser()
    recogniser.learn(*stack(0), path)
    assert recogniser.recognise(stack(5)[0]) is None
    recogniser.learn(*stack(5), path)
    words, places = stack(17)
    assert recogniser.recognise(words) == (path, tuple(places))
