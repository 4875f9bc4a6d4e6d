"""Selecting and sorting tasks, on tasks of every kind."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscope.model.base import Address, QueryError
from kscope.model.tasks import (
    POLICIES,
    SORTS,
    STATES,
    Task,
    TasksQuery,
    count_by,
    parse_cpus,
    parse_duration,
    parse_task,
    select,
    sort,
)

maybe = st.none
numbers = st.integers(0, 4000)
tasks = st.lists(
    st.builds(
        Task,
        pid=maybe() | numbers, tgid=maybe() | numbers, ppid=maybe() | numbers,
        comm=maybe() | st.text(max_size=15),
        task=st.integers(1 << 63, (1 << 64) - 1).map(Address),
        state=maybe() | st.sampled_from(list(STATES)),
        cpu=maybe() | st.integers(0, 7),
        policy=maybe() | st.sampled_from(POLICIES),
        prio=maybe() | st.integers(-1, 139), static_prio=maybe() | st.integers(100, 139),
        kthread=maybe() | st.booleans(), leader=maybe() | st.booleans(),
        since_last_arrival_ns=maybe() | st.integers(0, 10**12),
        rss_bytes=maybe() | numbers, vsize_bytes=maybe() | numbers,
        start_time_ns=maybe() | numbers,
    ),
    max_size=12,
)  # fmt: skip
selections = st.builds(
    TasksQuery,
    state=st.sampled_from(["", "UN", "un,ru", "ID IN"]),
    policy=st.sampled_from(["", "FIFO", "other", "rr,fifo"]),
    kthreads=st.booleans(), user=st.booleans(), leaders=st.booleans(),
    cpu=st.sampled_from(["", "3", "0-2", "1,5-7"]),
    longer_than=st.sampled_from(["", "1s", "5m", "100ms"]),
    match=st.sampled_from(["", "a", "!a", "^k", "1$", "ffff"]),
)  # fmt: skip
FILTERS = ("state", "policy", "kthreads", "user", "leaders", "cpu", "longer_than", "match")


@given(tasks, selections)
def test_filters_combined_leave_what_each_of_them_leaves(
    rows: list[Task], selection: TasksQuery
) -> None:
    left = select(rows, selection)
    for name in FILTERS:
        alone = TasksQuery(**{name: getattr(selection, name)})
        left_alone = select(rows, alone)
        assert all(task in left_alone for task in left)
    one_after_the_other = rows
    for name in reversed(FILTERS):
        alone = TasksQuery(**{name: getattr(selection, name)})
        one_after_the_other = select(one_after_the_other, alone)
    assert one_after_the_other == left


@given(tasks, st.sampled_from(["a", "^k", "0", "fff", "A"]))
def test_an_inverted_text_leaves_exactly_the_others(rows: list[Task], match: str) -> None:
    with_it = select(rows, TasksQuery(match=match))
    without_it = select(rows, TasksQuery(match=f"!{match}"))
    assert len(with_it) + len(without_it) == len(rows)
    assert all(task not in with_it for task in without_it)


@given(tasks, st.sampled_from(sorted(SORTS)), st.booleans())
def test_sorting_loses_and_adds_nothing(rows: list[Task], by: str, reverse: bool) -> None:
    ordered = sort(rows, by, reverse=reverse)
    assert sorted(map(repr, ordered)) == sorted(map(repr, rows))


@given(tasks)
def test_the_longest_time_comes_first_and_the_unreadable_last(rows: list[Task]) -> None:
    times = [task.since_last_arrival_ns for task in sort(rows, "time")]
    known = [time for time in times if time is not None]
    assert known == sorted(known, reverse=True)
    assert times[: len(known)] == known


@given(tasks)
def test_counts_add_up(rows: list[Task]) -> None:
    assert sum(count_by(rows, "state", tuple(STATES)).values()) == len(rows)


def test_states_are_counted_in_the_order_given() -> None:
    row = Task(
        pid=1, tgid=1, ppid=0, comm="a", task=Address(1), state="IN", cpu=0, policy="NORMAL",
        prio=120, static_prio=120, kthread=False, leader=True, since_last_arrival_ns=0,
        rss_bytes=0, vsize_bytes=0, start_time_ns=0,
    )  # fmt: skip
    rows = [row, msgspec.structs.replace(row, state="UN"), msgspec.structs.replace(row, state=None)]
    assert list(count_by(rows, "state", ("UN", "IN"))) == ["UN", "IN", "??"]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("500ms", 500_000_000), ("30s", 30 * 10**9), ("1.5m", 90 * 10**9), ("2h", 7200 * 10**9),
     ("1d", 86400 * 10**9), ("7", 7 * 10**9)],
)  # fmt: skip
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@given(st.text(max_size=20))
def test_a_duration_is_parsed_or_refused(text: str) -> None:
    try:
        nanoseconds = parse_duration(text)
    except QueryError:
        return
    assert nanoseconds >= 0


@given(st.frozensets(st.integers(0, 300), min_size=1, max_size=20))
def test_cpus_listed_are_the_cpus_meant(cpus: frozenset[int]) -> None:
    assert parse_cpus(",".join(map(str, cpus))) == cpus


def test_a_range_of_cpus_includes_both_ends() -> None:
    assert parse_cpus("0,2-4") == {0, 2, 3, 4}


@given(st.text(max_size=20))
def test_a_task_is_a_pid_an_address_or_refused(text: str) -> None:
    try:
        found = parse_task(text)
    except QueryError:
        return
    assert isinstance(found, Address) or re.fullmatch(r"\s*\d+\s*", text)


@given(tasks)
def test_each_state_and_policy_that_is_counted_can_be_chosen(rows: list[Task]) -> None:
    for state, count in count_by(rows, "state", ()).items():
        assert len(select(rows, TasksQuery(state=state))) == count
    for policy, count in count_by(rows, "policy", ()).items():
        assert len(select(rows, TasksQuery(policy=policy))) == count


@given(tasks, st.sampled_from(sorted(SORTS)))
def test_the_other_way_round_only_what_is_readable_changes_its_place(
    rows: list[Task], by: str
) -> None:
    forwards, backwards = sort(rows, by), sort(rows, by, reverse=True)
    keys = SORTS[by](forwards)
    unreadable = {float("inf"), chr(0x10FFFF)}
    readable = sum(key not in unreadable for key in keys)
    assert backwards[:readable] == forwards[:readable][::-1]
    assert backwards[readable:] == forwards[readable:]
