"""Tasks of the bundled dump: all are there, with what is true of them."""

import msgspec
import pytest

from kscope.demo import unpack
from kscope.kernel.process.states import States
from kscope.kernel.process.task_table import TaskTable, task_rows, task_table
from kscope.kernel.unwinding.stack_words import stack_words
from kscope.model.base import QueryError
from kscope.model.task import TaskDetail, TaskQuery
from kscope.model.tasks import Task, TasksQuery
from kscope.session.answering import answer
from kscope.target.target import Target


@pytest.fixture(scope="module")
def rows(demo_target: Target) -> list[Task]:
    return task_rows(demo_target)


def named(rows: list[Task], comm: str) -> Task:
    return next(task for task in rows if task.comm == comm)


def detail(target: Target, comm: str, query: TaskQuery) -> TaskDetail:
    pid = str(named(task_rows(target), comm).pid)
    return answer(target, msgspec.structs.replace(query, task=pid))


def test_idle_tasks_of_all_possible_cpus_come_first(rows: list[Task]) -> None:
    assert [task.comm for task in rows if task.idle] == [f"swapper/{cpu}" for cpu in range(4)]
    assert all(task.idle for task in rows[:4])


def test_others_follow_by_pid_each_once(rows: list[Task]) -> None:
    pids = [task.pid or 0 for task in rows[4:]]
    assert pids == sorted(set(pids))


def test_nothing_of_a_sound_dump_is_unreadable(rows: list[Task]) -> None:
    assert [task for task in rows if task.unreadable] == []


def test_one_task_panicked_and_one_is_current_on_each_cpu(rows: list[Task]) -> None:
    assert [task.comm for task in rows if task.panicked] == ["khungtaskd"]
    assert sorted(task.cpu or 0 for task in rows if task.active) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("comm", "state", "policy", "kthread"),
    [
        ("logrotated", "UN", "NORMAL", False),
        ("storlab/trim", "UN", "NORMAL", True),
        ("rtpoll", "RU", "FIFO", False),
        ("audiod", "IN", "RR", False),
        ("sampler", "IN", "DEADLINE", False),
        ("indexer", "IN", "IDLE", False),
        ("spoold", "IN", "BATCH", False),
        ("rcu_gp", "ID", "NORMAL", True),
    ],
)
def test_state_policy_and_kind(
    rows: list[Task], comm: str, state: str, policy: str, kthread: bool
) -> None:
    task = named(rows, comm)
    assert (task.state, task.policy, task.kthread) == (state, policy, kthread)


def test_threads_share_one_rss_and_one_of_them_leads(rows: list[Task]) -> None:
    threads = [task for task in rows if task.comm == "workers"]
    assert len({(task.rss_bytes, task.tgid) for task in threads}) == 1
    assert len(threads) == 12
    assert [task.pid for task in threads if task.leader] == [threads[0].tgid]


def test_a_zombie_has_neither_memory_nor_a_stack(rows: list[Task], demo_target: Target) -> None:
    zombie = next(task for task in rows if task.state == "ZO")
    assert (zombie.rss_bytes, zombie.vsize_bytes, zombie.mm) == (0, 0, None)
    answered = answer(demo_target, TaskQuery(task=str(zombie.pid), stack=True))
    assert answered.stack is not None
    assert answered.stack.stack.segments == ()
    assert "freed" in answered.stack.stack.stopped


def test_tasks_are_found_through_the_lists_when_the_pid_table_cannot_be_read(
    rows: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    from kscope.headless import open_here
    from kscope.kernel.process.pid_table import PidTable
    from kscope.model.target import OpenQuery

    def unreadable(table: PidTable) -> list[tuple[int, int]]:
        table.why_incomplete = "it was excluded"
        return []

    monkeypatch.setattr(PidTable, "tasks", unreadable)
    table = TaskTable(open_here(OpenQuery(path=str(unpack()))))
    for _ in table.read_on():
        pass
    assert {task.task for task in table.rows} == {task.task for task in rows}
    assert "it was excluded" in [missing.why for missing in table.unreadable]


def test_a_task_of_which_nothing_can_be_read_is_shown_with_its_pid_and_the_reason(
    rows: list[Task], demo_target: Target
) -> None:
    table = TaskTable(demo_target)
    found = table._find(0xFFFF_8000_0000_0000, 161)
    assert found.raw.pid == 161
    assert found.raw.comm is None
    assert "not in the dump" in found.unreadable["comm"]


def test_a_page_of_another_task_is_not_taken_for_the_one_looked_for(
    rows: list[Task], demo_target: Target
) -> None:
    found = TaskTable(demo_target)._find(named(rows, "init").task, 4711)
    assert found.raw.pid == 4711
    assert found.raw.comm is None
    assert "not this task" in found.unreadable["comm"]


@pytest.mark.parametrize(
    ("bits", "exit_bits", "code"),
    [
        (0, 0, "RU"), (1, 0, "IN"), (0x2001, 0, "IN"), (2, 0, "UN"), (0x102, 0, "UN"),
        (0x402, 0, "ID"), (4, 0, "ST"), (0x104, 0, "ST"), (8, 0, "TR"), (0, 0x20, "ZO"),
        (0x80, 0x20, "ZO"), (0x80, 0x10, "DE"), (0x80, 0, "DE"), (0x40, 0, "PA"),
        (0x200, 0, "WA"), (0x800, 0, "NE"), (0x8000, 0, "UN"), (0x1000, 0, "UN"),
    ],
)  # fmt: skip
def test_states_as_crash_writes_them(
    demo_target: Target, bits: int, exit_bits: int, code: str
) -> None:
    assert States(demo_target.program).code(bits, exit_bits) == code


@pytest.mark.parametrize(
    "query",
    [
        TasksQuery(state="XX"), TasksQuery(policy="FOFI"), TasksQuery(cpu="3-1"),
        TasksQuery(longer_than="soon"), TasksQuery(match="("), TasksQuery(sort="beauty"),
        TasksQuery(only="xyzzy"),
    ],
    ids=["state", "policy", "cpu", "longer_than", "match", "sort", "only"],
)  # fmt: skip
def test_an_option_that_means_nothing_is_refused_before_anything_is_read(
    demo_target: Target, query: TasksQuery
) -> None:
    with pytest.raises(QueryError):
        answer(demo_target, query)


def test_one_task_is_found_by_pid_and_by_address(demo_target: Target, rows: list[Task]) -> None:
    task = named(rows, "logrotated")
    for name in (str(task.pid), f"{task.task:x}", f"{task.task:#x}"):
        assert answer(demo_target, TaskQuery(task=name, threads=True)).row == task


def test_a_task_that_is_not_there_is_said_to_be_missing(demo_target: Target) -> None:
    with pytest.raises(QueryError, match="no task with PID 99999"):
        answer(demo_target, TaskQuery(task="99999"))


def test_identity_names_parent_executable_and_what_it_may(demo_target: Target) -> None:
    identity = detail(demo_target, "logrotated", TaskQuery(task="", identity=True)).identity
    assert identity is not None
    assert identity.parent is not None
    assert (identity.parent.pid, identity.parent.comm) == (1, "init")
    assert identity.executable == "/bin/storlab-task"
    assert identity.credentials is not None
    assert identity.credentials.euid == 0
    assert identity.cpus_allowed == "0-3"
    assert {namespace.kind for namespace in identity.namespaces or ()} == {
        "mnt", "net", "ipc", "uts", "cgroup", "time", "pid", "user",
    }  # fmt: skip


def test_arguments_that_lie_in_excluded_pages_are_unreadable_not_empty(demo_target: Target) -> None:
    answered = detail(demo_target, "logrotated", TaskQuery(task="", identity=True))
    assert answered.identity is not None
    assert answered.identity.command_line is None
    assert "command line" in [missing.what for missing in answered.unreadable]


def test_open_files_have_types_and_paths(demo_target: Target) -> None:
    files = detail(demo_target, "logrotated", TaskQuery(task="", files=True)).files
    assert files is not None
    assert (files.root, files.cwd) == ("/", "/")
    assert {(file.type, file.path) for file in files.descriptors} >= {
        ("CHR", "/dev/null"),
        ("REG", "/proc/storlab/control"),
    }


def test_mappings_add_up_to_what_is_mapped(demo_target: Target) -> None:
    memory = detail(demo_target, "dbserver", TaskQuery(task="", vm=True)).memory
    assert memory is not None
    assert sum(area.end - area.start for area in memory.areas) == memory.vsize_bytes
    assert sum(total.size_bytes for total in memory.totals) == memory.vsize_bytes
    assert {"heap", "stack", "file code"} <= {total.kind for total in memory.totals}


def test_a_kernel_thread_has_no_memory_and_says_why(demo_target: Target) -> None:
    answered = detail(demo_target, "kthreadd", TaskQuery(task="", vm=True))
    assert answered.memory is None
    assert "kernel threads" in answered.unreadable[0].why


def test_raw_words_start_where_the_frame_does_and_end_with_the_return_address(
    demo_target: Target,
) -> None:
    answered = detail(demo_target, "logrotated", TaskQuery(task="", raw=True))
    assert answered.stack is not None
    frames = answered.stack.stack.frames
    for words in answered.stack.words:
        assert words.address == frames[words.frame].sp
        assert words.words[-1] == frames[words.frame + 1].address


def test_every_return_address_is_among_the_functions_named_on_the_raw_stack(
    demo_target: Target,
) -> None:
    answered = detail(demo_target, "logrotated", TaskQuery(task="", symbols=True))
    assert answered.stack is not None
    named_words = {word.value for word in answered.stack.text_symbols}
    assert {frame.address for frame in answered.stack.stack.frames} <= named_words


def test_functions_on_a_stack_of_which_a_page_is_missing_are_named_from_the_others(
    demo_target: Target, rows: list[Task]
) -> None:
    table = task_table(demo_target)
    found = next(f for f in table.found if f.address == named(rows, "logrotated").task)
    assert found.raw.stack is not None
    below = found.raw.stack - 4096
    words, why = stack_words(demo_target.program, below - 8, found.raw.stack + 16)
    assert [address for address, _ in words] == [found.raw.stack, found.raw.stack + 8]
    assert f"{below - 8:#x} is not mapped" in why
