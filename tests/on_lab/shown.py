"""Views in many states, with their equivalents and what the other tools must show of each."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import drgn

from kscope.dialect import locks as locks_dialect
from kscope.dialect import views
from kscope.dialect.views import Equivalent
from kscope.model.address import AddressQuery
from kscope.model.backtrace import BacktraceQuery
from kscope.model.base import Query, Result
from kscope.model.code import CodeQuery
from kscope.model.cpus import Cpu, CpuFrame, CpusQuery
from kscope.model.debug_info import DebugInfoQuery
from kscope.model.evaluate import EvaluateQuery
from kscope.model.list import ListQuery
from kscope.model.locks import LocksQuery
from kscope.model.log import LogQuery
from kscope.model.memory import MemoryQuery
from kscope.model.search import SearchQuery
from kscope.model.stacks import StacksQuery
from kscope.model.struct import StructQuery
from kscope.model.survey import SurveyQuery
from kscope.model.system import SystemQuery
from kscope.model.task import TaskQuery
from kscope.model.task_states import TaskStatesQuery
from kscope.model.tasks import Task, TasksQuery
from kscope.model.tree import TreeQuery
from kscope.session.answering import answer
from kscope.target.target import Target

ADDRESS = r"\bffff[0-9a-f]{12}\b"
FIRST = rf"^.*?({ADDRESS})"
"""The first address of each line."""
LAST = rf"^.* ({ADDRESS}) "
TASK = rf"TASK: ({ADDRESS})"
WORDS = rf"^({ADDRESS}):"
FUNCTION = (
    r"\] ([\w.]+?)(?:\.(?:isra|constprop|part|cold)[.\w]*)?(?:\+\d+)? at |"
    r"\[exception RIP: ([\w.]+?)(?:\.(?:isra|constprop|part|cold)[.\w]*)?(?:\+\d+)?\]"
)
DRGN_FUNCTION = r"^#\d+ +([A-Za-z_]\w*)|(?<= in )(\w+)|(?<= \()(\w+)(?=[.+])"
LOG_LINE = r"^\[[^\]]+\] \s*(.*?)\s*$"

_NAMED_OTHERWISE = {
    # Where two symbols have one address, or a return address is the end of a function.
    "entry_SYSCALL_64_after_hwframe", "asm_exc_nmi", "secondary_startup_64", "ret_from_fork",
    "ret_from_fork_asm", "secondary_startup_64_no_verify", "common_startup_64",
    "storlab_crash_step", "nmi_panic",
}  # fmt: skip
_PADDING = ("nop", "int3", "data16")
_DIRECT_MAPPING = range(0xFFFF888000000000, 0xFFFFC88000000000)


class Shown(NamedTuple):
    """A view in one state."""

    what: str
    equivalent: Equivalent
    facts: tuple[str, ...] = ()
    """What kscope showed; addresses without ``0x``, as everything it is compared with."""
    in_crash: str = ""
    """A regular expression for the same in crash's text; empty: it stands in it somewhere."""
    in_drgn: str = ""
    exact: bool = False
    """Whether the others show nothing more."""
    drgn_facts: tuple[str, ...] | None = None
    """What the drgn code prints, where that is not the same."""


def shown(target: Target, *, everything: bool) -> Iterator[Shown]:
    """Every view in several states, on what there is in this dump.

    :param everything: with what takes long: all memory, all tasks' memory and stacks.
    """
    tasks = answer(target, TasksQuery()).tasks
    yield from _tasks(target, tasks, everything=everything)
    for query in (StacksQuery(state="UN"), StacksQuery(kthreads=True))[: 2 if everything else 1]:
        groups = answer(target, query).groups
        addresses = _hex(address for group in groups for address in group.addresses)
        yield _shown(query, addresses, TASK, exact=True, drgn_facts=())
    user = next((task for task in tasks if task.kthread is False and task.mm), None)
    blocked = next((task for task in tasks if task.state == "UN"), None)
    for task in filter(None, (user, blocked)):
        yield from _stack(target, task)
    if user is not None:
        yield from _user_task(target, user)
    for cpus in ("", "0", "1,2-3"):
        yield from _cpus(target, cpus, tasks)
    yield from _cpu_details(target)
    task = next((task for task in tasks if task.pid == 1), tasks[0])
    yield from _objects(target, task)
    yield from _memory(target, task)
    yield from _code(target)
    yield from _walks(target, task)
    if len(tasks) < 1000:
        yield from _searches(target, task, everything=everything)
    yield from _addresses(target, task)
    yield from _log(target)
    yield from _locks(target)
    yield from _survey(target)
    yield from _machine(target)


def bare(text: str) -> str:
    """Without the ``0x`` that one tool writes and another does not."""
    return re.sub(r"\b0x(?=[0-9a-f])", "", text)


def _shown(
    query: Query[Any], facts: Iterable[str], *more: Any, result: Result | None = None, **named: Any
) -> Shown:
    equivalent = views.equivalent(query, result)
    return Shown(repr(query), equivalent, tuple(map(bare, facts)), *more, **named)


def _hex(addresses: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"{address:x}" for address in addresses)


def _functions(frames: Iterable[Any]) -> tuple[str, ...]:
    names = [re.sub(r"\.(?:isra|constprop|part|cold)[.\w]*$", "", f.function) for f in frames
             if f.function and not f.inline]  # fmt: skip
    return tuple(name for name in names if name not in _NAMED_OTHERWISE)


def _tasks(target: Target, tasks: tuple[Task, ...], *, everything: bool) -> Iterator[Shown]:
    kernel_thread = next((t for t in reversed(tasks) if t.kthread), tasks[-1])
    queries = [
        TasksQuery(state="UN"),
        TasksQuery(sort="time", state="UN", reverse=True),
        TasksQuery(policy="FIFO"),
        TasksQuery(kthreads=True),
        TasksQuery(match="kworker"),
        TasksQuery(only=f"{kernel_thread.task:x}, 2"),
    ]
    if everything:
        queries += [
            TasksQuery(),
            TasksQuery(state="RU"),
            TasksQuery(state="UN,ID"),
            TasksQuery(sort="time", reverse=True),
            TasksQuery(sort="time", cpu=str(kernel_thread.cpu), reverse=True),
            TasksQuery(user=True, leaders=True),
            TasksQuery(sort="rss"),
            TasksQuery(sort="vsz", user=True),
            TasksQuery(sort="comm", reverse=True),
            TasksQuery(match="!kworker"),
        ]
    for query in queries:
        addresses = _hex(task.task for task in answer(target, query).tasks)
        yield _shown(query, addresses, FIRST, LAST, exact=True)


def _stack(target: Target, task: Task) -> Iterator[Shown]:
    name = f"{task.task:x}"
    for by_name in (TaskQuery(task=name, stack=True), TaskQuery(task=str(task.pid), stack=True)):
        stack = answer(target, by_name).stack
        assert stack is not None
        frames = [frame for segment in stack.stack.segments for frame in segment.frames]
        yield _shown(by_name, _functions(frames), FUNCTION, DRGN_FUNCTION)
    symbols = TaskQuery(task=name, symbols=True)
    stack = answer(target, symbols).stack
    assert stack is not None
    places = _hex(symbol.address for symbol in stack.text_symbols)
    yield _shown(symbols, places, rf"\[({ADDRESS})\]", ADDRESS)
    assert task.parent is not None
    yield _shown(TaskQuery(task=name, identity=True), [f"{task.parent:x}"])
    plain, raw = BacktraceQuery(tasks=name), BacktraceQuery(tasks=name, raw=True)
    (found,) = answer(target, plain).backtraces
    frames = [frame for segment in found.stack.segments for frame in segment.frames]
    yield _shown(plain, _functions(frames), FUNCTION, DRGN_FUNCTION)
    (found,) = answer(target, raw).backtraces
    yield _shown(raw, _hex(word.address for word in found.words[::2]), WORDS)


def _user_task(target: Target, task: Task) -> Iterator[Shown]:
    name = f"{task.task:x}"
    query = TaskQuery(task=name, files=True)
    files = answer(target, query).files
    assert files is not None
    yield _shown(query, _hex(file.file for file in files.descriptors), FIRST, ADDRESS)
    query = TaskQuery(task=name, vm=True)
    memory = answer(target, query).memory
    if memory is not None:
        starts = _hex(area.start for area in memory.areas)
        yield _shown(query, starts, rf"^{ADDRESS} +([0-9a-f]+) ", r"^([0-9a-f]+) ")
    query = TaskQuery(task=name, threads=True)
    threads = answer(target, query).threads
    assert threads is not None
    pids = [str(thread.pid) for thread in threads]
    yield _shown(query, pids, r"PID: (\d+)", r"^(\d+)", exact=True)


def _cpus(target: Target, select: str, tasks: tuple[Task, ...]) -> Iterator[Shown]:
    query = CpusQuery(cpu=select)
    numbers = [str(cpu.cpu) for cpu in answer(target, query).cpus if cpu.online]
    yield _shown(query, numbers, r"CPU (\d+):", r"^(\d+) ")
    query = CpusQuery(cpu=select, runqueue=True)
    cpus = answer(target, query).cpus
    queued = {each.task for cpu in cpus for each in (*cpu.rt, *cpu.fair) if each.task is not None}
    queued |= {cpu.current.task for cpu in cpus if cpu.current}
    pids = tuple(str(task.pid) for task in tasks if task.task in queued)
    yield _shown(query, _hex(queued), TASK, r"\b(\d+) b'", drgn_facts=pids)
    query = CpusQuery(cpu=select, backtrace=True)
    cpus = answer(target, query).cpus
    functions = _functions(frame for cpu in cpus for frame in cpu.backtrace)
    own = _functions(frame for cpu in cpus for frame in _from_registers(cpu))
    yield _shown(query, functions, FUNCTION, DRGN_FUNCTION, drgn_facts=own)


def _from_registers(cpu: Cpu) -> Iterator[CpuFrame]:
    """What drgn shows: it begins with what was interrupted to stop the CPU."""
    stopped = len(cpu.segments) > 1 and cpu.segments[0].stopped
    for frame in cpu.backtrace:
        if frame.stack == "task" and (frame.segment or not stopped):
            yield frame


def _cpu_details(target: Target) -> Iterator[Shown]:
    query = CpusQuery(timers=True)
    wheels = [cpu.timers.wheels for cpu in answer(target, query).cpus if cpu.timers]
    pending = [timer.timer for each in wheels for wheel in each for timer in wheel.timers]
    # Since Linux 6.9, commit 83a665dc99a7 ("timers: Keep the pinned timers separate from the
    # others"), there are three wheels, of which crash 8.0.6 knows two.
    known = [timer.timer for each in wheels for wheel in each[:2] for timer in wheel.timers]
    yield _shown(query, _hex(known), ADDRESS, ADDRESS, drgn_facts=_hex(pending))
    query = CpusQuery(watchdog=True)
    dogs = [cpu.health.watchdog for cpu in answer(target, query).cpus if cpu.health]
    touched = [str(dog.touched_seconds) for dog in dogs if dog.touched_seconds is not None]
    yield _shown(query, touched, r"= (\d+)$")
    query = CpusQuery(cpu="0", raw=True)
    (cpu,) = answer(target, query).cpus
    yield _shown(query, _hex(word.address for word in cpu.raw_stack[::2]), WORDS)
    query = CpusQuery(cpu="0", full=True)
    (cpu,) = answer(target, query).cpus
    own = _functions(_from_registers(cpu))
    yield _shown(query, _functions(cpu.backtrace), FUNCTION, DRGN_FUNCTION, drgn_facts=own)


def _objects(target: Target, task: Task) -> Iterator[Shown]:
    where = f"{task.task:#x}"
    for query in (
        StructQuery(type="task_struct", address=where, members="pid,tgid,prio,flags"),
        StructQuery(type="struct task_struct.pid,comm,on_cpu", address="init_task"),
        StructQuery(type="struct list_head", address="modules"),
        StructQuery(type="struct mutex", address="cgroup_mutex", count=2),
        StructQuery(
            type="struct task_struct", address=_tasks_member(target, task), members="pid,prio",
            embedded="tasks",
        ),
        StructQuery(type="struct rq", address="runqueues:1", members="nr_running,cpu"),
        StructQuery(type="runqueues:0", members="nr_switches,cpu"),
        StructQuery(type="cgroup_mutex"),
        StructQuery(type="nr_threads"),
    ):  # fmt: skip
        found = answer(target, query)
        values = [
            str(member.value)
            for member in found.members
            if member.kind == "integer" and isinstance(member.value, int) and not member.bit_size
        ]
        yield _shown(query, values, r"= (-?\d+)\b", r"(?:=|\)) ?(-?\d+)\b", result=found)
    for query in (
        StructQuery(type="struct list_head", offsets=True),
        StructQuery(type="task_struct", offsets=True),
        StructQuery(type="struct page", members="flags,_refcount", offsets=True),
    ):
        members = answer(target, query).members
        offsets = [str(each.offset) for each in members if each.name and not each.bit_size]
        yield _shown(query, offsets, r"^ +\[(\d+)\]", r"^(\d+)")
    for expression in ("jiffies", "init_task.prio", "1 + 2 * 3"):
        value = answer(target, EvaluateQuery(expression=expression)).integer
        yield _shown(EvaluateQuery(expression=expression), [str(value)])
    query_of_address = EvaluateQuery(expression="init_task + 8", addresses=True)
    yield _shown(query_of_address, [f"{answer(target, query_of_address).integer:x}"])


def _tasks_member(target: Target, task: Task) -> str:
    offset = drgn.offsetof(target.program.type("struct task_struct"), "tasks")
    return f"{task.task + offset:#x}"


def _memory(target: Target, task: Task) -> Iterator[Shown]:
    where = f"{task.task:#x}"
    for query in (
        MemoryQuery(address="init_task", count=8),
        MemoryQuery(address=where, count=64, symbols=True),
        MemoryQuery(address=where, count=16, bits=32),
        MemoryQuery(address=where, count=8, bits=16),
        MemoryQuery(address="linux_banner", count=32, bits=8),
    ):
        found = answer(target, query)
        digits = found.word_bytes * 2
        facts = [f"{found.lines[0].address:x}"]
        if not query.symbols:
            words = [word for line in found.lines for word in line.words if word is not None]
            facts += [f"{word:0{digits}x}" for word in words]
        yield _shown(query, facts)


def _code(target: Target) -> Iterator[Shown]:
    whole = answer(target, CodeQuery(start="schedule"))
    inside = f"schedule+{whole.instructions[8].offset}"
    for query in (
        CodeQuery(start="schedule"),
        CodeQuery(start="schedule", lines=True),
        CodeQuery(start="schedule", count=3),
        CodeQuery(start=inside, reverse=True),
        CodeQuery(start=inside, forward=True),
        CodeQuery(start=f"{target.program.symbol('schedule').address:#x}", lines=True),
    ):
        found = answer(target, query)
        # Without DWARF a function's size, by the next symbol, has the padding after it.
        code = (i for i in found.instructions if not i.mnemonic.startswith(_PADDING))
        addresses = _hex(instruction.address for instruction in code)
        yield _shown(query, addresses, rf"^({ADDRESS}) <", rf"^({ADDRESS})")


def _walks(target: Target, task: Task) -> Iterator[Shown]:
    head = f"{target.program.symbol('modules').address:#x}"
    walks: list[ListQuery | TreeQuery] = [
        ListQuery(start="modules", entry="module.list", columns="name"),
        ListQuery(start="modules"),
        ListQuery(start=head, entry="struct module.list"),
        ListQuery(start=_tasks_member(target, task), entry="task_struct.tasks",
                  columns="pid,prio", embedded=True),
        ListQuery(start=f"{task.task:#x}", kind="member",
                  entry="struct task_struct.real_parent", columns="pid"),
        ListQuery(start="runqueues:a", kind="per-cpu", entry="struct rq", columns="nr_running"),
    ]  # fmt: skip
    try:
        target.program.symbol("vmap_area_root")
    except LookupError:
        # One tree per node since Linux 6.9, commit d093602919ad ("mm: vmalloc: remove global
        # vmap_area_root rb-tree").
        pass
    else:
        walks += [
            TreeQuery(start="vmap_area_root", entry="vmap_area.rb_node", columns="va_start"),
            TreeQuery(start="vmap_area_root", kind="rbtree"),
        ]
    if task.mm is not None:
        maple_tree = drgn.offsetof(target.program.type("struct mm_struct"), "mm_mt")
        start = f"struct maple_tree {task.mm + maple_tree:#x}"
        walks.append(TreeQuery(start=start, kind="maple"))
    for query in walks:
        walk = answer(target, query)
        nodes, entries = _hex(row.node for row in walk.rows), _hex(row.entry for row in walk.rows)
        embedded = isinstance(query, ListQuery) and query.embedded
        crashs = entries if walk.entry_type and not embedded else nodes
        drgns = entries if walk.entry_type else nodes
        yield _shown(query, crashs, ADDRESS, ADDRESS, drgn_facts=drgns, result=walk)


def _searches(target: Target, task: Task, *, everything: bool) -> Iterator[Shown]:
    where = f"{task.task:#x}"
    queries = [
        SearchQuery(value=where, stacks=True),
        SearchQuery(value="init_task", stacks=True),
        SearchQuery(value=where, mask="7", stacks=True),
    ]
    for query in [*queries, SearchQuery(value=where)] if everything else queries:
        places = sorted({hit.address for hit in answer(target, query).hits})
        # drgn's code names all memory by its place in the direct mapping.
        direct = [place for place in places if query.stacks or int(place) in _DIRECT_MAPPING]
        case = _shown(query, _hex(places), WORDS, ADDRESS, drgn_facts=_hex(direct))
        # crash takes a minute for all memory.
        yield (
            case if query.stacks else case._replace(equivalent=Equivalent("", case.equivalent.drgn))
        )


def _addresses(target: Target, task: Task) -> Iterator[Shown]:
    for query in (
        AddressQuery(address=f"{task.task:#x}"),
        AddressQuery(address=f"{target.program.symbol('schedule').address:#x}"),
        AddressQuery(address="init_task"),
    ):
        found = answer(target, query)
        facts = [found.slab.cache] if found.slab else []
        facts += [found.symbol.name] if found.symbol else []
        yield _shown(query, [*facts, f"{found.address:x}"])


def _log(target: Target) -> Iterator[Shown]:
    for query in (LogQuery(), LogQuery(human_time=True), LogQuery(match="hung|panic"),
                  LogQuery(match="!e"), LogQuery(level="warning")):  # fmt: skip
        records = answer(target, query).records
        texts = [record.text.split("\n")[0].strip() for record in records if record.text.strip()]
        yield _shown(query, texts, LOG_LINE, LOG_LINE)


def _locks(target: Target) -> Iterator[Shown]:
    locks = answer(target, LocksQuery())
    waiting = _hex(each.task for each in locks.blocked if each.state == "UN")
    yield _shown(LocksQuery(), waiting, TASK, exact=True)
    for each in locks.blocked[:2]:
        yield _shown(LocksQuery(pid=each.pid), [f"{each.task:x}"], drgn_facts=())
    kinds = {lock.kind: lock for lock in locks.locks}
    for kind, lock in kinds.items():
        yield Shown(f"{kind} {lock.address:x}", locks_dialect.lock_equivalent(lock))


def _survey(target: Target) -> Iterator[Shown]:
    yield _shown(SurveyQuery(), ())
    survey = answer(target, SurveyQuery())
    evidence = [*survey.panic.agreeing, *(e for each in survey.findings for e in each.evidence)]
    for each in dict.fromkeys(evidence):
        yield Shown(f"{each.label}: {each.text[:60]}", Equivalent(each.crash, each.drgn))


def _machine(target: Target) -> Iterator[Shown]:
    system = answer(target, SystemQuery())
    yield _shown(SystemQuery(), [system.release, system.nodename, str(system.tasks)])
    states = answer(target, TaskStatesQuery()).states
    counts = [f"{state}: {count}" for state, count in states]
    # drgn has letters for states.
    letters = tuple(f"': {count}" for _, count in states)
    yield _shown(TaskStatesQuery(), counts, r"(\w\w: \d+)", drgn_facts=letters)
    modules = [module.name for module in answer(target, DebugInfoQuery()).modules]
    yield _shown(DebugInfoQuery(), [name for name in modules if name != "kernel"])
