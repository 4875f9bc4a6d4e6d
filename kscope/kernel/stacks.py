"""All tasks by their kernel stacks, without unwinding them all.

A sleeping task's stack is fixed by the return addresses on it, and those lie at fixed distances
from where the scheduler left the stack pointer (``thread.sp``). So a stack is unwound once. The
distances and addresses found make a path through a tree; the next task is read in one piece and
followed down that tree, and only if it leaves the known paths is it unwound itself.

One thing moves: since Linux kernel commit 39218ff4c625 ("stack: Optionally randomize kernel stack
offset each syscall") (in v5.13) a system call may leave a random gap below its entry. What lies
above the gap keeps its distance from the top of the stack. When the same caller is met at another
distance from the stack pointer, its distance from the top is put into the tree as well.

Of each group one recognised task is unwound to check; if it differs, all of the group are.
"""

import contextlib
from collections.abc import Generator, Iterable, Sequence
from typing import NamedTuple

from drgn import Architecture, FaultError, PlatformFlags, StackTrace

from kscope.kernel.access.layout import Layout
from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.process.task_table import FoundTask, task_table_in_slices
from kscope.kernel.unwinding.telling import is_idle_worker, summary, telling_frames
from kscope.kernel.unwinding.unwind import Unwinder, in_user_space, physical_frames, unwinder
from kscope.model.base import Address, Part, Progress
from kscope.model.stacks import Frame, StackGroup, Stacks, StacksQuery
from kscope.model.tasks import Task, pattern, predicates, search_text, select
from kscope.target.target import Target

_WORD = 8
_SLICE = 500
"""Tasks looked at before the worker may look for other work."""

Path = tuple[int, ...]
"""The return addresses of a kernel stack, innermost first."""


class _Node:
    """Where a walk through the tree stands after some return addresses."""

    __slots__ = ("from_sp", "from_top", "path")

    def __init__(self) -> None:
        self.from_sp: dict[int, dict[int, _Node]] = {}
        """By distance from the stack pointer in words, then by return address."""
        self.from_top: dict[int, dict[int, _Node]] = {}
        """By distance from the top of the stack in words, then by return address."""
        self.path: Path | None = None
        """The stack that is whole here."""


class Recogniser:
    """Knows stacks that were unwound, and recognises them on other tasks."""

    def __init__(self) -> None:
        self._root = _Node()

    def learn(self, words: Sequence[int], places: Sequence[int], path: Path) -> None:
        """Remember a stack.

        :param words: the stack from the stack pointer to its top.
        :param places: where in ``words`` each return address of ``path`` lies.
        """
        node = self._root
        for place, address in zip(places, path, strict=True):
            from_top = len(words) - place
            child = node.from_sp.get(place, {}).get(address)
            if child is None:
                child = node.from_top.get(from_top, {}).get(address)
            if child is None:
                child = next((c[address] for c in node.from_sp.values() if address in c), None)
                if child is not None:
                    node.from_top.setdefault(from_top, {})[address] = child
                else:
                    child = node.from_sp.setdefault(place, {})[address] = _Node()
            node = child
        node.path = path

    def recognise(self, words: Sequence[int]) -> Path | None:
        """The known stack that these words hold."""
        count = len(words)
        node = self._root
        while True:
            following = None
            for place, children in node.from_sp.items():
                if place < count:
                    following = children.get(words[place])
                    if following is not None:
                        break
            else:
                for place, children in node.from_top.items():
                    if place <= count:
                        following = children.get(words[count - place])
                        if following is not None:
                            break
            if following is None:
                return node.path
            node = following


class _Found(NamedTuple):
    """What was found out about one task's stack."""

    path: Path
    stopped: str
    recognised: bool


class StackReader:
    """Finds out the stacks of tasks, unwinding as few as it can."""

    def __init__(self, target: Target) -> None:
        program = target.program
        self._program = program
        self._unwinder: Unwinder = unwinder(target)
        self._recogniser = Recogniser()
        self._frames: dict[Path, tuple[Frame, ...]] = {(): ()}
        self.unwound = 0
        platform = program.platform
        # Elsewhere return addresses do not lie right below the caller's stack pointer.
        self._can_recognise = (
            platform is not None
            and platform.arch is Architecture.X86_64
            and PlatformFlags.IS_LITTLE_ENDIAN in platform.flags
        )
        if self._can_recognise:
            self._saved_sp = Layout(program, "struct task_struct", {"sp": ("thread.sp",)})
            self._thread_size: int = program["THREAD_SIZE"].value_()

    def frames(self, path: Path) -> tuple[Frame, ...]:
        """The frames of a stack that was found."""
        return self._frames[path]

    def find(self, found: FoundTask, active: bool, *, check: bool = False) -> _Found:
        """Find out the stack of one task.

        :param check: unwind it even if it is recognised.
        """
        if found.raw.stack == 0:
            # Since Linux kernel commit 68f24b08ee89 ("sched/core: Free the stack early if
            # CONFIG_THREAD_INFO_IN_TASK") (in v4.9), a zombie has none.
            return _Found((), "it is dead: its kernel stack is freed", False)
        words: Sequence[int] = ()
        sp = 0
        if self._can_recognise and not active and found.raw.stack is not None:
            try:
                (sp,) = self._saved_sp.read(found.address)
                top = found.raw.stack + self._thread_size
                if found.raw.stack <= sp < top and sp % _WORD == 0:
                    words = memoryview(self._program.read(sp, top - sp)).cast("Q")
            except FaultError:
                pass
            if words and not check:
                path = self._recogniser.recognise(words)
                if path is not None:
                    return _Found(path, "", True)
        return self._unwind(found.address, words, sp)

    def _unwind(self, address: int, words: Sequence[int], sp: int) -> _Found:
        self.unwound += 1
        unwinder = self._unwinder
        try:
            trace = unwinder.trace(address)
        except READ_ERRORS:
            return _Found((), unwinder.stack(address).stopped, False)
        path, places, in_user = _return_addresses(trace, words, sp)
        if path not in self._frames:
            self._frames[path] = tuple(
                frame
                for physical in physical_frames(list(trace))[: len(path)]
                for frame in unwinder.describe(physical)
            )
        if in_user:
            stopped = "" if path else "it was running in user mode"
        else:
            stopped = unwinder.why_stopped(self._frames[path])
        if places and not stopped:
            self._recogniser.learn(words, places, path)
        return _Found(path, stopped, False)


def _return_addresses(
    trace: StackTrace, words: Sequence[int], sp: int
) -> tuple[Path, list[int], bool]:
    """The kernel's return addresses of a trace; where in ``words`` they lie, empty if one of them
    is elsewhere; whether the trace reaches user space."""
    path: list[int] = []
    places: list[int] = []
    in_place = bool(words)
    in_user = False
    for frame in trace:
        if frame.is_inline:
            continue
        try:
            pc = frame.pc
        except LookupError:
            break
        if in_user_space(frame):
            in_user = True
            break
        path.append(pc)
        if in_place:
            # Below where the stack pointer is once the call has returned. An interrupted frame
            # was not called: its address is somewhere in the saved registers.
            place = -1
            with contextlib.suppress(LookupError):
                place = (frame.sp - sp) // _WORD - 1
            in_place = 0 <= place < len(words) and words[place] == pc
            places.append(place)
    return tuple(path), places if in_place else [], in_user


def stacks(target: Target, query: StacksQuery) -> Generator[Progress | Part[Stacks], None, Stacks]:
    """Answer a StacksQuery."""
    predicates(query)
    table = yield from task_table_in_slices(target)
    without_text = StacksQuery(
        state=query.state, policy=query.policy, kthreads=query.kthreads, user=query.user,
        leaders=query.leaders, cpu=query.cpu, longer_than=query.longer_than, only=query.only,
    )  # fmt: skip
    reader = StackReader(target)
    found_by_address = {found.address: found for found in table.found}
    groups: dict[tuple[str, Path, str], list[tuple[Task, bool]]] = {}
    wanted = select(table.rows, without_text)
    for count, task in enumerate(wanted, 1):
        found = reader.find(found_by_address[task.task], task.active)
        groups.setdefault(_key(task, found), []).append((task, found.recognised))
        if count % _SLICE == 0:
            yield Progress(count, len(wanted), "reading stacks")
    groups = _checked(groups, reader, found_by_address)
    made = [
        group
        for (state, path, stopped), members in groups.items()
        if (
            group := _group(
                state, reader.frames(path), stopped, [task for task, _ in members], query.match
            )
        )
    ]
    made.sort(key=_rank)
    return Stacks(
        groups=tuple(made),
        tasks=sum(group.count for group in made),
        total=len(table.rows),
        unwound=reader.unwound,
        unreadable=table.unreadable,
    )


def _key(task: Task, found: _Found) -> tuple[str, Path, str]:
    return (task.state or "??", found.path, found.stopped)


Groups = dict[tuple[str, Path, str], list[tuple[Task, bool]]]


def _checked(groups: Groups, reader: StackReader, by_address: dict[int, FoundTask]) -> Groups:
    """The groups with one recognised member of each unwound, and all of them where it differs."""
    checked: Groups = {}
    for key, members in groups.items():
        last = next((task for task, recognised in reversed(members) if recognised), None)
        if last is None or _key(last, _really(last, reader, by_address)) == key:
            checked.setdefault(key, []).extend(members)
            continue
        for task, recognised in members:
            true_key = _key(task, _really(task, reader, by_address)) if recognised else key
            checked.setdefault(true_key, []).append((task, False))
    return checked


def _really(task: Task, reader: StackReader, by_address: dict[int, FoundTask]) -> _Found:
    return reader.find(by_address[task.task], task.active, check=True)


def _group(
    state: str, frames: tuple[Frame, ...], stopped: str, tasks: Iterable[Task], match: str
) -> StackGroup | None:
    """The group of those tasks that the text filter leaves."""
    if match:
        compiled, inverted = pattern(match)
        functions = "\n".join(frame.function for frame in frames)
        in_functions = compiled.search(functions) is not None
        tasks = [
            task
            for task in tasks
            if (in_functions or compiled.search(search_text(task)) is not None) is not inverted
        ]
    ordered = sorted(tasks, key=lambda t: (-(t.since_last_arrival_ns or -1), t.pid or 0, t.task))
    if not ordered:
        return None
    return StackGroup(
        count=len(ordered),
        state=state,
        summary=summary(frames),
        frames=frames,
        telling=telling_frames(frames),
        tasks=tuple(task.pid for task in ordered),
        addresses=tuple(Address(task.task) for task in ordered),
        comms=tuple(task.comm for task in ordered),
        since_last_arrival_ns=tuple(task.since_last_arrival_ns for task in ordered),
        longest_since_last_arrival_ns=ordered[0].since_last_arrival_ns,
        idle_worker=is_idle_worker(state, frames),
        stopped=stopped,
    )


_STATE_RANK = {"UN": 0, "RU": 1, "WA": 1, "NE": 1, "IN": 2, "ST": 2, "TR": 2, "ID": 3}


def _rank(group: StackGroup) -> tuple[int, int, tuple[str, ...], int]:
    rank = _STATE_RANK.get(group.state, 4)
    if group.idle_worker and group.state != "UN":
        rank = 5
    longest = group.longest_since_last_arrival_ns
    return (rank, -(longest if longest is not None else -1), group.summary, -group.count)


ANSWERS = {StacksQuery: stacks}
